//! The `gradsweep` program: everything is in the library.

fn main() -> std::process::ExitCode {
    gradsweep::cli::main()
}
