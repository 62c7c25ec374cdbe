//! The program `authy-server`: runs the command line of the library.

// jemalloc is as quick as any for the many small allocations of requests, and a thread of its own gives memory back to the system when
// nothing happens: after a storm, a server is small again.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    authy_server::cli::main()
}
