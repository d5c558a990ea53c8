//! What a person or CI types.

mod codegen;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((command, rest)) if command == "codegen" => {
            codegen::run(rest).map_err(|e| e.to_string())
        }
        Some((command, _)) if command == "help" => {
            print!("{}", codegen::HELP);
            Ok(())
        }
        Some((command, _)) => Err(format!(
            "unknown command {command:?}; see `cargo xtask help`"
        )),
        None => Err("no command; see `cargo xtask help`".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
