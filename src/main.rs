use orderflow::cli::{self, Exit};

fn main() -> Exit {
    // A panic is a bug of ours, and scripts shall be able to tell it from a failed run.
    std::panic::catch_unwind(|| cli::main(std::env::args_os())).unwrap_or(Exit::Internal)
}
