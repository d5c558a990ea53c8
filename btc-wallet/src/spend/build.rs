//! From payments to a signed transaction. Runs under the wallet's lock and asks nobody.

use super::coins::CoinFilter;
use super::selection::{self, Coin, Selection, SelectionError, Target};
use super::{
    Conditions, Created, FeeReason, MAX_STANDARD_TX_WEIGHT, Recipient, SpendControl,
    dust_threshold, failed,
};
use crate::db::Batch;
use crate::error::{Result, WalletError};
use crate::options::Options;
use crate::sign::{self, Coverage, SignableInput};
use crate::wallet::State;
use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::VarInt;
use bitcoin::secp256k1::rand::Rng;
use bitcoin::secp256k1::rand::rngs::OsRng;
use bitcoin::secp256k1::rand::seq::SliceRandom;
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use btc_interfaces::descriptor::SecretKeys;
use btc_interfaces::rpc::code;
use std::collections::BTreeSet;

/// What an input of a kind that is not known takes: P2WPKH within P2SH, in vB.
const DEFAULT_CHANGE_SPEND_SIZE: u64 = 91;
/// Bytes of a transaction around its inputs and outputs: version, lock time, the inputs' count, witness marker.
const OVERHEAD: u64 = 10;
/// Confirmations that coins of others have in the first attempt.
const SETTLED: i32 = 6;

fn sat(amount: Amount) -> i64 {
    amount.to_sat().cast_signed()
}

/// The wallet's weight of an input when it is signed, rounded up to vB.
fn input_size(state: &State, script: &bitcoin::Script) -> Option<u64> {
    let (solved, expansion) = state.solve(script)?;
    let input = sign::dummy_input(&solved, &expansion.keys)?;
    Some(input.segwit_weight().to_wu().div_ceil(4))
}

fn insufficient(message: impl Into<String>) -> WalletError {
    WalletError::refused(code::WALLET_INSUFFICIENT_FUNDS, message)
}

fn btc(amount: i64) -> String {
    // Core writes amounts in messages with at least two digits after the point.
    let text = format!("{}.{:08}", amount / 100_000_000, amount % 100_000_000);
    let trimmed = text.trim_end_matches('0');
    let least = text.len() - 6;
    text[..trimmed.len().max(least)].to_owned()
}

impl State {
    /// Chooses coins, makes change and signs. On an error nothing changed.
    pub(super) fn build(
        &mut self,
        recipients: &[Recipient],
        control: &SpendControl,
        conditions: &Conditions,
        options: &Options,
    ) -> Result<Created> {
        for recipient in recipients {
            let output = TxOut {
                value: recipient.amount,
                script_pubkey: recipient.script.clone(),
            };
            if recipient.amount < dust_threshold(&output, conditions.dust_relay) {
                return Err(failed("Transaction amount too small"));
            }
        }
        if let Some(given) = control.feerate
            && conditions.feerate > given
        {
            let mut message = format!(
                "Fee rate ({}) is lower than the minimum fee rate setting ({}).",
                given.to_sat_string(),
                conditions.feerate.to_sat_string()
            );
            if conditions.reason == FeeReason::Required {
                message.push_str(&format!(
                    "\nConsider modifying -mintxfee ({}) or -minrelaytxfee ({}).",
                    options.min_fee.to_sat_string(),
                    conditions.relay_min.to_sat_string()
                ));
            }
            return Err(failed(message));
        }

        let mut batch = Batch::new();
        let kind = self.change_type(options, control, recipients);
        let change = self.next_script(kind, true, &mut batch);
        let outcome = self.build_with(
            recipients,
            control,
            conditions,
            options,
            change.as_ref().ok(),
        );
        let change_script = change.as_ref().ok().cloned();
        match outcome {
            Ok((tx, fee, used_change)) => {
                if used_change && let Err(reason) = change {
                    return Err(failed(format!(
                        "Transaction needs a change address, but we can't generate it. {reason}"
                    )));
                }
                if !used_change {
                    // The address is free for the next transaction; nothing of it was written.
                    self.give_back_change(change_script.as_deref());
                    batch = Batch::new();
                }
                Ok(Created {
                    tx,
                    fee,
                    reason: conditions.reason,
                    batch,
                    change_script: change_script.filter(|_| used_change),
                })
            }
            Err(error) => {
                self.give_back_change(change_script.as_deref());
                Err(error)
            }
        }
    }

