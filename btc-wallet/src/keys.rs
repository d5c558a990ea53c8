//! A descriptor in a wallet: its scripts, its keys, and how far its addresses were handed out.

use crate::crypter::PlainMasterKey;
use crate::db::Batch;
use crate::db::record::{DescriptorId, DescriptorRecords, DescriptorValue};
use bitcoin::bip32::{Xpriv, Xpub};
use bitcoin::{Address, Network, NetworkKind, PublicKey, ScriptBuf};
use btc_interfaces::AddressType;
use btc_interfaces::descriptor::{
    Descriptor, DescriptorError, Expansion, KeyCache, Secret, SecretKeys, secp,
};
use std::collections::HashMap;

/// How many addresses ahead of the last used one a wallet watches, for each of its descriptors.
pub(crate) const DEFAULT_KEYPOOL: u32 = 1000;
/// The greatest index that a BIP 32 step has.
const MAX_INDEX: i32 = i32::MAX;

/// Why keys cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The descriptor failed.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// The stored descriptor and its identifier do not belong together.
    #[error("The descriptor ID calculated by the wallet differs from the one in DB")]
    WrongId,
    /// Records of a descriptor that is not there, or the reverse.
    #[error("descriptor {0} is incomplete in the wallet file")]
    Incomplete(DescriptorId),
    /// The cache lacks keys that the range needs.
    #[error("Error: Unable to expand wallet descriptor from cache")]
    Cache,
    /// Keys of both kinds.
    #[error("Wallet contains both unencrypted and encrypted keys")]
    Mixed,
    /// No fresh key can be derived without the passphrase or the private key.
    #[error("Error: Keypool ran out, please call keypoolrefill first")]
    KeypoolRanOut,
    /// A range that cannot be.
    #[error("invalid descriptor range")]
    Range,
    /// Some keys decrypt, others don't.
    #[error(
        "Error unlocking wallet: some keys decrypt but not all. Your wallet file may be corrupt."
    )]
    PartlyDecrypted,
}

/// The private keys of one descriptor, as they are stored.
#[derive(Debug)]
enum Keys {
    Plain(SecretKeys),
    Encrypted(Vec<(PublicKey, Vec<u8>)>),
}

/// One descriptor of a wallet.
#[derive(Debug)]
pub(crate) struct KeyManager {
    id: DescriptorId,
    descriptor: Descriptor,
    value: DescriptorValue,
    cache: KeyCache,
    keys: Keys,
    scripts: HashMap<ScriptBuf, i32>,
    /// One past the last index in `scripts`.
    scripts_end: i32,
}

/// The descriptor of a wallet's own addresses of one kind. Source: BIPs 44, 49, 84 and 86.
fn own_descriptor_text(master: &Xpub, kind: AddressType, internal: bool) -> String {
    let coin = match master.network {
        NetworkKind::Main => 0,
        NetworkKind::Test => 1,
    };
    let branch = u8::from(internal);
    let path = |purpose: u32| format!("{master}/{purpose}h/{coin}h/0h/{branch}/*");
    match kind {
        AddressType::Legacy => format!("pkh({})", path(44)),
        AddressType::P2shSegwit => format!("sh(wpkh({}))", path(49)),
        AddressType::Bech32 => format!("wpkh({})", path(84)),
        AddressType::Bech32m => format!("tr({})", path(86)),
    }
}

/// The stored number of an address type. Source: Core's `OutputType`.
pub(crate) fn type_number(kind: AddressType) -> u8 {
    match kind {
        AddressType::Legacy => 0,
        AddressType::P2shSegwit => 1,
        AddressType::Bech32 => 2,
        AddressType::Bech32m => 3,
    }
}

/// All kinds of address, in the order in which Core sets them up.
pub(crate) const ADDRESS_TYPES: [AddressType; 4] = [
    AddressType::Legacy,
    AddressType::P2shSegwit,
    AddressType::Bech32,
    AddressType::Bech32m,
];

