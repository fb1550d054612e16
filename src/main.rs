fn main() -> orderflow::cli::Exit {
    orderflow::cli::main(std::env::args_os())
}
