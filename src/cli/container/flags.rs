//! The flags of a new container, each kind read and checked as Docker does.

pub mod block_io;
pub mod cidfile;
pub mod csv;
pub mod device;
pub mod environment;
pub mod limits;
pub mod mount;
pub mod numbers;
pub mod operand;
pub mod security;
pub mod streams;
pub mod ulimit;
