//! Making transactions: coins, fees, change, signatures, and sending.

mod build;
mod coins;
pub(crate) mod fee;
pub(crate) mod selection;

pub(crate) use coins::CoinFilter;

use crate::db::Batch;
use crate::error::{Result, WalletError};
use crate::keys::ADDRESS_TYPES;
use crate::options::Options;
use crate::tx::TxState;
use crate::wallet::{State, Wallet};
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut, Txid, Weight};
use btc_interfaces::descriptor::address_type_of;
use btc_interfaces::rpc::code;
use btc_interfaces::{AddressType, BroadcastMethod, WantBlock};
use fee::FeeRate;
use std::collections::HashMap;

/// Nodes relay nothing heavier.
const MAX_STANDARD_TX_WEIGHT: Weight = Weight::from_wu(400_000);
/// A tip older than this says nothing about the height that a transaction would confirm at, in seconds.
const MAX_TIP_AGE: i64 = 8 * 60 * 60;

/// One payment of a transaction.
#[derive(Debug, Clone)]
pub(crate) struct Recipient {
    pub(crate) script: ScriptBuf,
    pub(crate) amount: Amount,
    /// Whether the fee is taken off this amount.
    pub(crate) subtract_fee: bool,
}

/// How a transaction is to be made. The default leaves everything to the wallet.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpendControl {
    pub(crate) feerate: Option<FeeRate>,
    pub(crate) confirm_target: Option<u32>,
    pub(crate) conservative: Option<bool>,
    pub(crate) signal_rbf: Option<bool>,
    pub(crate) change_type: Option<AddressType>,
    /// Whether coins on addresses that were spent from stay out, in a wallet that avoids them; on if `None`.
    pub(crate) avoid_reuse: Option<bool>,
}

/// Where a feerate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FeeReason {
    UserSpecified,
    Required,
    Estimate,
    Fallback,
    MempoolMin,
}

impl FeeReason {
    /// As calls report it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::UserSpecified => "User Specified",
            Self::Required => "Minimum Required Fee",
            Self::Estimate => "Fee Rate Estimator",
            Self::Fallback => "Fallback fee",
            Self::MempoolMin => "Mempool Min Fee",
        }
    }
}

/// What the node says that matters for fees, asked before the wallet is locked.
struct Conditions {
    feerate: FeeRate,
    reason: FeeReason,
    relay_min: FeeRate,
    dust_relay: FeeRate,
    discard: FeeRate,
    max_ancestors: u64,
    /// Ancestors of unconfirmed transactions.
    ancestors: HashMap<Txid, u64>,
    /// Whether the tip is recent enough to lock transactions to its height.
    tip_is_current: bool,
}

/// A transaction ready to be sent.
pub(crate) struct Created {
    pub(crate) tx: Transaction,
    pub(crate) fee: Amount,
    pub(crate) reason: FeeReason,
    /// What must be written before it is sent: the change address counts as handed out.
    batch: Batch,
    change_script: Option<ScriptBuf>,
}

/// What was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) txid: Txid,
    pub(crate) reason: FeeReason,
}

/// The amount below which an output is dust: what spending it would cost at `rate`, a third counted for the output.
pub(crate) fn dust_threshold(output: &TxOut, rate: FeeRate) -> Amount {
    if output.script_pubkey.is_op_return() {
        return Amount::ZERO;
    }
    // Sizes of an input: outpoint, sequence, length and what a signature and a key take.
    let spending = if output.script_pubkey.is_witness_program() {
        67
    } else {
        148
    };
    rate.fee(output.size() as u64 + spending)
}

fn failed(message: impl Into<String>) -> WalletError {
    // Whatever keeps a payment from being made, callers know it by this code.
    WalletError::refused(code::WALLET_INSUFFICIENT_FUNDS, message)
}

