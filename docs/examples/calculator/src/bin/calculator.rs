//! Works out expressions. Where the printer that it is lent lives, it cannot tell.

use std::process::ExitCode;
use std::sync::Arc;

use calculator_example::expression::evaluate;
use calculator_example::{Calculator, Printer, serve_parent};
use mp_core::Error;

struct Abacus;

impl Calculator for Abacus {
    fn calculate(&self, expression: String, printer: Arc<dyn Printer>) -> Result<f64, Error> {
        evaluate(&expression, &mut |step| printer.print(step).map(drop))
    }
}

fn main() -> ExitCode {
    let abacus: Arc<dyn Calculator> = Arc::new(Abacus);
    match serve_parent(abacus) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("calculator: {error}");
            ExitCode::FAILURE
        }
    }
}
