//! The `pgrehearse` program: everything is in the library; this is the one place that ends the process.

fn main() {
    std::process::exit(pgrehearse::cli::main(std::env::args_os()));
}
