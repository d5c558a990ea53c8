//! Where things are on this machine.

use super::Args;
use bitcoin::Network;
use std::path::{Component, Path, PathBuf};

/// The data directory where `-datadir` names none: `~/.bitcoin`, on macOS `~/Library/Application Support/Bitcoin`.
pub fn default_data_dir() -> PathBuf {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.map_or_else(|| PathBuf::from("/"), PathBuf::from);
    if cfg!(target_os = "macos") {
        home.join("Library/Application Support/Bitcoin")
    } else {
        home.join(".bitcoin")
    }
}

/// The name of a network's directory inside the data directory; empty for the main network.
pub fn net_dir_name(network: Network) -> &'static str {
    match network {
        Network::Bitcoin => "",
        Network::Testnet => "testnet3",
        Network::Testnet4 => "testnet4",
        Network::Signet => "signet",
        Network::Regtest => "regtest",
    }
}

/// The port of the RPC server where `-rpcport` names none.
pub fn rpc_port(network: Network) -> u16 {
    match network {
        Network::Bitcoin => 8332,
        Network::Testnet => 18332,
        Network::Testnet4 => 48332,
        Network::Signet => 38332,
        Network::Regtest => 18443,
    }
}

impl Args {
    /// The data directory, absolute.
    pub fn data_dir(&self) -> PathBuf {
        match self.path("datadir", "") {
            Some(path) if !path.as_os_str().is_empty() => absolute(&path),
            _ => default_data_dir(),
        }
    }

    /// The network's directory inside the data directory.
    pub fn net_data_dir(&self) -> PathBuf {
        let network = self.network().unwrap_or(Network::Bitcoin);
        let dir = self.data_dir();
        match net_dir_name(network) {
            "" => dir,
            name => dir.join(name),
        }
    }

    /// An option that is a path, without `.`, `..` and trailing slashes; `default` if it is unset or empty, `None` if it is
    /// negated.
    pub fn path(&self, name: &str, default: &str) -> Option<PathBuf> {
        if self.is_negated(name) {
            return None;
        }
        match self.value(name).filter(|value| !value.is_empty()) {
            Some(value) => Some(normal(Path::new(&value))),
            None => Some(PathBuf::from(default)),
        }
    }

    /// An option that is a file of the network's directory unless it is absolute; `None` if it is negated.
    pub fn net_file(&self, name: &str, default: &str) -> Option<PathBuf> {
        Some(self.net_data_dir().join(self.path(name, default)?))
    }

    /// `settings.json`, or what `-settings` names; `None` for `-nosettings`.
    pub fn settings_path(&self) -> Option<PathBuf> {
        self.net_file("settings", "settings.json")
    }

    /// The port of the RPC server: `-rpcport`, or the network's.
    pub fn rpc_port(&self) -> u16 {
        let usual = rpc_port(self.network().unwrap_or(Network::Bitcoin));
        let chosen = self
            .int("rpcport")
            .and_then(|port| u16::try_from(port).ok());
        chosen.unwrap_or(usual)
    }

    /// The `-datadir` that is no directory, if so.
    pub(super) fn check_data_dir(&self) -> Result<(), String> {
        match self.path("datadir", "") {
            Some(path) if !path.as_os_str().is_empty() && !absolute(&path).is_dir() => {
                Err(self.value("datadir").unwrap_or_default())
            }
            _ => Ok(()),
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    // Fails only without a current directory; then a relative path is all there is.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The path without `.`, and without `..` where a name stands before it.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(normal.components().next_back(), Some(Component::Normal(_))) =>
            {
                normal.pop();
            }
            Component::ParentDir if normal.has_root() => {}
            other => normal.push(other),
        }
    }
    normal
}

pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}
