//! What the three programs agree on: two interfaces, and how a program that was spawned finds its stream.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use mp_core::process::{FD_OPTION, from_fd};
use mp_core::{Connection, Error, Interface, Options};

pub mod expression;

/// The marker under which this project's types travel.
pub struct Codec;

/// The first object of the program `calculator`.
#[mp_core::interface(codec = Codec, id = 0x8f1d_27c5_b3a9_4e01, root)]
pub trait Calculator: Send + Sync {
    /// Works out an expression such as `2 * (3 + 4)` and has `printer` print every step.
    fn calculate(&self, expression: String, printer: Arc<dyn Printer>) -> Result<f64, Error>;
}

/// The first object of the program `printer`.
#[mp_core::interface(codec = Codec, id = 0xd6e0_93ab_5c71_4e02, root)]
pub trait Printer: Send + Sync {
    /// Prints a line, and gives the number of lines so far.
    fn print(&self, line: String) -> Result<u64, Error>;
}

/// Serves `root` to the program that spawned this one, until it leaves.
///
/// # Errors
/// When this program was not spawned, so that no stream was handed to it.
pub fn serve_parent<I: Interface + ?Sized>(root: Arc<I>) -> Result<(), Error> {
    Connection::serve(parent()?, root, Options::default())?.closed();
    Ok(())
}

fn parent() -> Result<UnixStream, Error> {
    let mut arguments = std::env::args().skip_while(|argument| argument != FD_OPTION);
    let fd = arguments.nth(1).and_then(|fd| fd.parse().ok());
    from_fd(
        fd.ok_or_else(|| Error::failed(format!("start `office` instead: no {FD_OPTION} here")))?,
    )
}