impl KeyManager {
    /// A descriptor of the wallet's own, below `master`; the caller tops it up.
    pub(crate) fn own(
        master: &Xpriv,
        kind: AddressType,
        internal: bool,
        network: Network,
        creation_time: u64,
    ) -> Result<Self, KeyError> {
        let xpub = Xpub::from_priv(secp(), master);
        let parsed =
            Descriptor::parse(&own_descriptor_text(&xpub, kind, internal), network, false)?;
        let mut secrets = SecretKeys::new(NetworkKind::from(network));
        secrets.insert(Secret::new(master.private_key, true));
        Ok(Self::new(
            parsed.descriptor,
            secrets,
            creation_time,
            0,
            0,
            0,
        ))
    }

    /// A descriptor from outside, whose range covers `range_start..range_end`; the caller tops it up.
    pub(crate) fn new(
        descriptor: Descriptor,
        secrets: SecretKeys,
        creation_time: u64,
        range_start: i32,
        range_end: i32,
        next_index: i32,
    ) -> Self {
        Self {
            id: descriptor.id(),
            value: DescriptorValue {
                text: descriptor.to_string(),
                creation_time,
                next_index,
                range_start,
                range_end,
            },
            descriptor,
            cache: KeyCache::default(),
            keys: Keys::Plain(secrets),
            scripts: HashMap::new(),
            scripts_end: range_start,
        }
    }

    /// From the wallet's file.
    pub(crate) fn load(
        id: DescriptorId,
        records: DescriptorRecords,
        network: Network,
    ) -> Result<Self, KeyError> {
        let value = records.value.ok_or(KeyError::Incomplete(id))?;
        let parsed = Descriptor::parse(&value.text, network, true)?;
        if parsed.descriptor.id() != id {
            return Err(KeyError::WrongId);
        }
        if value.range_start < 0 || value.range_end < value.range_start || value.next_index < 0 {
            return Err(KeyError::Range);
        }
        let keys = match (records.secrets.is_empty(), records.crypted.is_empty()) {
            (false, false) => return Err(KeyError::Mixed),
            (true, false) => Keys::Encrypted(records.crypted),
            (_, true) => {
                let mut secrets = SecretKeys::new(NetworkKind::from(network));
                for secret in records.secrets {
                    secrets.insert(secret);
                }
                Keys::Plain(secrets)
            }
        };
        let mut manager = Self {
            id,
            descriptor: parsed.descriptor,
            scripts_end: value.range_start,
            value,
            cache: records.cache,
            keys,
            scripts: HashMap::new(),
        };
        for index in manager.value.range_start..manager.value.range_end {
            let expansion = manager
                .descriptor
                .expand_cached(index.cast_unsigned(), &manager.cache)?
                .ok_or(KeyError::Cache)?;
            manager.add_scripts(index, &expansion);
        }
        Ok(manager)
    }

    fn add_scripts(&mut self, index: i32, expansion: &Expansion) {
        for script in &expansion.scripts {
            self.scripts.insert(script.script_pubkey.clone(), index);
        }
        self.scripts_end = index + 1;
    }

    pub(crate) fn id(&self) -> DescriptorId {
        self.id
    }

    pub(crate) fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    pub(crate) fn value(&self) -> &DescriptorValue {
        &self.value
    }

    pub(crate) fn scripts(&self) -> impl Iterator<Item = &ScriptBuf> {
        self.scripts.keys()
    }

    pub(crate) fn index_of(&self, script: &bitcoin::Script) -> Option<i32> {
        self.scripts.get(script).copied()
    }

