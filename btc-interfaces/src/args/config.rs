//! `bitcoin.conf` and the files it includes.

use super::key::Key;
use super::{Args, ArgsError, OptionError, Section, paths, table};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The file's usual name.
const FILE_NAME: &str = "bitcoin.conf";

/// The largest file that is read, in bytes: far above any configuration that somebody wrote.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// One setting of a file.
struct Line {
    key: String,
    value: String,
}

impl Args {
    /// Reads the configuration file and those it includes, chooses the network, and makes sure that the data directory is
    /// there.
    ///
    /// # Errors
    /// As Core's: a data directory that does not exist, a file that cannot be read where it was asked for, a line that
    /// says nothing, networks that don't go together, a `bitcoin.conf` in the data directory that was not the one read.
    /// Unknown names are passed over with a warning.
    pub fn load_config(&mut self) -> Result<(), ArgsError> {
        self.check_data_dir().map_err(ArgsError::NoDataDir)?;
        let first_data_dir = self.data_dir();
        let config_path = self.requested_config_path();
        self.config_path.clone_from(&config_path);
        if let Some(path) = &config_path {
            self.read_files(path).map_err(ArgsError::Config)?;
        }
        self.check_data_dir()
            .map_err(|path| ArgsError::Config(OptionError::NoDataDir(path)))?;
        self.section = Some(self.network()?);
        self.create_data_dirs()?;
        self.check_ignored_config(&first_data_dir, config_path.as_deref())
    }

    /// The configuration file that was or would have been read; `None` for `-noconf`.
    pub fn config_path(&self) -> Option<&Path> {
        self.config_path.as_deref()
    }

    /// The file that the command line asks for; `None` for `-noconf`.
    fn requested_config_path(&self) -> Option<PathBuf> {
        let path = self.path("conf", FILE_NAME)?;
        Some(self.data_dir().join(path))
    }

    fn read_files(&mut self, path: &Path) -> Result<(), OptionError> {
        if path.is_dir() {
            return Err(OptionError::IsDirectory(path.to_owned()));
        }
        let Some(text) = read_file(path)? else {
            // Only a file that was asked for has to be there.
            return if self.is_set("conf") {
                Err(OptionError::CannotOpen(path.to_owned()))
            } else {
                Ok(())
            };
        };
        self.read_text(&text, &path.display().to_string())?;
        if self.is_negated("includeconf") && self.settings.command_line.contains_key("includeconf")
        {
            return Ok(());
        }
        let network_error = |error| OptionError::Network(Box::new(error));
        let chain = self.network().map_err(network_error)?.to_core_arg();
        let of_network = self.includes(chain, 0);
        let of_all = self.includes("", 0);
        for name in of_network.iter().chain(&of_all) {
            let path = self.data_dir().join(name);
            if path.is_dir() {
                return Err(OptionError::IncludedIsDirectory(path));
            }
            let text = read_file(&path)?.ok_or_else(|| OptionError::CannotInclude(name.clone()))?;
            self.read_text(&text, name)?;
        }
        let chain_now = self.network().map_err(network_error)?.to_core_arg();
        let mut nested = self.includes(chain, of_network.len());
        nested.extend(self.includes("", of_all.len()));
        if chain_now != chain {
            nested.extend(self.includes(chain_now, 0));
        }
        for name in nested {
            self.notices.push(format!(
                "warning: -includeconf cannot be used from included files; ignoring -includeconf={name}"
            ));
        }
        Ok(())
    }

    /// The files that a section includes, after the first `skip` and after the last negation.
    fn includes(&self, section: &str, skip: usize) -> Vec<String> {
        let values = self
            .settings
            .config
            .get(section)
            .and_then(|section| section.get("includeconf"));
        let values = values.map_or(&[] as &[Value], Vec::as_slice);
        let negated = values
            .iter()
            .rposition(|value| *value == Value::Bool(false));
        let skip = skip.max(negated.map_or(0, |last| last + 1));
        let values = values.iter().skip(skip);
        values
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect()
    }

    /// Reads one file's text; `file` names it in messages.
    fn read_text(&mut self, text: &str, file: &str) -> Result<(), OptionError> {
        let (lines, sections) = parse(text, file)?;
        self.sections.extend(sections);
        for Line { key: text, value } in lines {
            let key = Key::parse(&text);
            match key.name {
                "conf" => return Err(OptionError::ConfInConfig),
                "reindex" => self.warnings.push(
                    "reindex=1 is set in the configuration file, which will significantly slow down startup. Consider \
                     removing or commenting out this option for better performance, unless there is currently a \
                     condition which makes rebuilding the indexes necessary"
                        .to_owned(),
                ),
                _ => {}
            }
            // The file is shared by programs that know different options.
            let Some(spec) = table::find(self.program, key.name) else {
                let known = table::find_in_any(key.name).is_some();
                if !known {
                    self.warnings
                        .push(format!("Ignoring unknown configuration value {text}"));
                }
                continue;
            };
            let value = self.interpret(&key, Some(&value), spec)?;
            let section = self.settings.config.entry(key.section.to_owned());
            let values = section.or_default().entry(key.name.to_owned());
            values.or_default().push(value);
        }
        Ok(())
    }

