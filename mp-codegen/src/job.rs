//! Generated files on disk: writing them, and finding the stale ones.

use crate::inputs::{self, Inputs, is_generated};
use crate::{Error, Options, Schemas, Stale, Style, model, names};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Which files are generated from what, and where they lie.
#[derive(Debug, Clone)]
pub struct Job {
    /// The schemas.
    pub options: Options,
    /// How to write.
    pub style: Style,
    /// The folder of the generated files.
    pub out: PathBuf,
    /// The file that declares their modules, `schema.rs` beside `schema/`, if it is to be written.
    pub parent: Option<PathBuf>,
}

impl Job {
    /// Writes the files that are not up to date, and gives their paths.
    ///
    /// # Errors
    ///
    /// Those of [`Schemas::compile`] and [`Schemas::emit`], and [`Error::Io`]. Nothing is written before all is
    /// generated. A generated file of a schema that is gone is left alone; [`Job::check`] names it.
    pub fn write(&self) -> Result<Vec<PathBuf>, Error> {
        let mut written = Vec::new();
        let files = self.generate()?;
        std::fs::create_dir_all(&self.out).map_err(|e| io(&self.out, e))?;
        for (path, text) in files {
            if read_if_there(&path)?.as_deref() != Some(&text) {
                std::fs::write(&path, &text).map_err(|e| io(&path, e))?;
                written.push(path);
            }
        }
        Ok(written)
    }

    /// Generates all anew and compares: the files that differ, and generated ones that no schema accounts for.
    ///
    /// # Errors
    ///
    /// Those of [`Job::write`], [`Error::ToolMissing`] among them: [`Job::check_digests`] needs no tool.
    pub fn check(&self) -> Result<Vec<(PathBuf, Stale)>, Error> {
        let mut found = Vec::new();
        let files = self.generate()?;
        for (path, text) in &files {
            match read_if_there(path)? {
                None => found.push((path.clone(), Stale::Missing)),
                Some(old) if old == *text => {}
                Some(_) => found.push((path.clone(), Stale::Differs)),
            }
        }
        let expected: Vec<&Path> = files.iter().map(|(path, _)| path.as_path()).collect();
        found.extend(self.leftovers(&expected)?);
        Ok(found)
    }

    /// Compares the digests in the files with those of their sources and of their text.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::ImportMissing`] if a source cannot be read.
    pub fn check_digests(&self) -> Result<Vec<(PathBuf, Stale)>, Error> {
        let inputs = Inputs::read(&self.options)?;
        let mut found = Vec::new();
        let mut expected = Vec::new();
        for file in &self.options.files {
            let name = inputs::shown(file);
            let path = self.out.join(format!("{}.rs", model::module_name(&name)));
            let state = match read_if_there(&path)? {
                Some(text) => inputs::check(&text, &inputs.digest(&name, &self.style)),
                None => Err(Stale::Missing),
            };
            if let Err(stale) = state {
                found.push((path.clone(), stale));
            }
            expected.push(path);
        }
        if let Some(path) = &self.parent {
            match read_if_there(path)? {
                None => found.push((path.clone(), Stale::Missing)),
                Some(old) if old == self.parent_text() => {}
                Some(_) => found.push((path.clone(), Stale::Differs)),
            }
        }
        let expected: Vec<&Path> = expected.iter().map(PathBuf::as_path).collect();
        found.extend(self.leftovers(&expected)?);
        Ok(found)
    }

    fn generate(&self) -> Result<Vec<(PathBuf, String)>, Error> {
        let schemas = Schemas::compile(&self.options)?;
        let mut files: Vec<(PathBuf, String)> = schemas
            .emit(&self.style)?
            .into_iter()
            .map(|file| (self.out.join(file.name), file.text))
            .collect();
        if let Some(path) = &self.parent {
            files.push((path.clone(), self.parent_text()));
        }
        Ok(files)
    }

    fn parent_text(&self) -> String {
        let mut modules: Vec<String> = self
            .options
            .files
            .iter()
            .map(|file| model::module_name(&inputs::shown(file)))
            .collect();
        modules.sort();
        let mut text =
            String::from("//! The tables of the schemas, a module for each schema file.\n\n");
        for module in modules {
            text.push_str(&format!("pub mod {};\n", names::in_code(&module)));
        }
        inputs::head_without_inputs("the schemas it lists", &text) + &text
    }

    fn leftovers(&self, expected: &[&Path]) -> Result<Vec<(PathBuf, Stale)>, Error> {
        let entries = match std::fs::read_dir(&self.out) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io(&self.out, e)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(|e| io(&self.out, e))?.path();
            let generated = path.extension().is_some_and(|e| e == "rs")
                && !expected.contains(&path.as_path())
                && self.parent.as_ref() != Some(&path)
                && read_if_there(&path)?.is_some_and(|text| is_generated(&text));
            if generated {
                found.push((path, Stale::Orphaned));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}

/// The text of a file, `None` if there is no such file.
fn read_if_there(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io(path, e)),
    }
}
