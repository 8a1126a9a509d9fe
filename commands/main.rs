//! The binary.

fn main() -> std::process::ExitCode {
    medtainer_core::cli::main(&medtainer::PRODUCT)
}
