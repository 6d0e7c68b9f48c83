//! The `restante` binary: arguments in, exit status out.

fn main() -> std::process::ExitCode {
    restante::cli::run()
}
