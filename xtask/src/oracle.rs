//! `cargo xtask oracle`: verdicts beside those of Bitcoin Core's libbitcoinkernel.

use crate::build;

/// Why nothing was compared, or what was found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An argument that the command does not know.
    #[error("oracle: unknown argument {0:?}; it takes --seconds N and --first CASE")]
    Argument(String),
    /// An option without its number.
    #[error("oracle: {0} needs a number")]
    Number(&'static str),
    /// It was not said for how long.
    #[error("oracle: say for how long: --seconds N")]
    Seconds,
    /// The two disagree, or it could not be built, as the output says.
    #[error("oracle: {0}")]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// Runs the command with the arguments after its name.
///
/// # Errors
/// [`Error::Failed`] if the two disagree, else what went wrong.
pub(crate) fn run(arguments: &[String]) -> Result<(), Error> {
    let (seconds, first) = parse(arguments)?;
    let mut command = build::cargo();
    command
        .args(["run", "--release", "--quiet", "--features", "oracle"])
        .args(["--bin", "oracle", "--"])
        .args(["--seconds", &seconds.to_string()])
        .args(["--first", &first.to_string()])
        .current_dir(build::root().join("fuzz"));
    build::run(&mut command).map_err(Error::Failed)
}

/// For how many seconds, and from which case on.
fn parse(arguments: &[String]) -> Result<(u64, u64), Error> {
    let (mut seconds, mut first) = (None, 0);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut number = |name| {
            let value = arguments.next().and_then(|value| value.parse().ok());
            value.ok_or(Error::Number(name))
        };
        match argument.as_str() {
            "--seconds" => seconds = Some(number("--seconds")?),
            "--first" => first = number("--first")?,
            unknown => return Err(Error::Argument(unknown.to_owned())),
        }
    }
    Ok((seconds.ok_or(Error::Seconds)?, first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(u64, u64), String> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        parse(&words).map_err(|error| error.to_string())
    }

    #[test]
    fn time_and_first_case_are_what_was_asked_for() {
        assert_eq!(parsed("--seconds 9"), Ok((9, 0)));
        assert_eq!(parsed("--first 7 --seconds 9"), Ok((9, 7)));
        for (wrong, text) in [
            ("", "say for how long"),
            ("--seconds", "--seconds needs a number"),
            ("--seconds 1 --first x", "--first needs a number"),
            ("--second 1", "\"--second\""),
        ] {
            let error = parsed(wrong).expect_err(wrong);
            assert!(error.contains(text), "{error}");
        }
    }
}
