//! What a wallet knows.

use super::events::Gate;
use crate::crypter::{MasterKey, PlainMasterKey};
use crate::db::record::{DescriptorId, Records};
use crate::db::{Batch, Database};
use crate::error::{Result, WalletError};
use crate::keys::{KeyManager, address_text, type_number};
use crate::tx::{TxRecord, TxState};
use crate::wallet::{
    FLAG_AVOID_REUSE, FLAG_BLANK, FLAG_DESCRIPTORS, FLAG_DISABLE_PRIVATE_KEYS,
    FLAG_EXTERNAL_SIGNER, FLAG_KEY_ORIGIN_METADATA, FLAG_LAST_HARDENED_XPUB_CACHED,
};
use bitcoin::{
    BlockHash, Network, NetworkKind, OutPoint, Script, ScriptBuf, Transaction, TxOut, Txid,
};
use btc_interfaces::AddressType;
use btc_interfaces::descriptor::{ExpandedScript, Expansion, SecretKeys};
use btc_interfaces::rpc::code;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

const KNOWN_FLAGS: u64 = FLAG_AVOID_REUSE
    | FLAG_KEY_ORIGIN_METADATA
    | FLAG_LAST_HARDENED_XPUB_CACHED
    | FLAG_DISABLE_PRIVATE_KEYS
    | FLAG_BLANK
    | FLAG_DESCRIPTORS
    | FLAG_EXTERNAL_SIGNER;
/// Unknown flags in the upper half forbid opening the wallet.
const MANDATORY_FLAGS: u64 = 0xffff_ffff_0000_0000;

/// A transaction of the wallet with what only this run knows of it.
#[derive(Debug)]
pub(crate) struct WalletTx {
    pub(crate) record: TxRecord,
    /// Mempool transactions that spend one of its inputs, or of its ancestors'.
    pub(crate) mempool_conflicts: BTreeSet<Txid>,
}

/// An entry of the address book.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AddressEntry {
    /// The label; none for change that was spent from.
    pub(crate) label: Option<String>,
    /// `receive`, `send` or what others wrote.
    pub(crate) purpose: Option<String>,
    /// Whether it was spent from, in a wallet that avoids reuse.
    pub(crate) used: bool,
}

/// What a wallet knows, and the file that keeps it.
pub(crate) struct State {
    pub(crate) db: Database,
    pub(crate) network: Network,
    pub(crate) flags: u64,
    pub(crate) managers: BTreeMap<DescriptorId, KeyManager>,
    pub(crate) active: BTreeMap<(u8, bool), DescriptorId>,
    /// All scripts that are the wallet's, with the descriptors that give them.
    scripts: HashMap<ScriptBuf, Vec<DescriptorId>>,
    pub(crate) address_book: BTreeMap<String, AddressEntry>,
    pub(crate) txs: HashMap<Txid, WalletTx>,
    /// The wallet's transactions by the outputs they spend.
    pub(crate) spends: HashMap<OutPoint, BTreeSet<Txid>>,
    /// Outputs that are the wallet's, spent or not.
    pub(crate) outputs: BTreeMap<OutPoint, TxOut>,
    /// Outputs not to be spent, and whether that is stored.
    pub(crate) locked: BTreeMap<OutPoint, bool>,
    /// Coins that a payment under way is about to spend.
    pub(crate) reserved: HashSet<OutPoint>,
    pub(crate) order_next: i64,
    pub(crate) master_keys: BTreeMap<u32, MasterKey>,
    pub(crate) unlocked: Option<PlainMasterKey>,
    /// When it locks itself, seconds since 1970; 0 if it is locked.
    pub(crate) unlocked_until: i64,
    /// The last block whose events were taken.
    pub(crate) last_block: Option<(i32, BlockHash)>,
    /// Whether a block or transaction could not be written: what is recorded as seen must not move on then.
    pub(crate) behind: bool,
    /// Header times of the blocks that hold the wallet's transactions, seconds since 1970.
    pub(crate) block_times: HashMap<BlockHash, i64>,
    /// Seconds since 1970; `None` while there are no keys.
    pub(crate) birth_time: Option<i64>,
    pub(crate) gate: Gate,
    /// The locator that the file held when it was opened.
    pub(crate) stored_best: Vec<BlockHash>,
    /// How many addresses ahead each descriptor watches.
    pub(crate) keypool: u32,
}

