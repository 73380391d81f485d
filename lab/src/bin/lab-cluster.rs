//! The program that the embedded clusters of this crate's own tests are; see `lab::embedded`.

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::embedded::serve_if_asked().unwrap_or_else(|| {
        eprintln!("lab-cluster: started by lab::real, with the arguments of lab::embedded");
        ExitCode::FAILURE
    })
}