impl Options {
    /// The feerate to use, with what the node says.
    fn feerate(
        &self,
        control: &SpendControl,
        chain: &dyn btc_interfaces::Chain,
    ) -> Result<(FeeRate, FeeReason, FeeRate)> {
        let relay_min = FeeRate::from_sat_per_kvb(chain.relay_min_fee()?);
        let required = self.min_fee.max(relay_min);
        if let Some(given) = control.feerate {
            return Ok(if required > given {
                (required, FeeReason::Required, relay_min)
            } else {
                (given, FeeReason::UserSpecified, relay_min)
            });
        }
        let target = control.confirm_target.unwrap_or(self.confirm_target);
        let conservative = control
            .conservative
            .unwrap_or(!control.signal_rbf.unwrap_or(self.signal_rbf));
        let estimate =
            chain.fee_estimate(i32::try_from(target).unwrap_or(i32::MAX), conservative)?;
        let (mut rate, mut reason) = match estimate
            .map(|estimate| FeeRate::from_sat_per_kvb(estimate.feerate))
        {
            Some(rate) if rate.sat_per_kvb() > 0 => (rate, FeeReason::Estimate),
            _ if self.fallback_fee.sat_per_kvb() == 0 => {
                return Err(failed(
                    "Fee estimation failed. Fallbackfee is disabled. Wait a few blocks or enable -fallbackfee.",
                ));
            }
            _ => (self.fallback_fee, FeeReason::Fallback),
        };
        let mempool_min = FeeRate::from_sat_per_kvb(chain.mempool_min_fee()?);
        if rate < mempool_min {
            (rate, reason) = (mempool_min, FeeReason::MempoolMin);
        }
        if required > rate {
            (rate, reason) = (required, FeeReason::Required);
        }
        Ok((rate, reason, relay_min))
    }
}

impl Wallet {
    fn conditions(&self, control: &SpendControl) -> Result<Conditions> {
        let chain = &*self.context.chain;
        let options = &self.context.options;
        let (feerate, reason, relay_min) = options.feerate(control, chain)?;
        let dust_relay = FeeRate::from_sat_per_kvb(chain.relay_dust_fee()?);
        let longest = i32::try_from(chain.max_fee_estimate_blocks()?).unwrap_or(i32::MAX);
        let discard = match chain.fee_estimate(longest, false)? {
            Some(estimate) => options
                .discard_fee
                .min(FeeRate::from_sat_per_kvb(estimate.feerate)),
            None => options.discard_fee,
        }
        .max(dust_relay);
        let (unconfirmed, tip) = {
            let state = self.lock();
            let unconfirmed: Vec<Txid> = state
                .txs
                .iter()
                .filter(|(_, tx)| tx.record.state == TxState::InMempool)
                .map(|(txid, _)| *txid)
                .collect();
            (unconfirmed, state.last_block)
        };
        let mut ancestors = HashMap::new();
        for txid in unconfirmed {
            ancestors.insert(txid, chain.transaction_ancestry(txid)?.ancestors);
        }
        let tip_is_current = match tip {
            Some((_, hash)) if !chain.is_initial_block_download()? => chain
                .find_block(hash, WantBlock::default())?
                .is_some_and(|found| found.time >= self.context.clock.now() - MAX_TIP_AGE),
            _ => false,
        };
        Ok(Conditions {
            feerate,
            reason,
            relay_min,
            dust_relay,
            discard,
            max_ancestors: u64::from(chain.package_limits()?.ancestors),
            ancestors,
            tip_is_current,
        })
    }