fn load_error(path: &std::path::Path, what: &str) -> WalletError {
    WalletError::refused(
        code::WALLET_ERROR,
        format!("Error loading {}: {what}", path.display()),
    )
}

impl State {
    /// A wallet without keys.
    pub(crate) fn empty(db: Database, network: Network, flags: u64, keypool: u32) -> Self {
        Self {
            db,
            network,
            flags,
            managers: BTreeMap::new(),
            active: BTreeMap::new(),
            scripts: HashMap::new(),
            address_book: BTreeMap::new(),
            txs: HashMap::new(),
            spends: HashMap::new(),
            outputs: BTreeMap::new(),
            locked: BTreeMap::new(),
            reserved: HashSet::new(),
            order_next: 0,
            master_keys: BTreeMap::new(),
            unlocked: None,
            unlocked_until: 0,
            last_block: None,
            behind: false,
            block_times: HashMap::new(),
            birth_time: None,
            gate: Gate::default(),
            stored_best: Vec::new(),
            keypool,
        }
    }

    /// Reads a wallet from its file; `warnings` takes what its owner should know.
    pub(crate) fn load(
        db: Database,
        network: Network,
        keypool: u32,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let path = db.path().to_owned();
        let records = Records::load(&db, NetworkKind::from(network)).map_err(|error| {
            tracing::warn!(target: "wallet", "{}: {error}", path.display());
            match error {
                crate::db::record::RecordError::Db(error) => error.into(),
                crate::db::record::RecordError::Corrupt { .. } => {
                    load_error(&path, "Wallet corrupted")
                }
            }
        })?;
        let flags = records.flags.unwrap_or(0);
        if flags & MANDATORY_FLAGS & !KNOWN_FLAGS != 0 {
            return Err(load_error(
                &path,
                "Wallet requires newer version of Bitcoin Core",
            ));
        }
        if flags & FLAG_DESCRIPTORS == 0 {
            return Err(load_error(
                &path,
                "Wallet is a legacy wallet. Please migrate to a descriptor wallet using the migration tool (migratewallet RPC).",
            ));
        }
        if flags & FLAG_EXTERNAL_SIGNER != 0 {
            return Err(load_error(
                &path,
                "External signer wallet being loaded without external signer support compiled",
            ));
        }
        if records.legacy.is_some() {
            return Err(WalletError::refused(
                code::WALLET_ERROR,
                format!(
                    "Unexpected legacy entry in descriptor wallet found. Loading wallet {}\n\nThe wallet might have been tampered with or created with malicious intent.\n",
                    path.display()
                ),
            ));
        }
        if !records.tolerable.is_empty() {
            for record in &records.tolerable {
                tracing::warn!(target: "wallet", "{}: {record}", path.display());
            }
            warnings.push(format!(
                "Error reading {}! All keys read correctly, but transaction data or address metadata may be missing or incorrect.",
                path.display()
            ));
        }

        let mut state = Self::empty(db, network, flags, keypool);
        for (id, descriptor) in records.descriptors {
            let manager = KeyManager::load(id, descriptor, network).map_err(|error| {
                tracing::warn!(target: "wallet", "{}: {error}", path.display());
                match error {
                    crate::keys::KeyError::Descriptor(_) => WalletError::refused(
                        code::WALLET_ERROR,
                        format!(
                            "Unrecognized descriptor found. Loading wallet {}\n\nThe wallet might have been created on a newer version.\nPlease try running the latest software version.\n",
                            path.display()
                        ),
                    ),
                    _ => load_error(&path, "Wallet corrupted"),
                }
            })?;
            state.add_manager(manager);
        }
        for (slot, id) in records.active {
            if !state.managers.contains_key(&id) {
                return Err(load_error(&path, "Wallet corrupted"));
            }
            state.active.insert(slot, id);
        }
        for (address, label) in records.names {
            state.address_book.entry(address).or_default().label = Some(label);
        }
        for (address, purpose) in records.purposes {
            state.address_book.entry(address).or_default().purpose = Some(purpose);
        }
        for address in records.used {
            state.address_book.entry(address).or_default().used = true;
        }
        for outpoint in records.locked {
            state.locked.insert(outpoint, true);
        }
        state.master_keys = records.master_keys;
        state.stored_best = records.best_block;
        state.order_next = records.order_pos_next;
        let mut batch = Batch::new();
        if !records.has_version {
            batch.version();
        }
        for (txid, mut record) in records.txs {
            if record.order == -1 {
                record.order = state.order_next;
                state.order_next += 1;
                batch.tx(&txid, &record);
                batch.order_pos_next(state.order_next);
            }
            state.insert_tx(txid, record);
        }
        state.db.commit(batch)?;
        Ok(state)
    }

