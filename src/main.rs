//! The program `infrawatch`: hands the command line to the library and its exit code to the system.
//!
//! Not here: anything else; even the command line lives in the library, where tests and documents reach it.

/// Fewer and shorter pauses than the system's allocator under many threads, and memory goes back when series go: by a
/// thread of the allocator's own, else what a thread has freed stays with us until that thread allocates again. Of the
/// memory of 200 000 series that had left it gave back half and not a quarter (`loadtest claims expiry`).
#[global_allocator]
static ALLOCATOR: jemallocator::Jemalloc = jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    infrawatch::cli::main()
}
