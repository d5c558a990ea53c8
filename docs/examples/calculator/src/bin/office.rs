//! Spawns a calculator and a printer, and lends the one to the other.
//!
//! `office [EXPRESSION]…`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use calculator_example::{Calculator, Printer};
use mp_core::process::{Spawned, spawn};
use mp_core::{Connection, Error, Interface, Options};

fn main() -> ExitCode {
    let mut expressions: Vec<String> = std::env::args().skip(1).collect();
    if expressions.is_empty() {
        expressions = ["2 * (3 + 4)", "1 / (2 - 2)"].map(str::to_owned).to_vec();
    }
    match run(&expressions) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("office: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(expressions: &[String]) -> Result<(), Error> {
    let (mut calculator_process, calculator) = start::<dyn Calculator>("calculator")?;
    let (mut printer_process, printer) = start::<dyn Printer>("printer")?;

    for expression in expressions {
        // The printer of one process goes to another: what the calculator gets is an `Arc<dyn Printer>` like ours.
        match calculator.calculate(expression.clone(), printer.clone()) {
            Ok(value) => println!("office     {expression} is {value}"),
            Err(Error::Remote { reason, .. }) => println!("office     {expression}: {reason}"),
            Err(error) => return Err(error),
        }
    }

    // Whatever implements the trait will do. This printer lives here, and is called on this very thread.
    let value = calculator.calculate("6 * 7".to_owned(), Arc::new(Desk))?;
    println!("office     6 * 7 is {value}");

    // The connections end with their last proxies, and the programs with their connections.
    drop((calculator, printer));
    for (name, process) in [
        ("calculator", &mut calculator_process),
        ("printer", &mut printer_process),
    ] {
        let status = process.wait_within(Duration::from_secs(10))?;
        println!("office     {name} left with {status}");
    }
    Ok(())
}

struct Desk;

impl Printer for Desk {
    fn print(&self, line: String) -> Result<u64, Error> {
        println!("desk       {line}");
        Ok(1)
    }
}

/// Spawns the program `name`, which lies beside this one, and gives its first object.
fn start<I: Interface + ?Sized>(name: &str) -> Result<(Spawned, Arc<I>), Error> {
    let own = std::env::current_exe().map_err(|error| Error::failed(error.to_string()))?;
    let (process, stream) = spawn(own.with_file_name(name), [""; 0])?;
    let (_connection, object) = Connection::connect::<I>(stream, Options::default())?;
    Ok((process, object))
}
