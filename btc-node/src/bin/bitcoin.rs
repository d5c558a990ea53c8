//! Starts the other programs: `bitcoin node`, `bitcoin rpc getblockcount`.

fn main() -> std::process::ExitCode {
    btc_node::cli::wrapper::main()
}
