//! Reads Cap'n Proto schemas annotated for libmultiprocess and writes the Rust tables that `mp-core` works from.
//!
//! For each schema file there is one Rust module with a constant for every interface and struct (`BlockRef` becomes
//! `BLOCK_REF`), in the types of `mp_core::schema`, one for every constant of the schema, and the type ids in a module
//! `id`. A trait is tied to its table by the macro `mp_core::interface`, which finds methods and parameters by name.
//!
//! ```no_run
//! use mp_codegen::{Options, Schemas, Style};
//!
//! let schemas = Schemas::compile(&Options {
//!     root: "my-crate".into(),
//!     files: vec!["schema/echo.capnp".into()],
//!     ..Options::default()
//! })?;
//! for file in schemas.emit(&Style::default())? {
//!     println!("{}:\n{}", file.name, file.text);
//! }
//! # Ok::<(), mp_codegen::Error>(())
//! ```
//!
//! The generated text is meant to be committed. It is what rustfmt would print, it does not depend on the machine, and
//! its head holds digests of what it was made from, so that
//! [`Job::check`] finds an outdated or edited file where the `capnp` tool is not installed too.
//!
//! # Annotations
//!
//! Those of `/mp/proxy.capnp`; our own edition of that file, with the same ids, is used unless an import path has one.
//! `secret` is of a file of our own, `/mp/rust.capnp`, which an import finds in the same way.
//!
//! | annotation | effect |
//! |---|---|
//! | `wrap` | the `wrap` of the table; with [`Traits::Unwrapped`], no trait is printed for the interface |
//! | `name` | the Rust name, in snake case; without it the schema's name in snake case |
//! | `count(0)`, `skip` | `implicit`: no argument stands for the field. On a type: for all fields of that type |
//! | `count(n)`, n > 0 | none: where C++ passes several arguments, Rust passes one |
//! | `exception` | the `exception` of the result |
//! | `secret` | the `secret` of the field, parameter or result: logs show its size alone |
//! | `include`, `includeTypes` | none: they are for C++ |
//!
//! Unions, groups and default values of pointer fields have no place in a table: they are errors that name the line
//! and what to write instead.

mod compile;
mod error;
mod inputs;
mod job;
mod model;
mod names;
mod request;
mod rust;
mod tables;
mod traits;

pub use error::{Error, Place, Problem};
pub use inputs::{Stale, is_generated};
pub use job::Job;
pub use rust::Format;

use inputs::Inputs;
use std::path::{Path, PathBuf};

/// What to read, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The folder that the other paths are relative to; empty for the current one.
    pub root: PathBuf,
    /// The schema files. Generated files name them as they stand here, so relative ones are best.
    pub files: Vec<PathBuf>,
    /// Where imports that start with `/` are looked for, besides the tool's own folders and our own `/mp/…`.
    pub import_paths: Vec<PathBuf>,
    /// The Cap'n Proto compiler; `capnp` on the `PATH` if `None`.
    pub tool: Option<PathBuf>,
}

/// How to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// The path of the runtime crate in the generated code: `mp_core`, or `crate` within it.
    pub runtime: String,
    /// Which interfaces get a trait besides their table.
    pub traits: Traits,
    /// The path of the codec that printed traits name.
    pub codec: String,
    /// The settings of rustfmt in the project that the files go to.
    pub format: Format,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            runtime: "mp_core".to_owned(),
            traits: Traits::None,
            codec: "Codec".to_owned(),
            format: Format::default(),
        }
    }
}

/// Which interfaces get a Rust trait, and structs a Rust struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traits {
    /// None: the traits are written by hand.
    None,
    /// Those without `$Proxy.wrap`, which names an existing one.
    Unwrapped,
    /// All.
    All,
}

/// Schema files, read and checked.
pub struct Schemas {
    model: model::Model,
    inputs: Inputs,
    /// Where the sources lie, to find lines in them.
    options: Option<Options>,
}

/// A generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Its name, `mining.rs` for `schema/mining.capnp`.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl Schemas {
    /// Reads the files with the `capnp` tool.
    ///
    /// # Errors
    ///
    /// [`Error::ToolMissing`] without the tool, [`Error::Compile`] with its messages if it refuses a file,
    /// [`Error::Schema`] with file and line for what has no meaning in Rust, and errors of reading.
    pub fn compile(options: &Options) -> Result<Self, Error> {
        let inputs = Inputs::read(options)?;
        let bytes = compile::request(options)?;
        let mut request = request::read(&bytes)?;
        for file in &mut request.files {
            file.name = inputs::shown(Path::new(file.name.trim_start_matches("./")));
        }
        let model = model::build(&request).map_err(|e| compile::locate(e, options))?;
        Ok(Self {
            model,
            inputs,
            options: Some(options.clone()),
        })
    }

    /// Reads a `CodeGeneratorRequest`, as `capnp compile -o-` prints it and compiler plugins get it.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] and [`Error::Request`] if it is none, [`Error::Schema`] as above, without lines.
    pub fn from_request(bytes: &[u8]) -> Result<Self, Error> {
        let request = request::read(bytes)?;
        let names = request.files.iter().map(|file| file.name.clone());
        let inputs = Inputs::of_request(bytes, names);
        let model = model::build(&request)?;
        Ok(Self {
            model,
            inputs,
            options: None,
        })
    }

    /// Writes a Rust file for each schema file, sorted by name.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`] for a constant or, with traits, a type that Rust has no equal of.
    pub fn emit(&self, style: &Style) -> Result<Vec<GeneratedFile>, Error> {
        self.print(style).map_err(|error| match &self.options {
            Some(options) => compile::locate(error, options),
            None => error,
        })
    }

    fn print(&self, style: &Style) -> Result<Vec<GeneratedFile>, Error> {
        let mut generated = Vec::new();
        for file in &self.model.files {
            let mut text = String::new();
            rust::doc(&mut text, "//!", 0, &format!("Tables of `{}`.", file.name));
            text.push('\n');
            text.push_str(&tables::print(&self.model, file, style)?);
            text.push_str(&traits::print(&self.model, file, style)?);
            let inputs = self.inputs.digest(&file.name, style);
            let head = inputs::head(&printable(&file.name), &inputs, &text);
            generated.push(GeneratedFile {
                name: format!("{}.rs", file.module),
                text: head + &text,
            });
        }
        Ok(generated)
    }
}

/// A name on one line.
fn printable(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
