//! Rules for blocks that need coins, and what a block does to them.

use std::sync::Arc;

use bitcoin::{Amount, Block, BlockHash, OutPoint, Transaction, TxOut, Txid};
use hashbrown::{HashMap, HashSet};

use crate::ancestors::Ancestors;
use crate::block::{BlockError, HashedBlock, ScriptFailure};
use crate::coin::Coin;
use crate::limits::{MAX_BLOCK_SIGOPS_COST, MAX_MONEY};
use crate::params::{BuriedDeployment, ChainParams};
use crate::script::program::is_unspendable;
use crate::script::{self, CurveVerifier, ScriptError, ScriptFlags, TransactionChecker, Uncached};
use crate::sighash::{Spend, TransactionRef};
use crate::subsidy::subsidy;
use crate::tx::{SequenceLocks, check_inputs, is_coinbase, sequence_locks, sigop_cost, value_out};

/// From this height on, coinbases from before BIP 34 could be repeated by ones that follow it,
/// since some state a height this far ahead.
const BIP34_IMPLIES_BIP30_LIMIT: u32 = 1_983_702;

/// What a block is connected to.
#[derive(Clone, Copy)]
pub struct ConnectContext<'a> {
    /// The network.
    pub params: &'a ChainParams,
    /// The chain that ends in the block before.
    pub prev: &'a dyn Ancestors,
    /// Whether scripts must be run; not for blocks that are assumed valid.
    pub check_scripts: bool,
}

impl ConnectContext<'_> {
    /// The height of the block that is connected.
    pub fn height(&self) -> u32 {
        self.prev.height().saturating_add(1)
    }
}

/// What a block does to the unspent outputs.
///
/// To apply it, add what is created and then take away what is spent: an output that the block
/// both creates and spends is in both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// The outputs that each transaction after the coinbase spends, in the order of its inputs:
    /// what it takes to undo the block.
    pub spent: Vec<Vec<(OutPoint, Coin)>>,
    /// The outputs that are created, but for those that nobody can spend.
    pub created: Vec<(OutPoint, Coin)>,
    /// The sum of the fees.
    pub fees: Amount,
}

/// The check of one input's script, to be run on any thread.
#[derive(Clone, Debug)]
pub struct ScriptJob {
    spend: Arc<Spend>,
    input: usize,
    flags: ScriptFlags,
}

impl ScriptJob {
    /// The check of input number `input`; `None` if there is none.
    pub fn new(spend: Arc<Spend>, input: usize, flags: ScriptFlags) -> Option<Self> {
        (input < spend.transaction().input.len()).then_some(Self {
            spend,
            input,
            flags,
        })
    }

    /// The transaction and what it spends.
    pub fn spend(&self) -> &Spend {
        &self.spend
    }

    /// The input's number.
    pub fn input(&self) -> usize {
        self.input
    }

    /// The rules that the script is held to.
    pub fn flags(&self) -> ScriptFlags {
        self.flags
    }

    /// Runs the scripts.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn run(&self) -> Result<(), ScriptError> {
        self.run_with(Uncached)
    }

    /// As [`run`](Self::run), verifying signatures by `verifier`.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn run_with(&self, verifier: impl CurveVerifier) -> Result<(), ScriptError> {
        let checker = TransactionChecker::with_verifier(&self.spend, self.input, verifier)
            .expect("a job is only made for an input that exists");
        let input = &self.spend.transaction().input[self.input];
        let prevout = &self.spend.prevouts()[self.input];
        script::verify(
            &input.script_sig,
            &prevout.script_pubkey,
            &input.witness,
            self.flags,
            &checker,
        )
    }

    /// What to say of a block whose script failed here.
    pub fn failure(&self, error: ScriptError) -> ScriptFailure {
        let transaction = self.spend.transaction();
        ScriptFailure {
            error,
            input: self.input,
            txid: transaction.compute_txid(),
            wtxid: transaction.compute_wtxid(),
            prevout: transaction.input[self.input].previous_output,
        }
    }
}