    /// Makes the data directories, with one for wallets in each that is new: wallets are kept beside the chain's files
    /// only where a directory was made before there was one for them.
    fn create_data_dirs(&self) -> Result<(), ArgsError> {
        if !self.program.is_node() {
            return Ok(());
        }
        for dir in [self.data_dir(), self.net_data_dir()] {
            if !dir.exists() {
                let wallets = dir.join("wallets");
                fs::create_dir_all(&wallets).map_err(|error| ArgsError::CreateDir {
                    path: wallets,
                    reason: error.to_string(),
                })?;
            }
        }
        Ok(())
    }

    /// A user who put a configuration file where this run does not look for one must learn of it.
    fn check_ignored_config(
        &mut self,
        first_data_dir: &Path,
        read: Option<&Path>,
    ) -> Result<(), ArgsError> {
        let data_dir = self.data_dir();
        let beside = data_dir.join(FILE_NAME);
        if !beside.exists() || !self.program.is_node() {
            return Ok(());
        }
        let quoted = |path: &Path| format!("\"{}\"", path.display());
        let Some(read) = read else {
            return Ok(());
        };
        if paths::is_same_file(read, &beside) {
            return Ok(());
        }
        let data_dir = quoted(&data_dir);
        let source = match self.value("conf").filter(|path| !path.is_empty()) {
            Some(path) => format!("command line argument \"-conf={path}\""),
            None => format!("data directory {}", quoted(first_data_dir)),
        };
        let text = format!(
            "Data directory {data_dir} contains a \"{FILE_NAME}\" file which is ignored, because a different configuration \
             file {} from {source} is being used instead. Possible ways to address this would be to:\n\
             - Delete or rename the \"{FILE_NAME}\" file in data directory {data_dir}.\n\
             - Change datadir= or conf= options to specify one configuration file, not two, and use includeconf= to include \
             any other configuration files.",
            quoted(read)
        );
        if self.flag("allowignoredconf") == Some(true) {
            self.warnings.push(text);
            return Ok(());
        }
        Err(ArgsError::IgnoredConfig(format!(
            "{text}\n- Set allowignoredconf=1 option to treat this condition as a warning, not an error."
        )))
    }
}

/// A file's text; `None` if it cannot be opened.
fn read_file(path: &Path) -> Result<Option<String>, OptionError> {
    let Ok(file) = File::open(path) else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    if file.take(MAX_SIZE + 1).read_to_end(&mut bytes).is_err() {
        return Ok(None);
    }
    if bytes.len() as u64 > MAX_SIZE {
        return Err(OptionError::TooLarge {
            path: path.to_owned(),
            most: MAX_SIZE,
        });
    }
    let text = String::from_utf8(bytes);
    text.map(Some)
        .map_err(|_| OptionError::NotText(path.to_owned()))
}

/// Takes a file's text apart: settings with their section's name before them, and sections with their places.
fn parse(text: &str, file: &str) -> Result<(Vec<Line>, Vec<Section>), OptionError> {
    const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];
    let mut lines = Vec::new();
    let mut sections = Vec::new();
    let mut prefix = String::new();
    for (index, full) in text.split('\n').enumerate() {
        let number = index + 1;
        let (code, comment) = match full.split_once('#') {
            Some((code, comment)) => (code, Some(comment)),
            None => (full, None),
        };
        let code = code.trim_matches(BLANK);
        let section = |name: &str| Section {
            name: name.to_owned(),
            file: file.to_owned(),
            line: number,
        };
        if code.is_empty() {
            continue;
        }
        if let Some(name) = code
            .strip_prefix('[')
            .and_then(|code| code.strip_suffix(']'))
        {
            sections.push(section(name));
            prefix = format!("{name}.");
            continue;
        }
        if code.starts_with('-') {
            return Err(OptionError::LeadingDash {
                line: number,
                text: code.to_owned(),
            });
        }
        let Some((name, value)) = code.split_once('=') else {
            return Err(OptionError::Line {
                line: number,
                text: code.to_owned(),
            });
        };
        let key = format!("{prefix}{}", name.trim_matches(BLANK));
        if comment.is_some() && key.contains("rpcpassword") {
            return Err(OptionError::HashInPassword(number));
        }
        if let Some(dot) = key.rfind('.')
            && prefix.len() <= dot
        {
            sections.push(section(&key[..dot]));
        }
        lines.push(Line {
            key,
            value: value.trim_matches(BLANK).to_owned(),
        });
    }
    Ok((lines, sections))
}
