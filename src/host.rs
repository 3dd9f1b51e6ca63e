//! The host: what ccrun can do here, and what root can do once so that a user can do more.

pub mod check;
pub mod fix;
