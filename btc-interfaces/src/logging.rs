//! The debug log: lines as bitcoind writes them, from `tracing` events.
//!
//! An event's target is its category: `tracing::debug!(target: "net", …)` is shown where `-debug=net` is set, as
//! `[net] …`. Events of other targets have no category; they are shown from the level info up. A line is in the file
//! before the call that logged it returns, in one write, so that several processes may share the file.
//!
//! What one place in the program may write in an hour is bounded, unless the event has a field `unlimited`.

mod categories;
mod error;
mod limit;
mod line;
mod sink;

pub use categories::{CATEGORIES, Filter};
pub use error::LogError;
pub use line::{Format, iso8601};

use crate::GlobalArgs;
use crate::args::{Args, Program};
use limit::{Limiter, Place, Verdict};
use sink::Sink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// What is logged, how and where.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// The file; `None` for none.
    pub file: Option<PathBuf>,
    /// Whether this process begins a run: it parts its lines from earlier ones.
    pub new_run: bool,
    /// Whether the file is cut to its end when it is opened and too long.
    pub shrink: bool,
    /// Whether lines go to standard output, too.
    pub console: bool,
    /// Whether a place in the program that logs too much is kept from the file for a while (`-logratelimit`).
    pub limited: bool,
    /// How a line looks.
    pub format: Format,
    /// Which lines there are.
    pub filter: Filter,
}

impl LogOptions {
    /// As the options say; the file is relative to the network's data directory.
    ///
    /// # Errors
    /// For a category or level that does not exist.
    pub fn from_args(args: &Args) -> Result<Self, LogError> {
        Self::read(args, &args.net_data_dir())
    }

    /// As the process that started this one logs: into the same file, but never to the screen.
    ///
    /// # Errors
    /// As [`LogOptions::from_args`].
    pub fn of_child(global: &GlobalArgs) -> Result<Self, LogError> {
        let args = Args::from_global(Program::Wallet, global);
        Ok(Self {
            console: false,
            new_run: false,
            shrink: false,
            ..Self::read(&args, Path::new(&global.net_data_dir))?
        })
    }

    fn read(args: &Args, net_data_dir: &Path) -> Result<Self, LogError> {
        let flag = |name: &str, default: bool| args.flag(name).unwrap_or(default);
        let filter = Filter::from_args(args)?;
        // Another process learns of a negated option as of the value 0.
        let file = args
            .path("debuglogfile", "debug.log")
            .filter(|file| file != Path::new("0"))
            .map(|file| net_data_dir.join(file));
        Ok(Self {
            file,
            new_run: true,
            shrink: flag("shrinkdebugfile", filter.is_quiet()),
            console: flag(
                "printtoconsole",
                !flag("daemon", false) && !flag("daemonwait", false),
            ),
            limited: flag("logratelimit", true),
            format: Format {
                timestamps: flag("logtimestamps", true),
                micros: flag("logtimemicros", false),
                thread_names: flag("logthreadnames", false),
                source_locations: flag("logsourcelocations", false),
                always_level: flag("loglevelalways", false),
            },
            filter,
        })
    }
}

/// The log of a process. Clones are one log.
#[derive(Clone)]
pub struct Logger(Arc<Inner>);

struct Inner {
    filter: Filter,
    format: Format,
    mock_time: AtomicI64,
    sink: Mutex<Sink>,
    /// Locked after the sink.
    limiter: Option<Mutex<Limiter>>,
    path: Option<PathBuf>,
    new_run: bool,
    shrink: bool,
}

impl Logger {
    /// A log that keeps its lines until [`Logger::open`] says where they go.
    pub fn new(options: &LogOptions) -> Self {
        Self(Arc::new(Inner {
            filter: options.filter.clone(),
            format: options.format,
            mock_time: AtomicI64::new(0),
            sink: Mutex::new(Sink::new(options.console)),
            limiter: options
                .limited
                .then(|| Mutex::new(Limiter::new(Instant::now()))),
            path: options.file.clone(),
            new_run: options.new_run,
            shrink: options.shrink,
        }))
    }

