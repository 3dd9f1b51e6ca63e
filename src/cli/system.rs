//! Commands about ccrun itself, its host, registries, and things of all kinds.

pub mod check;
pub mod df;
pub mod inspect;
pub mod login;
pub mod logout;
pub mod prune;
pub mod version;
