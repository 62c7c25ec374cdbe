//! The binary: everything is in the library.

fn main() -> std::process::ExitCode {
    authy_server::cli::main()
}