    /// Makes this the log of all of the process's events.
    ///
    /// # Errors
    /// If there is one already.
    pub fn install(&self) -> Result<(), LogError> {
        let subscriber = tracing_subscriber::registry().with(self.layer());
        tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Installed)
    }

    /// The log as a layer of a subscriber.
    pub fn layer<S: Subscriber>(&self) -> impl Layer<S> + use<S> {
        LogLayer(self.clone())
    }

    /// Opens the file and writes what was kept.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn open(&self) -> Result<(), LogError> {
        let Some(path) = &self.0.path else {
            self.sink().release(None, false);
            return Ok(());
        };
        let failed = |source| LogError::Open {
            path: path.clone(),
            source,
        };
        if self.0.shrink {
            sink::shrink(path).map_err(failed)?;
        }
        let file = sink::open(path).map_err(failed)?;
        self.sink().release(Some(file), self.0.new_run);
        Ok(())
    }

    /// Opens the file anew, for those who move logs away.
    ///
    /// # Errors
    /// If the file cannot be opened; the old one stays in use.
    pub fn reopen(&self) -> Result<(), LogError> {
        if let Some(path) = &self.0.path {
            let file = sink::open(path).map_err(|source| LogError::Open {
                path: path.clone(),
                source,
            })?;
            self.sink().replace(file);
        }
        Ok(())
    }

    /// The file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// Shows a set time in every line, in seconds since 1970; 0 for none.
    pub fn set_mock_time(&self, time: i64) {
        self.0.mock_time.store(time, Ordering::Relaxed);
    }

    /// Every category, sorted, and whether its details are logged.
    pub fn categories(&self) -> Vec<(String, bool)> {
        self.0.filter.list()
    }

    /// Starts or ends logging of a category's details; `all`, `1` and the empty name are all of them. `false` if there is
    /// no such category.
    pub fn set_category(&self, name: &str, enabled: bool) -> bool {
        self.0.filter.set(name, enabled)
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        // A panic inside leaves at worst a line that is not written.
        self.0.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what is known at the start of a run: directories, configuration, options.
pub fn log_start(args: &Args) {
    tracing::info!(
        "Log output may contain privacy-sensitive information. Be cautious when sharing logs."
    );
    if args.flag("logtimestamps") == Some(false) {
        tracing::info!("Startup time: {}", iso8601(SystemTime::now()));
    }
    let default = crate::args::default_data_dir();
    tracing::info!("Default data directory {}", default.display());
    tracing::info!("Using data directory {}", args.net_data_dir().display());
    match args.config_path() {
        None => tracing::info!("Config file: <disabled>"),
        Some(path) if path.exists() => tracing::info!("Config file: {}", path.display()),
        Some(path) => tracing::info!("Config file: {} (not found, skipping)", path.display()),
    }
    for line in args.log_lines() {
        tracing::info!("{line}");
    }
}

struct LogLayer(Logger);

impl<S: Subscriber> Layer<S> for LogLayer {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // Categories change while the program runs.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // Not only of events: `tracing::enabled!` asks with metadata that are neither event nor span.
        !metadata.is_span() && self.0.0.filter.shows(metadata.target(), *metadata.level())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let inner = &self.0.0;
        let mock_time = inner.mock_time.load(Ordering::Relaxed);
        let (now, format) = (SystemTime::now(), inner.format);
        let line = format.line(event, now, mock_time);
        let mut sink = self.0.sink();
        let Some(limiter) = &inner.limiter else {
            return sink.write(&line);
        };
        // A panic inside leaves at worst a count that is too low.
        let mut limiter = limiter.lock().unwrap_or_else(PoisonError::into_inner);
        if sink.keeps() {
            return sink.write(&line);
        }
        let own = |text: &str| format.own_line(Level::WARN, text, now, mock_time);
        for text in limiter.renew(Instant::now()) {
            sink.write(&own(&text));
        }
        let verdict = match Place::of(event.metadata()) {
            Some(place) => limiter.consume(place, line.len()),
            None => Verdict::Write,
        };
        // So that nobody searches in vain for lines that are not there.
        let marked = |line: String| match limiter.is_suppressing() {
            true => format!("[*] {line}"),
            false => line,
        };
        match verdict {
            Verdict::Write => sink.write(&marked(line)),
            Verdict::Last(text) => {
                sink.write(&marked(own(&text)));
                sink.write(&marked(line));
            }
            Verdict::Drop => sink.write_to_console(&marked(line)),
        }
    }
}
