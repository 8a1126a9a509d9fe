//! The binary.

// A server's answers are made in one thread and let go in another, for which the C library's allocator
// takes locks: with it, calls over MCP take twice the processor time. This one has a thread that gives back
// what an hour of load left behind.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    medtainer_core::cli::main(&medtainer::PRODUCT)
}
