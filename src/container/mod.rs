//! A container's life: from what the user asked for to its exit status.

pub mod walls;
