//! Configuration as it crosses a process boundary.

/// The command line, configuration file and settings of the process that starts another, so that both see one
/// configuration. Source: Core's `common::Settings` and the `GlobalArgs` of its multiprocess branch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, schema = crate::ipc::schema::common::GLOBAL_ARGS))]
pub struct GlobalArgs {
    /// The chain's name as `-chain` takes it: `main`, `test`, `testnet4`, `signet` or `regtest`.
    pub chain: String,
    /// The data directory of that chain, absolute: `…/regtest`.
    pub net_data_dir: String,
    /// Every option in force, one a line as `name=value`, in order of precedence (the first value of an option wins
    /// where one value counts). Options that hold credentials are left out.
    pub options: Vec<String>,
    /// The time set by `-mocktime` or `setmocktime` in seconds since 1970, or 0 for the real clock.
    pub mock_time: i64,
}

/// Whether a changed setting is also written to `settings.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "ipc", derive(mp_core::Message), mp(codec = crate::ipc::Btc, repr = "Int32"))]
pub enum SettingsAction {
    /// Write the file.
    Write = 0,
    /// Keep it in memory only.
    SkipWrite = 1,
}
