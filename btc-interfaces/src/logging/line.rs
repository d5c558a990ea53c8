//! One line.

use super::CATEGORIES;
use super::limit::UNLIMITED;
use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// How a line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Format {
    /// The time is shown.
    pub timestamps: bool,
    /// To the microsecond.
    pub micros: bool,
    /// The thread is shown.
    pub thread_names: bool,
    /// The place in the program is shown.
    pub source_locations: bool,
    /// Category and level are shown even where they say nothing.
    pub always_level: bool,
}

impl Format {
    /// The line for an event, with its newline. `mock_time` is shown unless it is 0.
    pub(super) fn line(&self, event: &Event<'_>, now: SystemTime, mock_time: i64) -> String {
        let metadata = event.metadata();
        let place = (
            metadata.file().unwrap_or("?"),
            metadata.line().unwrap_or(0),
            metadata.module_path().unwrap_or("?"),
        );
        let mut message = Message::default();
        event.record(&mut message);
        let (target, level) = (metadata.target(), *metadata.level());
        self.compose((target, level), place, &message.0, now, mock_time)
    }

    /// As [`line`](Self::line), for what the log itself says.
    pub(super) fn own_line(
        &self,
        level: Level,
        text: &str,
        now: SystemTime,
        mock_time: i64,
    ) -> String {
        let place = (file!(), line!(), module_path!());
        self.compose((module_path!(), level), place, text, now, mock_time)
    }

    fn compose(
        &self,
        (target, level): (&str, Level),
        (file, number, module): (&str, u32, &str),
        text: &str,
        now: SystemTime,
        mock_time: i64,
    ) -> String {
        let mut line = String::new();
        if self.timestamps {
            let since = since_1970(now);
            line.push_str(&iso8601_seconds(since.as_secs()));
            if self.micros {
                line.pop();
                let _ = write!(line, ".{:06}Z", since.subsec_micros());
            }
            if let Ok(seconds @ 1..) = u64::try_from(mock_time) {
                let _ = write!(line, " (mocktime: {})", iso8601_seconds(seconds));
            }
            line.push(' ');
        }
        if self.thread_names {
            let thread = std::thread::current();
            let _ = write!(line, "[{}] ", thread.name().unwrap_or("unknown"));
        }
        if self.source_locations {
            let _ = write!(line, "[{file}:{number}] [{module}] ");
        }
        self.push_prefix(target, level, &mut line);
        escape(text.trim_end_matches('\n'), &mut line);
        line.push('\n');
        line
    }

    fn push_prefix(&self, target: &str, level: Level, line: &mut String) {
        let category = CATEGORIES.binary_search(&target).is_ok();
        let level_name = match level {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let _ = match (category, self.always_level) {
            (true, false) if level == Level::DEBUG => write!(line, "[{target}] "),
            (true, _) => write!(line, "[{target}:{level_name}] "),
            (false, true) => write!(line, "[all:{level_name}] "),
            (false, false) if level == Level::INFO => Ok(()),
            (false, false) => write!(line, "[{level_name}] "),
        };
    }
}

/// The text of an event: its message, then its other fields as `name=value`.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}{}", self.0);
        } else if field.name() != UNLIMITED {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }
}

/// Shows control characters but the newline as `\x..`, so that nobody's text can play with a terminal.
fn escape(text: &str, line: &mut String) {
    for c in text.chars() {
        match c {
            '\n' => line.push(c),
            c if c.is_ascii_control() => {
                let _ = write!(line, "\\x{:02x}", u32::from(c));
            }
            c => line.push(c),
        }
    }
}

fn since_1970(time: SystemTime) -> Duration {
    // A clock before 1970 is a broken one; the log can live with it.
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A time as `2009-01-03T18:15:05Z`.
pub fn iso8601(time: SystemTime) -> String {
    iso8601_seconds(since_1970(time).as_secs())
}

fn iso8601_seconds(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days are counted in eras of 400 years that begin on a first of March, so that a leap day ends its year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_231_006_505, "2009-01-03T18:15:05Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(iso8601_seconds(seconds), text);
        }
        // No time that a clock can show is too late.
        assert!(iso8601_seconds(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn control_characters_are_shown_as_codes() {
        let mut line = String::new();
        escape("a\x1b[31m\u{7f}\nü", &mut line);
        assert_eq!(line, "a\\x1b[31m\\x7f\nü");
    }
}
