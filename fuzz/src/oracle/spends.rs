//! Spends in blocks: the verdict there names the rule of script, which that on a spend alone does not.

use bitcoin::{Amount, OutPoint, TxOut};

use super::Tally;
use super::blocks::{self, Twist};
use super::chains::mature;
use super::random::Random;
use super::scripts;

/// Spends of one chain.
const SPENDS: usize = 60;
/// Blocks between the outputs and what spends them, for relative lock times.
const AGE: usize = 20;

/// Makes outputs of every kind in one block and spends each in a block of its own.
pub fn compare(random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    let (pair, mut nodes) = mature(random, tally)?;
    let mut tip = nodes.pop().expect("there is a tip");
    let plans: Vec<Random> = (0..SPENDS).map(|_| Random::new(random.next())).collect();
    let mut outputs = Vec::new();
    let mut places = Vec::new();
    for plan in &plans {
        let case = scripts::case(&mut plan.clone(), Some(&[]));
        places.push(outputs.len()..outputs.len() + case.prevouts.len());
        outputs.extend(case.prevouts);
    }
    // So that a chain with odd outputs is not lost to their sum.
    outputs.push(TxOut {
        value: Amount::ZERO,
        ..outputs[0].clone()
    });
    let funding = blocks::fund(&tip, outputs).ok_or("there is no coin to spend")?;
    let txid = funding.compute_txid();
    let block = blocks::with_transactions(random, &tip, vec![funding]);
    if !pair.submit(&block, tally)? {
        return Err("the outputs are not made".to_owned());
    }
    tip = blocks::node(&tip, &block, Default::default());
    for _ in 0..AGE {
        let (block, _) = blocks::block(random, &tip, Twist::None);
        pair.submit(&block, tally)?;
        tip = blocks::node(&tip, &block, Default::default());
    }
    for (plan, place) in plans.into_iter().zip(places) {
        let outpoints: Vec<OutPoint> = place.map(|vout| OutPoint::new(txid, vout as u32)).collect();
        let case = scripts::case(&mut plan.clone(), Some(&outpoints));
        let block = blocks::with_transactions(random, &tip, vec![case.transaction]);
        if pair.submit(&block, tally)? {
            tip = blocks::node(&tip, &block, Default::default());
        }
        tally.spends += 1;
    }
    pair.close()?;
    tally.chains += 1;
    Ok(())
}
