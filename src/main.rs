//! ccrun: pull a container image and run it, in one static binary.

mod cli;
mod container;
mod decimal;
mod error;
mod host;
mod image;
mod isolation;
mod json;
mod sort;
mod store;
mod sys;

fn main() -> std::process::ExitCode {
    cli::main(std::env::args_os().skip(1)).into()
}
