//! The wallets in a process of their own: serves the node that started it over the socket `-ipcfd`.
//!
//! It is silent on its standard output and error, since these are the node's; it logs into the node's log file. It ends
//! when the socket does, within a second, whatever it was at: what it told its callers is on disk by then. An interrupt
//! from the terminal is for the node to decide upon.

use btc_interfaces::args::{Args, Program};
use btc_interfaces::logging::{LogOptions, Logger};
use btc_interfaces::{
    Chain, Echo, Error, GlobalArgs, Init, Mining, Node, Result, Rpc, WalletLoader,
};
use btc_wallet::WalletInit;
use mp_core::process::FD_OPTION;
use mp_core::{Connection, Options, PeerCheck};
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

const NAME: &str = "bitcoin-wallet";
/// How long closing the wallets may take once the node is gone.
const CLOSING_TIME: Duration = Duration::from_millis(700);

/// What this process offers to the node. Keeps what it made, to close it at the end.
#[derive(Default)]
struct ProcessInit {
    inner: WalletInit,
    loaders: Mutex<Vec<Arc<dyn WalletLoader>>>,
}

impl Init for ProcessInit {
    fn make_echo(&self) -> Result<Arc<dyn Echo>> {
        self.inner.make_echo()
    }

    fn make_mining_old2(&self) -> Result<()> {
        self.inner.make_mining_old2()
    }

    fn make_mining(&self) -> Result<Arc<dyn Mining>> {
        self.inner.make_mining()
    }

    fn make_rpc(&self) -> Result<Arc<dyn Rpc>> {
        self.inner.make_rpc()
    }

    fn make_chain(&self) -> Result<Arc<dyn Chain>> {
        self.inner.make_chain()
    }

    fn make_node(&self) -> Result<Arc<dyn Node>> {
        self.inner.make_node()
    }

    fn make_wallet_loader(
        &self,
        global_args: GlobalArgs,
        chain: Arc<dyn Chain>,
    ) -> Result<Arc<dyn WalletLoader>> {
        start_log(&global_args)?;
        let loader = self.inner.make_wallet_loader(global_args, chain)?;
        self.loaders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&loader));
        Ok(loader)
    }
}

impl ProcessInit {
    /// Closes the wallets, but no longer than [`CLOSING_TIME`]: a thread may be in the middle of a call that nobody
    /// waits for any more. Whatever is not closed then loses nothing that was reported.
    fn close(&self) {
        let loaders =
            std::mem::take(&mut *self.loaders.lock().unwrap_or_else(PoisonError::into_inner));
        let (done, closed) = mpsc::channel();
        let spawned = std::thread::Builder::new()
            .name("closing".to_owned())
            .spawn(move || {
                for loader in loaders {
                    if let Ok(client) = loader.chain_client() {
                        // The node is gone: there is nobody to tell of a failure.
                        let _ = client.stop();
                    }
                }
                let _ = done.send(());
            });
        if spawned.is_ok() {
            let _ = closed.recv_timeout(CLOSING_TIME);
        }
    }
}

/// Logs where the node logs; the first wallets' configuration decides.
fn start_log(global_args: &GlobalArgs) -> Result<()> {
    static STARTED: Mutex<bool> = Mutex::new(false);
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if *started {
        return Ok(());
    }
    let logger = Logger::new(&LogOptions::of_child(global_args).map_err(Error::failed)?);
    logger.install().map_err(Error::failed)?;
    logger.open().map_err(Error::failed)?;
    logger.set_mock_time(global_args.mock_time);
    *started = true;
    Ok(())
}

/// Serves the node at the other end of descriptor `number`, until it leaves.
fn serve(number: &OsString) -> std::result::Result<(), String> {
    let shown = number.to_string_lossy();
    let fd = shown
        .parse()
        .map_err(|error| format!("Invalid {FD_OPTION} number '{shown}' ({error})"))?;
    let stream = mp_core::process::from_fd(fd).map_err(|error| error.to_string())?;
    ignore_interrupts();
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("bitcoin-wallet: {panic}");
    }));
    let init = Arc::new(ProcessInit::default());
    let served: Arc<dyn Init> = init.clone();
    let connection = Connection::serve(stream, served, Options::new().peer(PeerCheck::SameUser))
        .map_err(|error| error.to_string())?;
    if let Some(error) = connection.closed() {
        tracing::error!("bitcoin-wallet: connection to the node ended: {error}");
    }
    init.close();
    Ok(())
}

/// Leaves an interrupt from the terminal, which all its processes get, to the node.
fn ignore_interrupts() {
    #[allow(unsafe_code)]
    // SAFETY: ignoring a signal installs no handler, so no code of ours runs in one.
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_IGN);
    }
}

fn offline(arguments: Vec<OsString>) -> std::result::Result<String, String> {
    let args = Args::read(Program::Wallet, arguments)
        .map_err(|error| format!("Error parsing command line arguments: {error}"))?;
    if let Some(text) = args.info_text(NAME) {
        return Ok(text);
    }
    match args.command() {
        [] => Err("No method provided. Run `bitcoin-wallet -help` for valid methods.".to_owned()),
        [command, ..] => Err(format!(
            "the command '{command}' on wallet files is not supported yet"
        )),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [option, number] if option == FD_OPTION => match serve(number) {
            // Threads may still be in calls: ending the process ends them.
            Ok(()) => std::process::exit(0),
            Err(error) => Err(error),
        },
        _ => offline(arguments),
    };
    match outcome {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}