    /// Gives the transaction, its fee and whether it has change.
    fn build_with(
        &self,
        recipients: &[Recipient],
        control: &SpendControl,
        conditions: &Conditions,
        options: &Options,
        change_script: Option<&ScriptBuf>,
    ) -> Result<(Transaction, Amount, bool)> {
        let feerate = conditions.feerate;
        let outputs: Vec<TxOut> = recipients
            .iter()
            .map(|recipient| TxOut {
                value: recipient.amount,
                script_pubkey: recipient.script.clone(),
            })
            .collect();
        let payments: Amount = outputs
            .iter()
            .try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value))
            .filter(|sum| *sum <= Amount::MAX_MONEY)
            .ok_or_else(|| insufficient("Insufficient funds"))?;
        let payers = recipients
            .iter()
            .filter(|recipient| recipient.subtract_fee)
            .count() as u64;
        let base_size = OVERHEAD
            + VarInt::from(outputs.len()).size() as u64
            + outputs
                .iter()
                .map(|output| output.size() as u64)
                .sum::<u64>();

        let prototype = TxOut {
            value: Amount::ZERO,
            script_pubkey: change_script.cloned().unwrap_or_default(),
        };
        let spend_size =
            input_size(self, &prototype.script_pubkey).unwrap_or(DEFAULT_CHANGE_SPEND_SIZE);
        let change_fee = feerate.fee(prototype.size() as u64);
        let spend_fee = conditions.discard.fee(spend_size);
        let not_input_fees = if payers > 0 {
            Amount::ZERO
        } else {
            feerate.fee(base_size)
        };
        let target = Target {
            amount: sat(payments + not_input_fees),
            feerate,
            long_term_feerate: options.consolidate_fee,
            change_fee: sat(change_fee),
            cost_of_change: sat(change_fee + spend_fee),
            min_viable_change: (sat(spend_fee) + 1)
                .max(sat(dust_threshold(&prototype, conditions.discard))),
            max_weight: MAX_STANDARD_TX_WEIGHT
                .to_wu()
                .saturating_sub(4 * (base_size + prototype.size() as u64)),
            subtract_fee: payers > 0,
        };
        if target.amount == 0 {
            return Err(failed(
                "Transaction requires one destination of non-zero value, a non-zero feerate, or a pre-selected input",
            ));
        }

        let filter = CoinFilter {
            avoid_reuse: control.avoid_reuse.unwrap_or(true),
            ..CoinFilter::spendable(options.spend_zero_conf_change)
        };
        let pool = self.candidates(&filter, &conditions.ancestors);
        let selection = choose(
            &pool,
            &target,
            payments,
            conditions.max_ancestors,
            payers > 0,
        )?;

        let mut tx = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: Vec::new(),
            output: outputs,
        };
        let mut change_position = None;
        if selection.change > 0 {
            let position = OsRng.gen_range(0..=tx.output.len());
            let change = TxOut {
                value: Amount::from_sat(selection.change.unsigned_abs()),
                ..prototype
            };
            tx.output.insert(position, change);
            change_position = Some(position);
        }
        let sequence = if control.signal_rbf.unwrap_or(options.signal_rbf) {
            Sequence::ENABLE_RBF_NO_LOCKTIME
        } else {
            Sequence::ENABLE_LOCKTIME_NO_RBF
        };
        let mut coins = selection.coins;
        coins.shuffle(&mut OsRng);
        tx.input = coins
            .iter()
            .map(|coin| TxIn {
                previous_output: coin.outpoint,
                script_sig: ScriptBuf::new(),
                sequence,
                witness: Witness::new(),
            })
            .collect();
        tx.lock_time = self.anti_fee_sniping(conditions.tip_is_current);

        let inputs: Vec<Option<SignableInput>> = coins
            .iter()
            .map(|coin| {
                let solved = self.solve(&coin.output.script_pubkey);
                Some(SignableInput {
                    output: coin.output.clone(),
                    solved: solved.map(|(script, expansion)| (script, expansion.keys)),
                })
            })
            .collect();
        let size = signed_size(&tx, &inputs)?;
        let input_value: Amount = coins.iter().map(|coin| coin.output.value).sum();
        let fee = settle_fee(
            &mut tx,
            input_value,
            feerate.fee(size),
            change_position,
            recipients,
            conditions,
        )?;

        let mut secrets = SecretKeys::new(self.network_kind());
        for coin in &coins {
            self.collect_secrets(&coin.output.script_pubkey, &mut secrets)?;
        }
        let (tx, errors) = sign::sign(tx, &inputs, &secrets, Coverage::default());
        if !errors.is_empty() {
            return Err(failed("Signing transaction failed"));
        }
        if tx.weight() > MAX_STANDARD_TX_WEIGHT {
            return Err(failed("Transaction too large"));
        }
        if fee > options.max_tx_fee {
            return Err(failed(
                "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)",
            ));
        }
        Ok((tx, fee, change_position.is_some()))
    }

    /// A lock time at the tip, so that nobody gains by mining the block again to take the fee; sometimes a little below,
    /// for those whose transactions are late for other reasons.
    fn anti_fee_sniping(&self, tip_is_current: bool) -> LockTime {
        let Some((height, _)) = self.last_block.filter(|_| tip_is_current) else {
            return LockTime::ZERO;
        };
        let mut height = u32::try_from(height).unwrap_or(0);
        if OsRng.gen_range(0..10) == 0 {
            height = height.saturating_sub(OsRng.gen_range(0..100));
        }
        LockTime::from_height(height).unwrap_or(LockTime::ZERO)
    }
}