/// The script rules for the block at `height` with this hash.
///
/// Pay-to-script-hash, segwit and taproot hold for every block but the two that broke one of them
/// before it was a rule.
pub fn flags_for_block(height: u32, hash: &BlockHash, params: &ChainParams) -> ScriptFlags {
    let mut flags = params
        .script_flag_exceptions
        .iter()
        .find(|(exception, _)| exception == hash)
        .map_or(
            ScriptFlags::P2SH | ScriptFlags::WITNESS | ScriptFlags::TAPROOT,
            |(_, rules)| *rules,
        );
    for (deployment, flag) in [
        (BuriedDeployment::DerSig, ScriptFlags::DERSIG),
        (BuriedDeployment::Cltv, ScriptFlags::CHECKLOCKTIMEVERIFY),
        (BuriedDeployment::Csv, ScriptFlags::CHECKSEQUENCEVERIFY),
        (BuriedDeployment::Segwit, ScriptFlags::NULLDUMMY),
    ] {
        if params.is_active(deployment, height) {
            flags |= flag;
        }
    }
    flags
}

/// The outputs that a block spends and does not create itself, in order: what to load before
/// connecting it.
pub fn prevouts_needed(block: &Block) -> Vec<OutPoint> {
    let mut earlier = HashSet::with_capacity(block.txdata.len());
    let mut needed = Vec::new();
    for transaction in &block.txdata {
        if !is_coinbase(transaction) {
            let prevouts = transaction.input.iter().map(|input| input.previous_output);
            needed.extend(prevouts.filter(|prevout| !earlier.contains(&prevout.txid)));
        }
        earlier.insert(transaction.compute_txid());
    }
    needed
}

/// Whether a block must not repeat a transaction with unspent outputs (BIP 30), so that
/// [`connect`] asks for the coins that the block would create.
///
/// Once coinbases state their heights none can be repeated, so nothing is asked on the chain that
/// is known to have followed that rule from the start; and two blocks that did repeat one stand.
pub fn checks_overwrites(block_hash: &BlockHash, context: &ConnectContext<'_>) -> bool {
    let height = context.height();
    if height >= BIP34_IMPLIES_BIP30_LIMIT {
        return true;
    }
    if is_bip30_exception(height, block_hash) {
        return false;
    }
    let Some(bip34_hash) = context.params.bip34_hash else {
        return true;
    };
    let at_bip34 = context.prev.ancestor(context.params.bip34_height);
    at_bip34.is_none_or(|header| header.hash != bip34_hash)
}

/// The outputs that a block would create, for a caller that loads coins ahead where
/// [`checks_overwrites`].
pub fn created_outpoints(block: &Block) -> impl Iterator<Item = OutPoint> {
    outpoints(block, block.txdata.iter().map(Transaction::compute_txid))
}

/// As [`created_outpoints`], given the transactions' ids.
fn outpoints(block: &Block, txids: impl Iterator<Item = Txid>) -> impl Iterator<Item = OutPoint> {
    block
        .txdata
        .iter()
        .zip(txids)
        .flat_map(|(transaction, txid)| {
            (0..transaction.output.len() as u32).map(move |vout| OutPoint { txid, vout })
        })
}

/// Whether a later block of mainnet repeats the coinbase of this one, so that what this one
/// created was replaced unspent and is gone for good.
pub fn is_coinbase_overwritten(height: u32, block_hash: &BlockHash) -> bool {
    let expected = match height {
        91_722 => "00000000000271a2dc26e7667f8419f2e15416dc6955e5a6c6cdf3f2574dd08e",
        91_812 => "00000000000af0aed4792b1acee3d966af36cf5def14935db8de83d6f9306f2f",
        _ => return false,
    };
    block_hash.to_string() == expected
}