    pub(crate) fn has_private_keys(&self) -> bool {
        match &self.keys {
            Keys::Plain(secrets) => !secrets.is_empty(),
            Keys::Encrypted(_) => true,
        }
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self.keys, Keys::Encrypted(_))
    }

    /// Addresses that can still be handed out from what is derived.
    pub(crate) fn keypool_size(&self) -> i64 {
        i64::from(self.value.range_end) - i64::from(self.value.next_index)
    }

    /// Whether it can give addresses at all.
    pub(crate) fn can_give_addresses(&self) -> bool {
        self.descriptor.is_single_type()
            && self.descriptor.is_range()
            && (self.has_private_keys()
                || self.value.next_index < self.value.range_end
                || self.descriptor.can_self_expand())
    }

    /// The private keys as stored: plain, or decrypted with the wallet's key where there is one; else none.
    pub(crate) fn secrets(
        &self,
        master_key: Option<&PlainMasterKey>,
        network: NetworkKind,
    ) -> SecretKeys {
        match (&self.keys, master_key) {
            (Keys::Plain(secrets), _) => secrets.clone(),
            (Keys::Encrypted(_), None) => SecretKeys::new(network),
            (Keys::Encrypted(crypted), Some(master_key)) => {
                let mut secrets = SecretKeys::new(network);
                for (public_key, crypted) in crypted {
                    if let Some(secret) = master_key.decrypt(public_key, crypted) {
                        secrets.insert(secret);
                    }
                }
                secrets
            }
        }
    }

    /// Whether `master_key` is the one the keys are encrypted with; `None` if there are no encrypted keys.
    pub(crate) fn check_master_key(
        &self,
        master_key: &PlainMasterKey,
    ) -> Result<Option<bool>, KeyError> {
        let Keys::Encrypted(crypted) = &self.keys else {
            return Ok(None);
        };
        let good = crypted
            .iter()
            .filter(|(public_key, crypted)| master_key.decrypt(public_key, crypted).is_some())
            .count();
        match good {
            0 => Ok(Some(false)),
            good if good == crypted.len() => Ok(Some(true)),
            _ => Err(KeyError::PartlyDecrypted),
        }
    }

    /// Encrypts the private keys and puts the change into `batch`; [`KeyManager::encrypted`] follows when it is on disk.
    pub(crate) fn encrypt(
        &self,
        master_key: &PlainMasterKey,
        batch: &mut Batch,
    ) -> Vec<(PublicKey, Vec<u8>)> {
        let Keys::Plain(secrets) = &self.keys else {
            return Vec::new();
        };
        secrets
            .iter()
            .map(|(public_key, secret)| {
                let crypted = master_key.encrypt(secret);
                batch.descriptor_crypted_key(&self.id, public_key, &crypted);
                (*public_key, crypted)
            })
            .collect()
    }

    /// Replaces plain keys by what [`KeyManager::encrypt`] gave.
    pub(crate) fn encrypted(&mut self, crypted: Vec<(PublicKey, Vec<u8>)>) {
        if !crypted.is_empty() {
            self.keys = Keys::Encrypted(crypted);
        }
    }

    /// Puts the descriptor's own record and its keys into `batch`; with `master_key` the keys go encrypted.
    pub(crate) fn store_keys(&mut self, master_key: Option<&PlainMasterKey>, batch: &mut Batch) {
        batch.descriptor(&self.id, &self.value);
        match master_key {
            Some(master_key) => {
                let crypted = self.encrypt(master_key, batch);
                self.encrypted(crypted);
            }
            None => {
                if let Keys::Plain(secrets) = &self.keys {
                    for (_, secret) in secrets.iter() {
                        batch.descriptor_key(&self.id, secret);
                    }
                }
            }
        }
    }

    /// Derives scripts until `size` are ahead of the next address, and gives the new ones. What changed goes into
    /// `batch`.
    pub(crate) fn top_up(
        &mut self,
        size: u32,
        secrets: &SecretKeys,
        batch: &mut Batch,
    ) -> Result<Vec<ScriptBuf>, KeyError> {
        let new_end = if self.descriptor.is_range() {
            let wanted = i64::from(self.value.next_index) + i64::from(size);
            i32::try_from(wanted)
                .unwrap_or(MAX_INDEX)
                .max(self.value.range_end)
        } else {
            self.value.range_start = 0;
            1
        };
        let mut new_scripts = Vec::new();
        let mut new_cache = KeyCache::default();
        let outcome = (|| {
            while self.scripts_end < new_end {
                let index = self.scripts_end.cast_unsigned();
                let expansion = match self.descriptor.expand_cached(index, &self.cache)? {
                    Some(expansion) => expansion,
                    None => {
                        let mut fresh = KeyCache::default();
                        let expansion = self.descriptor.expand(index, secrets, &mut fresh)?;
                        let added = self.cache.merge(&fresh);
                        new_cache.merge(&added);
                        expansion
                    }
                };
                new_scripts.extend(
                    expansion
                        .scripts
                        .iter()
                        .map(|script| script.script_pubkey.clone()),
                );
                self.add_scripts(self.scripts_end, &expansion);
            }
            Ok(())
        })();
        if self.scripts_end > self.value.range_end {
            self.value.range_end = self.scripts_end;
            batch.descriptor_cache(&self.id, &new_cache);
            batch.descriptor(&self.id, &self.value);
        }
        match outcome {
            // A locked wallet derives what it can; that is an error only where nothing is left to hand out.
            Err(DescriptorError::MissingPrivateKey) if self.keypool_size() > 0 => Ok(new_scripts),
            Err(DescriptorError::MissingPrivateKey) => Err(KeyError::KeypoolRanOut),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(new_scripts),
        }
    }

    /// The script of the next address; it counts as handed out once `batch` is written.
    pub(crate) fn take_next(&mut self, batch: &mut Batch) -> Result<ScriptBuf, KeyError> {
        if self.value.next_index >= self.value.range_end {
            return Err(KeyError::KeypoolRanOut);
        }
        let script = self.first_script_at(self.value.next_index)?;
        self.value.next_index += 1;
        batch.descriptor(&self.id, &self.value);
        Ok(script)
    }

    /// Takes an address back, if it is the last one handed out.
    pub(crate) fn give_back(&mut self, script: &bitcoin::Script, batch: &mut Batch) {
        if self
            .index_of(script)
            .is_some_and(|index| index + 1 == self.value.next_index)
        {
            self.value.next_index -= 1;
            batch.descriptor(&self.id, &self.value);
        }
    }

    fn first_script_at(&self, index: i32) -> Result<ScriptBuf, KeyError> {
        let expansion = self.expansion_at(index)?;
        let script = expansion
            .scripts
            .into_iter()
            .next()
            .ok_or(KeyError::Cache)?;
        Ok(script.script_pubkey)
    }

    /// Scripts and keys at an index within the range.
    pub(crate) fn expansion_at(&self, index: i32) -> Result<Expansion, KeyError> {
        let index = u32::try_from(index).map_err(|_| KeyError::Range)?;
        self.descriptor
            .expand_cached(index, &self.cache)?
            .ok_or(KeyError::Cache)
    }

    /// Notes that `script` was seen in a transaction: all addresses up to it count as handed out. Gives those that had
    /// not been.
    pub(crate) fn mark_used(
        &mut self,
        script: &bitcoin::Script,
        batch: &mut Batch,
    ) -> Result<Vec<ScriptBuf>, KeyError> {
        let Some(index) = self.index_of(script) else {
            return Ok(Vec::new());
        };
        let mut newly = Vec::new();
        while self.value.next_index <= index {
            newly.push(self.first_script_at(self.value.next_index)?);
            self.value.next_index += 1;
        }
        if !newly.is_empty() {
            batch.descriptor(&self.id, &self.value);
        }
        Ok(newly)
    }

    /// Replaces range, time and keys by those of a second import of the same descriptor.
    pub(crate) fn reimport(
        &mut self,
        creation_time: u64,
        range: (i32, i32),
        next_index: i32,
        secrets: SecretKeys,
    ) -> Result<(), String> {
        if self.descriptor.is_range() {
            if range.0 > self.value.range_start || range.1 < self.value.range_end {
                return Err(format!(
                    "new range must include current range = [{},{}]",
                    self.value.range_start,
                    self.value.range_end - 1
                ));
            }
            self.value.range_start = range.0;
            self.value.range_end = range.1;
            self.value.next_index = next_index;
        }
        self.value.creation_time = creation_time;
        self.scripts.clear();
        self.scripts_end = self.value.range_start;
        if let Keys::Plain(known) = &mut self.keys {
            for (_, secret) in secrets.iter() {
                known.insert(secret.clone());
            }
        }
        Ok(())
    }

    /// As `listdescriptors` shows it.
    pub(crate) fn public_text(&self, network: NetworkKind) -> Result<String, KeyError> {
        let none = SecretKeys::new(network);
        Ok(self.descriptor.to_normalized_string(&none, &self.cache)?)
    }
}

/// The address of a script, as the wallet shows and stores it; empty where there is none.
pub(crate) fn address_text(script: &bitcoin::Script, network: Network) -> String {
    Address::from_script(script, network)
        .map(|address| address.to_string())
        .unwrap_or_default()
}