/// Tries coins that are safest first, and those of one kind before a mixture.
fn choose(
    pool: &[Coin],
    target: &Target,
    payments: Amount,
    max_ancestors: u64,
    subtract_fee: bool,
) -> Result<Selection> {
    let own_or =
        |others: i32| move |coin: &Coin| coin.depth >= if coin.from_me { 1 } else { others };
    let with_ancestors =
        |limit: u64| move |coin: &Coin| coin.depth >= 1 || coin.from_me && coin.ancestors < limit;
    let settled = own_or(SETTLED);
    let confirmed = own_or(1);
    let few = with_ancestors(2.min(max_ancestors));
    let any = with_ancestors(max_ancestors);
    let attempts: [&dyn Fn(&Coin) -> bool; 4] = [&settled, &confirmed, &few, &any];
    let kinds: BTreeSet<u8> = pool.iter().map(|coin| coin.kind).collect();
    let mut too_heavy = false;
    for eligible in attempts {
        let coins: Vec<Coin> = pool.iter().filter(|coin| eligible(coin)).cloned().collect();
        let of_one_kind = kinds
            .iter()
            .map(|kind| {
                coins
                    .iter()
                    .filter(|coin| coin.kind == *kind)
                    .cloned()
                    .collect()
            })
            .collect::<Vec<Vec<Coin>>>();
        for coins in of_one_kind.iter().chain([&coins]) {
            match selection::select(coins, target, &mut OsRng) {
                Ok(selection) => return Ok(selection),
                Err(SelectionError::TooHeavy) => too_heavy = true,
                Err(SelectionError::Insufficient) => {}
            }
        }
    }
    if too_heavy {
        return Err(insufficient(SelectionError::TooHeavy.to_string()));
    }
    let total: Amount = pool.iter().map(|coin| coin.output.value).sum();
    let effective: i64 = pool
        .iter()
        .map(|coin| {
            if subtract_fee {
                sat(coin.output.value)
            } else {
                selection::effective_value(coin, target.feerate)
            }
        })
        .filter(|value| *value > 0)
        .sum();
    if effective >= target.amount {
        return Err(insufficient(
            "Unconfirmed UTXOs are available, but spending them creates a chain of transactions that will be rejected by the mempool",
        ));
    }
    if total >= payments && !subtract_fee {
        return Err(insufficient(format!(
            "The total exceeds your balance when the {} transaction fee is included.",
            btc(target.amount - sat(payments))
        )));
    }
    Err(insufficient("Insufficient funds"))
}

/// The size of the transaction once signed, in vB.
fn signed_size(tx: &Transaction, inputs: &[Option<SignableInput>]) -> Result<u64> {
    let mut sized = tx.clone();
    for (input, known) in sized.input.iter_mut().zip(inputs) {
        let dummy = known
            .as_ref()
            .and_then(|known| known.solved.as_ref())
            .and_then(|(script, keys)| sign::dummy_input(script, keys))
            .ok_or_else(|| failed("Missing solving data for estimating transaction size"))?;
        input.script_sig = dummy.script_sig;
        input.witness = dummy.witness;
    }
    Ok(sized.vsize() as u64)
}

/// Makes inputs less outputs the fee: what is too much goes into the change, what the recipients pay comes off theirs.
fn settle_fee(
    tx: &mut Transaction,
    input_value: Amount,
    needed: Amount,
    change: Option<usize>,
    recipients: &[Recipient],
    conditions: &Conditions,
) -> Result<Amount> {
    let output_value =
        |tx: &Transaction| tx.output.iter().map(|output| output.value).sum::<Amount>();
    let mut fee = input_value
        .checked_sub(output_value(tx))
        .ok_or_else(|| insufficient("Insufficient funds"))?;
    if let Some(position) = change
        && fee > needed
    {
        tx.output[position].value += fee - needed;
        fee = needed;
    }
    let payers = recipients
        .iter()
        .filter(|recipient| recipient.subtract_fee)
        .count() as u64;
    if payers > 0 && needed > fee {
        let missing = (needed - fee).to_sat();
        let mut remainder = missing % payers;
        let places = (0..tx.output.len()).filter(|place| Some(*place) != change);
        for (place, recipient) in places.collect::<Vec<_>>().into_iter().zip(recipients) {
            if !recipient.subtract_fee {
                continue;
            }
            let share = Amount::from_sat(missing / payers + std::mem::take(&mut remainder));
            let output = &mut tx.output[place];
            output.value = output
                .value
                .checked_sub(share)
                .ok_or_else(|| failed("The transaction amount is too small to pay the fee"))?;
            if output.value < dust_threshold(output, conditions.dust_relay) {
                return Err(failed(
                    "The transaction amount is too small to send after the fee has been deducted",
                ));
            }
        }
        fee = needed;
    }
    if fee < needed {
        return Err(failed(format!(
            "Fee needed ({}) is above the fee paid ({}): please report this",
            btc(sat(needed)),
            btc(sat(fee))
        )));
    }
    Ok(fee)
}