/// The two blocks of mainnet that repeat an earlier coinbase.
fn is_bip30_exception(height: u32, block_hash: &BlockHash) -> bool {
    let expected = match height {
        91_842 => "00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec",
        91_880 => "00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721",
        _ => return false,
    };
    block_hash.to_string() == expected
}

/// Checks a block against the coins that it spends; gives what it does to them, and the scripts
/// that are still to be run.
///
/// `coins` finds an unspent output as of the block before. It is asked for each of
/// [`prevouts_needed`] and, where [`checks_overwrites`], for [`created_outpoints`].
///
/// The block must have passed [`check_block`](crate::block::check_block) and
/// [`contextual_check_block`](crate::block::contextual_check_block); one that has not may be
/// found valid here. The genesis block is never connected: nobody can spend what it creates.
///
/// # Errors
/// The first rule that is broken, with those of scripts left to the jobs.
pub fn connect(
    block: &Arc<Block>,
    coins: impl FnMut(&OutPoint) -> Option<Coin>,
    context: &ConnectContext<'_>,
) -> Result<(Delta, Vec<ScriptJob>), BlockError> {
    connect_hashed(&HashedBlock::new(Arc::clone(block)), coins, context)
}

/// As [`connect`], for a block whose transactions are hashed already.
///
/// # Errors
/// The first rule that is broken, with those of scripts left to the jobs.
pub fn connect_hashed(
    block: &HashedBlock,
    mut coins: impl FnMut(&OutPoint) -> Option<Coin>,
    context: &ConnectContext<'_>,
) -> Result<(Delta, Vec<ScriptJob>), BlockError> {
    let block_hash = block.hash();
    let Some(coinbase) = block.txdata.first() else {
        return Err(BlockError::CoinbaseMissing);
    };
    if checks_overwrites(&block_hash, context) {
        for outpoint in outpoints(block, block.txids().iter().copied()) {
            if coins(&outpoint).is_some() {
                return Err(BlockError::Overwrite { outpoint });
            }
        }
    }

    let inputs = block.txdata.iter().map(|tx| tx.input.len()).sum();
    let outputs = block.txdata.iter().map(|tx| tx.output.len()).sum();
    let mut connection = Connection {
        context,
        height: context.height(),
        flags: flags_for_block(context.height(), &block_hash, context.params),
        created_at: HashMap::with_capacity(outputs),
        spent: HashSet::with_capacity(inputs),
        sigop_cost: 0,
        delta: Delta {
            spent: Vec::with_capacity(block.txdata.len()),
            created: Vec::with_capacity(outputs),
            fees: Amount::ZERO,
        },
        jobs: Vec::with_capacity(if context.check_scripts { inputs } else { 0 }),
    };
    for (index, (transaction, txid)) in block.txdata.iter().zip(block.txids()).enumerate() {
        let place = Place { index, txid: *txid };
        if is_coinbase(transaction) {
            connection.count_sigops(transaction, &[])?;
        } else {
            let shared = TransactionRef::in_block(block.block(), index)
                .expect("the index is that of a transaction in the block");
            connection.spend(transaction, shared, place, &mut coins)?;
        }
        connection.create(transaction, place);
    }

    let Connection {
        delta,
        jobs,
        height,
        ..
    } = connection;
    // The block's own check has the form of all its outputs.
    let actual = value_out(coinbase).map_err(|error| BlockError::Transaction {
        index: 0,
        txid: block.txids()[0],
        error,
    })?;
    let limit = delta.fees + subsidy(height, context.params);
    if actual > limit {
        return Err(BlockError::CoinbaseAmount { actual, limit });
    }
    Ok((delta, jobs))
}

/// Which transaction of the block is at hand.
#[derive(Clone, Copy)]
struct Place {
    index: usize,
    txid: Txid,
}

