//! ccrun: pull a container image and run it, in one static binary.

mod cli;
mod container;
mod error;
mod image;
mod isolation;
mod store;
mod sys;

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
