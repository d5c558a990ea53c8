//! The entries of the suite that the project goes by.

use super::command_line::Wanted;
use crate::Result;

/// One entry of the list of Core's test runner: a script, perhaps with options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As the runner names it, such as `rpc_bind.py --ipv4`.
    pub name: String,
    /// When its turn comes: entries of wave 1 need least of a node.
    pub wave: u8,
    /// What it is about, such as `rpc` or `p2p`.
    pub area: String,
}

impl Entry {
    /// The script without its options.
    fn script(&self) -> &str {
        self.name.split(' ').next().unwrap_or_default()
    }
}

/// Reads a list with a headline that names the columns `entry` (or `name`), `wave` and `area`, parted by tabs.
///
/// Lines whose wave is no number are for entries that say nothing about a node, and left out.
pub fn parse(text: &str) -> Result<Vec<Entry>> {
    let mut lines = text.lines();
    let heads: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let column = |names: &[&str]| {
        heads
            .iter()
            .position(|head| names.contains(head))
            .ok_or_else(|| format!("the list of entries has no column '{}'", names[0]))
    };
    let (name, wave, area) = (
        column(&["entry", "name"])?,
        column(&["wave"])?,
        column(&["area"])?,
    );
    let mut entries = Vec::new();
    for line in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |index: usize| {
            cells
                .get(index)
                .copied()
                .ok_or_else(|| format!("the list of entries has a short line: '{line}'"))
        };
        if let Ok(wave) = cell(wave)?.parse() {
            entries.push(Entry {
                name: cell(name)?.to_owned(),
                wave,
                area: cell(area)?.to_owned(),
            });
        }
    }
    Ok(entries)
}

/// The entries that were asked for, in the list's order.
pub fn choose<'a>(list: &'a [Entry], wanted: &Wanted) -> Result<Vec<&'a Entry>> {
    let named = |entry: &Entry, test: &str| {
        entry.name == test
            || entry.script() == test
            || entry.script().strip_suffix(".py") == Some(test)
    };
    if let Some(unknown) = wanted
        .tests
        .iter()
        .find(|test| !list.iter().any(|entry| named(entry, test)))
    {
        return Err(format!("the list has no entry '{unknown}'").into());
    }
    let chosen: Vec<&Entry> = list
        .iter()
        .filter(|entry| {
            (wanted.tests.is_empty() || wanted.tests.iter().any(|test| named(entry, test)))
                && (wanted.waves.is_empty() || wanted.waves.contains(&entry.wave))
                && (wanted.areas.is_empty() || wanted.areas.contains(&entry.area))
        })
        .collect();
    if chosen.is_empty() {
        return Err("no entry is of these waves and areas".into());
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::{choose, parse};
    use crate::conformance::command_line::Wanted;

    const LIST: &str = "entry\twave\tarea\n\
        rpc_bind.py --ipv4\t1\trpc\n\
        rpc_bind.py --ipv6\t1\trpc\n\
        p2p_getdata.py\t2\tp2p\n\
        tool_rpcauth.py\tX\ttool\n";

    fn names(wanted: &Wanted) -> Vec<String> {
        let list = parse(LIST).expect("it is a list");
        let chosen = choose(&list, wanted).expect("there are some");
        chosen.iter().map(|entry| entry.name.clone()).collect()
    }

    #[test]
    fn the_projects_own_list_is_sound() {
        let list = parse(include_str!("../../data/conformance.tsv")).expect("it is a list");
        let mut seen: Vec<&str> = list.iter().map(|entry| entry.name.as_str()).collect();
        seen.sort_unstable();
        let count = seen.len();
        seen.dedup();
        assert_eq!(seen.len(), count, "an entry stands there twice");
        assert!(list.iter().all(|entry| (1..=5).contains(&entry.wave)));
        assert!(list.iter().all(|entry| entry.script().ends_with(".py")));
    }

    #[test]
    fn a_script_means_all_its_entries() {
        let wanted = |test: &str| Wanted {
            tests: vec![test.to_owned()],
            ..Wanted::default()
        };
        assert_eq!(names(&wanted("rpc_bind")).len(), 2);
        assert_eq!(names(&wanted("rpc_bind.py")).len(), 2);
        assert_eq!(names(&wanted("rpc_bind.py --ipv6")), ["rpc_bind.py --ipv6"]);
    }

    #[test]
    fn waves_and_areas_narrow() {
        let wanted = Wanted {
            waves: vec![2],
            ..Wanted::default()
        };
        assert_eq!(names(&wanted), ["p2p_getdata.py"]);
        assert_eq!(names(&Wanted::default()).len(), 3);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let list = parse(LIST).expect("it is a list");
        let wanted = Wanted {
            tests: vec!["rpc_bin".to_owned()],
            ..Wanted::default()
        };
        let error = choose(&list, &wanted).expect_err("there is none");
        assert_eq!(error.to_string(), "the list has no entry 'rpc_bin'");
        assert!(parse("entry\tarea\n").is_err());
        assert!(parse("entry\twave\tarea\nx.py\n").is_err());
    }
}
