//! Sends a command to a running node and prints the answer.

use std::io;

fn main() {
    let arguments = std::env::args_os().skip(1).collect();
    let code = btc_node::cli::run(
        arguments,
        &mut io::stdin().lock(),
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    );
    std::process::exit(code);
}
