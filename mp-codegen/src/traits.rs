//! Prints traits and structs.
use crate::model::{File, Model};
use crate::{Error, Style};
pub(crate) fn print(_: &Model, _: &File, _: &Style) -> Result<String, Error> {
    Ok(String::new())
}
