//! The binary.

// A server's answers are made in one thread and let go in another, for which the C library's allocator
// takes locks: with it, calls over MCP take twice the processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    medtainer_core::cli::main(&medtainer::PRODUCT)
}
