//! Figures and verdicts as log lines show them.

use btc_consensus::{BlockError, Work};

/// The work of a chain, as the binary logarithm that log lines show.
pub(super) fn log2_work(work: Work) -> f64 {
    let bytes = work.value().to_be_bytes();
    bytes
        .iter()
        .fold(0.0_f64, |sum, byte| sum * 256.0 + f64::from(*byte))
        .log2()
}

/// Work as 64 hexadecimal digits, the most significant first.
pub(super) fn work_hex(work: Work) -> String {
    format!("{:064x}", work.value())
}

/// A time in seconds since 1970 as log lines show it: `2009-01-03T18:15:05Z`.
pub(super) fn iso8601(time: u32) -> String {
    let (days, seconds) = (i64::from(time / 86_400), time % 86_400);
    // Days since 1 March of year 0: with leap days at the ends of years, months follow a linear formula.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// What is wrong with a block, as the log tells it: the reject string, and what explains it further.
pub(super) fn verdict(error: &BlockError) -> String {
    let (reason, debug) = (error.reject_reason(), error.debug_message());
    match debug.is_empty() {
        true => reason.into_owned(),
        false => format!("{reason}, {debug}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_as_a_logarithm() {
        assert_eq!(log2_work(Work::from_compact(0x207f_ffff)), 1.0);
        // The genesis block of the main network, as every log of it shows.
        let work = log2_work(Work::from_compact(0x1d00_ffff));
        assert_eq!(format!("{work:.6}"), "32.000022");
    }

    #[test]
    fn times_as_log_lines_show_them() {
        assert_eq!(iso8601(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso8601(1_231_006_505), "2009-01-03T18:15:05Z");
        assert_eq!(iso8601(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(iso8601(u32::MAX), "2106-02-07T06:28:15Z");
    }
}