/// A block half connected.
struct Connection<'a> {
    context: &'a ConnectContext<'a>,
    height: u32,
    flags: ScriptFlags,
    /// Where in the delta the block's own outputs are.
    created_at: HashMap<OutPoint, usize>,
    spent: HashSet<OutPoint>,
    sigop_cost: u64,
    delta: Delta,
    jobs: Vec<ScriptJob>,
}

impl Connection<'_> {
    fn spend(
        &mut self,
        transaction: &Transaction,
        shared: TransactionRef,
        place: Place,
        coins: &mut impl FnMut(&OutPoint) -> Option<Coin>,
    ) -> Result<(), BlockError> {
        let Place { index, txid } = place;
        let inputs_error = |error| BlockError::Inputs { index, txid, error };
        // Fewer coins than inputs is what says that some are missing.
        let spent_coins: Vec<Coin> = transaction
            .input
            .iter()
            .map_while(|input| self.take(&input.previous_output, coins))
            .collect();
        let fee = check_inputs(transaction, &spent_coins, self.height).map_err(inputs_error)?;
        self.delta.fees = self
            .delta
            .fees
            .checked_add(fee)
            .filter(|fees| fees.to_sat() <= MAX_MONEY)
            .ok_or(BlockError::FeesOutOfRange)?;

        if !self.sequence_locks(transaction, &spent_coins).permit(
            self.height,
            self.context
                .prev
                .median_time_past(self.context.prev.height()),
        ) {
            return Err(BlockError::SequenceLocks { index, txid });
        }
        let prevouts: Vec<TxOut> = spent_coins.iter().map(|coin| coin.output.clone()).collect();
        self.count_sigops(transaction, &prevouts)?;

        if self.context.check_scripts {
            let spend = Arc::new(
                Spend::new(shared, prevouts).expect("the inputs' check counted one coin for each"),
            );
            let flags = self.flags;
            self.jobs
                .extend((0..transaction.input.len()).map(|input| ScriptJob {
                    spend: Arc::clone(&spend),
                    input,
                    flags,
                }));
        }
        let outpoints = transaction.input.iter().map(|input| input.previous_output);
        self.delta.spent.push(outpoints.zip(spent_coins).collect());
        Ok(())
    }

    /// The coin at `outpoint`, if it exists; from now on it is spent.
    fn take(
        &mut self,
        outpoint: &OutPoint,
        coins: &mut impl FnMut(&OutPoint) -> Option<Coin>,
    ) -> Option<Coin> {
        let coin = match self.created_at.get(outpoint) {
            Some(position) => self
                .delta
                .created
                .get(*position)
                .map(|(_, coin)| coin.clone()),
            None => coins(outpoint),
        }?;
        self.spent.insert(*outpoint).then_some(coin)
    }

    fn sequence_locks(&self, transaction: &Transaction, coins: &[Coin]) -> SequenceLocks {
        if self
            .context
            .params
            .is_active(BuriedDeployment::Csv, self.height)
        {
            let heights = coins.iter().map(|coin| coin.height);
            sequence_locks(transaction, heights, self.context.prev)
        } else {
            SequenceLocks::NONE
        }
    }

    fn count_sigops(
        &mut self,
        transaction: &Transaction,
        prevouts: &[TxOut],
    ) -> Result<(), BlockError> {
        self.sigop_cost += sigop_cost(transaction, prevouts, self.flags);
        if self.sigop_cost > MAX_BLOCK_SIGOPS_COST {
            Err(BlockError::Sigops)
        } else {
            Ok(())
        }
    }

    fn create(&mut self, transaction: &Transaction, Place { index, txid }: Place) {
        for (vout, output) in (0..).zip(&transaction.output) {
            if is_unspendable(output.script_pubkey.as_bytes()) {
                continue;
            }
            let outpoint = OutPoint { txid, vout };
            let coin = Coin {
                output: output.clone(),
                height: self.height,
                coinbase: index == 0,
            };
            self.created_at.insert(outpoint, self.delta.created.len());
            self.delta.created.push((outpoint, coin));
        }
    }
}
