//! Timing calls, and the table of what they took.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::raw::Bare;

/// The times of one kind of call.
#[derive(Default, Clone)]
pub struct Row {
    /// In ns, of each call. Not in order.
    times: Vec<u64>,
    elapsed: Duration,
}

impl Row {
    /// Makes calls one after the other for `time`, after a tenth of it as a warm-up. `call` is told which call it is.
    pub fn of<E>(time: Duration, mut call: impl FnMut(u64) -> Result<(), E>) -> Result<Self, E> {
        let warm = Instant::now();
        let mut n = 0;
        while n < 3 || warm.elapsed() < time / 10 {
            call(n)?;
            n += 1;
        }
        let mut row = Self::default();
        let began = Instant::now();
        let mut last = began;
        while row.times.is_empty() || last - began < time {
            call(n)?;
            n += 1;
            let now = Instant::now();
            row.times.push((now - last).as_nanos() as u64);
            last = now;
        }
        row.elapsed = last - began;
        Ok(row)
    }

    /// Makes calls with `depth` of them under way at any time. `start` sends one, `end` waits for its reply. Each call's
    /// time is that between the two.
    pub fn overlapping<C, E>(
        time: Duration,
        depth: usize,
        mut start: impl FnMut(u64) -> C,
        mut end: impl FnMut(u64, C) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut under_way = VecDeque::with_capacity(depth);
        let mut row = Self::default();
        let mut began = None;
        for n in 0.. {
            under_way.push_back((n, Instant::now(), start(n)));
            if under_way.len() < depth {
                continue;
            }
            let Some((n, sent, call)) = under_way.pop_front() else {
                continue;
            };
            end(n, call)?;
            let now = Instant::now();
            // Until the first calls are through, fewer are under way.
            let began = *began.get_or_insert(now);
            if now > began {
                row.times.push((now - sent).as_nanos() as u64);
            }
            row.elapsed = now - began;
            if row.elapsed >= time {
                break;
            }
        }
        for (n, _, call) in under_way {
            end(n, call)?;
        }
        Ok(row)
    }

    /// Adds what another thread measured meanwhile.
    pub fn merge(&mut self, other: Self) {
        self.times.extend(other.times);
        self.elapsed = self.elapsed.max(other.elapsed);
    }

    /// In µs.
    pub fn p50(&self) -> f64 {
        self.percentile(50)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let mut times = self.times.clone();
        let at = (times.len() * percent / 100).min(times.len() - 1);
        let (_, value, _) = times.select_nth_unstable(at);
        *value as f64 / 1e3
    }

    fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Measures and prints row by row.
///
/// How long a wake-up takes changes within seconds, with what the processors did last and where the system puts the
/// threads. So the bare socket is measured before and after each row, for a fifth of its time each, and the row's ratio
/// refers to the mean of the two.
pub struct Table {
    time: Duration,
    /// Rows whose names do not contain it are left out.
    only: Option<String>,
    bare: Bare,
}

impl Table {
    pub fn new(time: Duration, only: Option<String>, bare: Bare) -> Self {
        println!(
            "\n{:<48} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7}",
            "", "p50 µs", "p99 µs", "calls/s", "bare µs", "× bare", "MB/s"
        );
        Self { time, only, bare }
    }

    pub fn headline(&self, text: &str) {
        println!("\n{text}");
    }

    /// Measures one row. `size` is what each call carries there and back, in bytes.
    pub fn row<E: From<io::Error>>(
        &mut self,
        name: &str,
        size: Option<usize>,
        measure: impl FnOnce(Duration) -> Result<Row, E>,
    ) -> Result<(), E> {
        if self.only.as_ref().is_some_and(|only| !name.contains(only)) {
            return Ok(());
        }
        let before = self.bare.measure(self.time / 5)?;
        let row = measure(self.time)?;
        let after = self.bare.measure(self.time / 5)?;
        let bare = f64::midpoint(before.p50(), after.p50());
        let rate = size.map(|size| format!("{:.0}", size as f64 * row.per_second() / 1e6));
        println!(
            "{name:<48} {:>9.1} {:>9.1} {:>9.0} {bare:>9.1} {:>7.1} {:>7}",
            row.p50(),
            row.percentile(99),
            row.per_second(),
            row.p50() / bare,
            rate.unwrap_or_default()
        );
        Ok(())
    }
}

/// One line on where and when this runs.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let date = Command::new("date").args(["-u", "+%F %H:%M UTC"]).output();
    let date = date.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("unknown");
    format!(
        "{}; {cores} cores, {model}; Linux {}; load average {load}",
        date.unwrap_or_default(),
        read("/proc/sys/kernel/osrelease").trim()
    )
}
