//! The binary. Everything else is in the library.

use std::process::ExitCode;

/// Counts allocations for Polars, which spills above its memory budget.
#[global_allocator]
static ALLOCATOR: polars_ooc::Allocator = polars_ooc::Allocator;

fn main() -> ExitCode {
    custseg::main()
}
