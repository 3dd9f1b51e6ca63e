//! The system call filter: which doors into the kernel a container finds at all
//! (seccomp(2)).
#![allow(dead_code)]

pub mod abi;
pub mod compile;
#[cfg(test)]
mod interpret;
mod syscalls;
