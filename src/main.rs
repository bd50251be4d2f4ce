//! Jurymast's command line. See `jurymast --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    jurymast::cli::main()
}
