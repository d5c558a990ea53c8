//! What the crate is without feature `ipc`: traits that an embedding program implements and holds.

use btc_interfaces::noop::{NoopChain, NoopWalletLoader};
use btc_interfaces::rpc::code;
use btc_interfaces::{Chain, CreateWallet, FnHandler, Handler, WalletLoader};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[test]
fn a_handler_unregisters_once_however_it_ends() {
    let undone = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&undone);
    let handler: Arc<dyn Handler> = Arc::new(FnHandler::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    }));
    handler.disconnect().expect("it is in this process");
    assert_eq!(undone.load(Ordering::SeqCst), 1);
    handler.disconnect().expect("twice is harmless");
    drop(handler);
    assert_eq!(undone.load(Ordering::SeqCst), 1);
}

#[test]
fn an_absent_part_says_so() {
    let chain: Arc<dyn Chain> = Arc::new(NoopChain);
    assert_eq!(chain.height(), Ok(None));
    let made = NoopWalletLoader
        .create_wallet(CreateWallet::default())
        .expect("the call itself works");
    assert!(made.wallet.is_none());
    assert_eq!(made.code, code::WALLET_ERROR);
}
