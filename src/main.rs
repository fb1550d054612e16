use orderflow::cli::{self, Exit};

fn main() -> Exit {
    // A panic is a bug of this program, and scripts must be able to distinguish it from a failed run.
    std::panic::catch_unwind(|| cli::main(std::env::args_os())).unwrap_or(Exit::Internal)
}