    pub(crate) fn has_flag(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn network_kind(&self) -> NetworkKind {
        NetworkKind::from(self.network)
    }

    /// Whether private keys are encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        !self.master_keys.is_empty()
    }

    /// Whether private keys need the passphrase now.
    pub(crate) fn is_locked(&self) -> bool {
        self.is_encrypted() && self.unlocked.is_none()
    }

    /// Forgets the key that opens the private keys.
    pub(crate) fn lock_keys(&mut self) {
        self.unlocked = None;
        self.unlocked_until = 0;
    }

    pub(crate) fn add_manager(&mut self, manager: KeyManager) {
        let id = manager.id();
        let time = i64::try_from(manager.value().creation_time).unwrap_or(i64::MAX);
        self.note_birth_time(time);
        let scripts: Vec<ScriptBuf> = manager.scripts().cloned().collect();
        self.managers.insert(id, manager);
        self.add_scripts(id, scripts);
    }

    pub(crate) fn note_birth_time(&mut self, time: i64) {
        self.birth_time = Some(self.birth_time.map_or(time, |known| known.min(time)));
    }

    pub(crate) fn add_scripts(&mut self, id: DescriptorId, scripts: Vec<ScriptBuf>) {
        for script in scripts {
            let ids = self.scripts.entry(script).or_default();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }

    /// Takes in outputs of known transactions that newly derived scripts make the wallet's.
    pub(crate) fn refresh_outputs(&mut self) {
        let found: Vec<(OutPoint, TxOut)> = self
            .txs
            .iter()
            .flat_map(|(txid, tx)| self.own_outputs(*txid, &tx.record.tx))
            .collect();
        self.outputs.extend(found);
    }

    fn own_outputs(&self, txid: Txid, tx: &Transaction) -> Vec<(OutPoint, TxOut)> {
        tx.output
            .iter()
            .zip(0..)
            .filter(|(output, _)| self.is_mine(&output.script_pubkey))
            .map(|(output, vout)| (OutPoint { txid, vout }, output.clone()))
            .collect()
    }

    /// Adds a transaction to the indexes, without writing it.
    pub(crate) fn insert_tx(&mut self, txid: Txid, record: TxRecord) {
        if !record.tx.is_coinbase() {
            for input in &record.tx.input {
                self.spends
                    .entry(input.previous_output)
                    .or_default()
                    .insert(txid);
            }
        }
        let own = self.own_outputs(txid, &record.tx);
        self.outputs.extend(own);
        self.note_birth_time(i64::from(record.time()));
        self.txs.insert(
            txid,
            WalletTx {
                record,
                mempool_conflicts: BTreeSet::new(),
            },
        );
    }

    /// Takes out a transaction that could not be written, or was erased.
    pub(crate) fn forget_tx(&mut self, txid: &Txid) {
        let Some(tx) = self.txs.remove(txid) else {
            return;
        };
        for input in &tx.record.tx.input {
            if let Some(spenders) = self.spends.get_mut(&input.previous_output) {
                spenders.remove(txid);
            }
        }
        self.outputs.retain(|outpoint, _| outpoint.txid != *txid);
    }

    pub(crate) fn is_mine(&self, script: &Script) -> bool {
        self.scripts.contains_key(script)
    }

    /// The wallet's output that an input spends.
    pub(crate) fn own_prevout(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        self.outputs.get(outpoint)
    }

    /// The descriptors that give a script.
    pub(crate) fn managers_of(&self, script: &Script) -> impl Iterator<Item = &KeyManager> {
        self.scripts
            .get(script)
            .into_iter()
            .flatten()
            .filter_map(|id| self.managers.get(id))
    }

    pub(crate) fn ids_of(&self, script: &Script) -> Vec<DescriptorId> {
        self.scripts.get(script).cloned().unwrap_or_default()
    }

    /// What the wallet knows of one of its scripts: the scripts within and the keys. Descriptors that say how to spend
    /// come first.
    pub(crate) fn solve(&self, script: &Script) -> Option<(ExpandedScript, Expansion)> {
        let mut found = None;
        for manager in self.managers_of(script) {
            let index = manager.index_of(script)?;
            let expansion = manager.expansion_at(index).ok()?;
            let own = expansion
                .scripts
                .iter()
                .find(|candidate| *candidate.script_pubkey == *script)?
                .clone();
            let solvable = manager.descriptor().is_solvable();
            if solvable || found.is_none() {
                found = Some((own, expansion));
            }
            if solvable {
                break;
            }
        }
        found
    }

    /// Adds the private keys for one of the wallet's scripts to `into`, as far as they can be had now.
    pub(crate) fn collect_secrets(&self, script: &Script, into: &mut SecretKeys) -> Result<()> {
        for manager in self.managers_of(script) {
            let Some(index) = manager
                .index_of(script)
                .and_then(|index| u32::try_from(index).ok())
            else {
                continue;
            };
            let roots = manager.secrets(self.unlocked.as_ref(), self.network_kind());
            for secret in manager.descriptor().secrets_at(index, &roots)? {
                into.insert(secret);
            }
        }
        Ok(())
    }

    /// The descriptor that gives new addresses of a kind.
    pub(crate) fn active_id(&self, kind: AddressType, internal: bool) -> Option<DescriptorId> {
        self.active.get(&(type_number(kind), internal)).copied()
    }

    /// Whether new addresses of this kind can be had.
    pub(crate) fn can_give_addresses(&self, internal: bool) -> bool {
        self.active
            .iter()
            .filter(|((_, side), _)| *side == internal)
            .filter_map(|(_, id)| self.managers.get(id))
            .any(KeyManager::can_give_addresses)
    }

    /// Whether a descriptor gives change addresses; `None` if it is not active.
    pub(crate) fn is_internal(&self, id: &DescriptorId) -> Option<bool> {
        self.active
            .iter()
            .find(|(_, active)| *active == id)
            .map(|((_, internal), _)| *internal)
    }

    /// Derives scripts ahead for one descriptor.
    pub(crate) fn top_up(&mut self, id: DescriptorId, size: u32, batch: &mut Batch) -> Result<()> {
        let kind = self.network_kind();
        let Some(manager) = self.managers.get_mut(&id) else {
            return Ok(());
        };
        let secrets = manager.secrets(self.unlocked.as_ref(), kind);
        let scripts = manager.top_up(size, &secrets, batch)?;
        self.add_scripts(id, scripts);
        Ok(())
    }

    /// Derives scripts ahead for all active descriptors.
    pub(crate) fn top_up_all(&mut self, size: u32) -> Result<()> {
        let ids: HashSet<DescriptorId> = self.active.values().copied().collect();
        let mut batch = Batch::new();
        for id in ids {
            match self.top_up(id, size, &mut batch) {
                // A locked wallet does that when it is unlocked.
                Err(WalletError::Key(crate::keys::KeyError::KeypoolRanOut)) if self.is_locked() => {
                }
                other => other?,
            }
        }
        self.db.commit(batch)?;
        Ok(())
    }

    /// The address of a script, or empty.
    pub(crate) fn address_of(&self, script: &Script) -> String {
        address_text(script, self.network)
    }

    /// Whether a script of the wallet's is change, as far as one can tell: it is in nobody's address book.
    pub(crate) fn is_change(&self, script: &Script) -> bool {
        self.is_mine(script)
            && self
                .address_book
                .get(&self.address_of(script))
                .is_none_or(|entry| entry.label.is_none())
    }

    pub(crate) fn state_of(&self, txid: &Txid) -> Option<TxState> {
        self.txs.get(txid).map(|tx| tx.record.state)
    }
}
