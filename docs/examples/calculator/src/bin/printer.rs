//! Prints what others have to say.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use calculator_example::{Printer, serve_parent};
use mp_core::Error;

#[derive(Default)]
struct Paper {
    lines: AtomicU64,
}

impl Printer for Paper {
    fn print(&self, line: String) -> Result<u64, Error> {
        println!("printer    {line}");
        Ok(self.lines.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

fn main() -> ExitCode {
    let paper: Arc<dyn Printer> = Arc::new(Paper::default());
    match serve_parent(paper) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("printer: {error}");
            ExitCode::FAILURE
        }
    }
}