    /// Pays `recipients`: makes the transaction, signs it, records it and hands it to the node.
    ///
    /// `note` sees the transaction's record before it is written. A transaction that the mempool does not take now stays
    /// in the wallet and is offered again.
    pub(crate) fn send(
        &self,
        recipients: &[Recipient],
        control: &SpendControl,
        note: impl FnOnce(&mut crate::tx::TxRecord),
    ) -> Result<Sent> {
        self.ensure_unlocked()?;
        let conditions = self.conditions(control)?;
        let options = &self.context.options;
        let mut created = {
            let mut state = self.lock();
            let created = state.build(recipients, control, &conditions, options)?;
            // Two calls at once must not choose the same coins while the node is asked.
            state.reserve(&created.tx, true);
            created
        };
        let checked = self
            .context
            .chain
            .check_chain_limits(created.tx.clone())
            .map_err(WalletError::from)
            .and_then(|refusal| refusal.map_or(Ok(()), |reason| Err(failed(reason))));
        let txid = created.tx.compute_txid();
        tracing::debug!(target: "wallet", "[{}] made {txid} with a fee of {}", self.name(), created.fee);
        {
            let mut state = self.lock();
            state.reserve(&created.tx, false);
            if let Err(error) = checked {
                state.give_back_change(created.change_script.as_deref());
                return Err(error);
            }
            let inactive = TxState::Inactive { abandoned: false };
            let now = self.context.clock.now();
            state.add_tx(&created.tx, txid, inactive, None, now, &mut created.batch);
            if let Some(tx) = state.txs.get_mut(&txid) {
                note(&mut tx.record);
                created.batch.tx(&txid, &tx.record);
            }
            if let Err(error) = state.db.commit(created.batch) {
                // Nothing was sent: its coins are free again.
                state.forget_tx(&txid);
                state.give_back_change(created.change_script.as_deref());
                return Err(error.into());
            }
        }
        if options.broadcast {
            let outcome = self.context.chain.broadcast_transaction(
                created.tx,
                options.max_tx_fee,
                BroadcastMethod::MempoolAndBroadcastToAll,
            )?;
            if outcome.result {
                let mut state = self.lock();
                if let Some(tx) = state.txs.get_mut(&txid)
                    && tx.record.state == (TxState::Inactive { abandoned: false })
                {
                    // Its own event says the same, but may come after the caller asks for balances.
                    tx.record.state = TxState::InMempool;
                }
            } else {
                tracing::warn!(target: "wallet", "[{}] Transaction cannot be broadcast immediately, {}", self.name(), outcome.error);
            }
        }
        Ok(Sent {
            txid,
            reason: created.reason,
        })
    }
}

impl State {
    fn reserve(&mut self, tx: &Transaction, on: bool) {
        for input in &tx.input {
            if on {
                self.reserved.insert(input.previous_output);
            } else {
                self.reserved.remove(&input.previous_output);
            }
        }
    }

    pub(crate) fn is_available(&self, outpoint: &OutPoint) -> bool {
        !self.reserved.contains(outpoint)
    }

    /// The kind of change that goes with the payments: like them where possible, so that it does not stand out.
    fn change_type(
        &self,
        options: &Options,
        control: &SpendControl,
        recipients: &[Recipient],
    ) -> AddressType {
        if let Some(kind) = control.change_type.or(options.change_type) {
            return kind;
        }
        if options.address_type == AddressType::Legacy {
            return AddressType::Legacy;
        }
        let pays = |kind: AddressType| {
            recipients.iter().any(|recipient| {
                let script = &recipient.script;
                match kind {
                    AddressType::P2shSegwit => script.is_p2sh(),
                    AddressType::Legacy => script.is_p2pkh(),
                    other => address_type_of(script) == Some(other),
                }
            })
        };
        let has = |kind: AddressType| self.active_id(kind, true).is_some();
        ADDRESS_TYPES
            .into_iter()
            .rev()
            .find(|kind| has(*kind) && pays(*kind))
            .or_else(|| {
                [AddressType::Bech32m, AddressType::Bech32]
                    .into_iter()
                    .find(|kind| has(*kind))
            })
            .unwrap_or(options.address_type)
    }

    /// Takes back the change address of a transaction that was not made after all.
    fn give_back_change(&mut self, script: Option<&bitcoin::Script>) {
        let Some(script) = script else { return };
        let mut unwritten = Batch::new();
        for id in self.ids_of(script) {
            if let Some(manager) = self.managers.get_mut(&id) {
                manager.give_back(script, &mut unwritten);
            }
        }
    }
}
