//! The table of statuses that `docs/conformance.md` keeps.

use super::entries::Entry;
use crate::Result;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

const BEGIN: &str = "<!-- table: written by `cargo xtask conformance --update` -->\n";
const END: &str = "<!-- end of table -->\n";
const HEAD: &str = "| entry | wave | area | status | date | why |\n|---|---|---|---|---|---|\n";

/// How an entry ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Exit code 0 and nothing on stderr.
    Passed,
    /// Anything else.
    Failed,
    /// By the suite's own rules there was nothing to test.
    Skipped,
    /// It was never run, or the runner did not come to it.
    NotRun,
}

impl Status {
    const ALL: [Self; 4] = [Self::Passed, Self::Failed, Self::Skipped, Self::NotRun];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::NotRun => "not run",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// What is kept of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// How it ended when it was last run.
    pub status: Status,
    date: String,
    /// Why it does not pass, written by hand; gone as soon as it passes.
    why: String,
}

impl Record {
    /// When it was last run, as `2026-11-22`; empty if never.
    pub fn date(&self) -> &str {
        &self.date
    }
}

/// The page: prose around the table.
#[derive(Debug)]
pub struct Table {
    before: String,
    records: BTreeMap<String, Record>,
    after: String,
}

impl Table {
    /// Reads the page.
    ///
    /// # Errors
    /// If it has no table between its two marks, or a line there is no row.
    pub fn parse(page: &str) -> Result<Self> {
        let missing = "the page has no table between its marks";
        let (before, rest) = page.split_once(BEGIN).ok_or(missing)?;
        let (table, after) = rest.split_once(END).ok_or(missing)?;
        let mut records = BTreeMap::new();
        let rows = table.split_once(HEAD).map_or("", |(_, rows)| rows);
        for line in rows.lines() {
            let cells: Vec<&str> = line
                .trim()
                .trim_matches('|')
                .split('|')
                .map(str::trim)
                .collect();
            let not_a_row = || format!("'{line}' is no row of the table");
            let &[name, _, _, word, date, why] = cells.as_slice() else {
                return Err(not_a_row().into());
            };
            let status = Status::of(word).ok_or_else(not_a_row)?;
            let record = Record {
                status,
                date: date.to_owned(),
                why: why.to_owned(),
            };
            records.insert(name.to_owned(), record);
        }
        Ok(Self {
            before: before.to_owned(),
            records,
            after: after.to_owned(),
        })
    }

    /// What is kept of an entry.
    pub fn get(&self, name: &str) -> Option<&Record> {
        self.records.get(name)
    }

    /// Keeps how an entry ended on a day. The reason written by hand stays while the status stays.
    pub fn set(&mut self, entry: &Entry, status: Status, date: &str) {
        let why = match self.records.remove(&entry.name) {
            Some(record) if record.status == status && status != Status::Passed => record.why,
            _ => String::new(),
        };
        let record = Record {
            status,
            date: date.to_owned(),
            why,
        };
        self.records.insert(entry.name.clone(), record);
    }

    /// The page with counts by wave and a row for each entry of the list, in its order.
    pub fn render(&self, list: &[Entry]) -> String {
        let status = |entry: &Entry| self.get(&entry.name).map_or(Status::NotRun, |r| r.status);
        let mut waves: BTreeMap<u8, BTreeMap<Status, usize>> = BTreeMap::new();
        for entry in list {
            *waves
                .entry(entry.wave)
                .or_default()
                .entry(status(entry))
                .or_default() += 1;
        }
        let mut table =
            String::from("| wave | passed | failed | skipped | not run |\n|---|---|---|---|---|\n");
        let mut write = |line: std::fmt::Arguments<'_>| {
            table
                .write_fmt(line)
                .expect("a string takes what is written to it");
        };
        for (wave, counts) in &waves {
            write(format_args!("| {wave} |"));
            for status in Status::ALL {
                write(format_args!(" {} |", counts.get(&status).unwrap_or(&0)));
            }
            write(format_args!("\n"));
        }
        write(format_args!("\n{HEAD}"));
        for entry in list {
            let (date, why) = self
                .get(&entry.name)
                .map_or(("", ""), |record| (&record.date, &record.why));
            let (name, wave, area) = (&entry.name, entry.wave, &entry.area);
            let word = status(entry).word();
            write(format_args!(
                "| {name} | {wave} | {area} | {word} | {date} | {why} |\n"
            ));
        }
        format!("{}{BEGIN}{table}{END}{}", self.before, self.after)
    }
}

/// Today in UTC, as `2026-11-22`.
pub fn today() -> Result<String> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(date(seconds / 86_400))
}

/// The day that is so many days after 1 January 1970, in the Gregorian calendar.
fn date(mut days: u64) -> String {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [
        31,
        28 + u64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::{Status, Table, date};
    use crate::conformance::entries::{Entry, parse as entries};

    fn list() -> Vec<Entry> {
        entries("entry\twave\tarea\nrpc_bind.py --ipv4\t1\trpc\np2p_getdata.py\t2\tp2p\n")
            .expect("it is a list")
    }

    fn empty() -> Table {
        Table::parse(&format!("# Prose\n\n{}{}Tail\n", super::BEGIN, super::END))
            .expect("it has its marks")
    }

    #[test]
    fn what_is_written_is_read() {
        let list = list();
        let mut table = empty();
        table.set(&list[0], Status::Passed, "2026-11-22");
        let page = table.render(&list);
        assert!(page.starts_with("# Prose\n"));
        assert!(page.ends_with("Tail\n"));
        assert!(page.contains("| 1 | 1 | 0 | 0 | 0 |\n| 2 | 0 | 0 | 0 | 1 |\n"));
        assert!(page.contains("| p2p_getdata.py | 2 | p2p | not run |  |  |\n"));
        let again = Table::parse(&page).expect("it is a page");
        let record = again.get("rpc_bind.py --ipv4").expect("it is kept");
        assert_eq!(
            (record.status, record.date()),
            (Status::Passed, "2026-11-22")
        );
        assert_eq!(again.render(&list), page);
    }

    #[test]
    fn reasons_stay_while_the_status_stays() {
        let list = list();
        let mut table = empty();
        table.set(&list[1], Status::Failed, "2026-11-21");
        let page = table
            .render(&list)
            .replace("2026-11-21 |  |", "2026-11-21 | no peers yet |");
        let mut table = Table::parse(&page).expect("it is a page");
        table.set(&list[1], Status::Failed, "2026-11-22");
        assert!(
            table
                .render(&list)
                .contains("| 2026-11-22 | no peers yet |")
        );
        table.set(&list[1], Status::Passed, "2026-11-23");
        assert!(table.render(&list).contains("| 2026-11-23 |  |"));
    }

    #[test]
    fn a_page_that_is_damaged_is_refused() {
        assert!(Table::parse("# Prose\n").is_err());
        let page = empty()
            .render(&list())
            .replace("not run |  ", "perhaps |  ");
        assert!(Table::parse(&page).is_err());
    }

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(59), "1970-03-01");
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(20_779), "2026-11-22");
        assert_eq!(date(20_818), "2026-12-31");
    }
}
