//! The program `authy-server` as it is installed, for tests of this crate: Cargo builds the programs of no other.

fn main() -> std::process::ExitCode {
    authy_server::cli::main()
}
