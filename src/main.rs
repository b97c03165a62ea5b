//! The `gradsweep` program: everything is in the library.

#[global_allocator]
static ALLOCATOR: gradsweep::cli::Allocator = gradsweep::cli::Allocator;

fn main() {
    gradsweep::cli::main()
}
