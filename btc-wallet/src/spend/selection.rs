//! Choosing coins.
//!
//! Three searches run, and the one with the least waste wins: branch and bound for a set that needs no change, a single
//! random draw, and the largest coins first, which finds a set whenever there is one. Waste is what the inputs cost now
//! above what they would cost later, plus the cost of change or, without change, what is given away.

use super::fee::FeeRate;
use bitcoin::secp256k1::rand::Rng;
use bitcoin::secp256k1::rand::seq::SliceRandom;
use bitcoin::{OutPoint, TxOut};

/// Steps of the search for a set without change.
const MAX_TRIES: usize = 100_000;
/// The least change that a random draw aims at, in sat.
const CHANGE_LOWER: i64 = 50_000;

/// A coin that may be spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coin {
    pub(crate) outpoint: OutPoint,
    pub(crate) output: TxOut,
    /// Weight of the input that spends it, in weight units.
    pub(crate) weight: u64,
    pub(crate) depth: i32,
    /// Whether the wallet made it.
    pub(crate) from_me: bool,
    /// Unconfirmed ancestors of its transaction, itself included.
    pub(crate) ancestors: u64,
    /// What kind of script it is, so that kinds are not mixed without need.
    pub(crate) kind: u8,
}

/// What a selection must reach. Amounts in sat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// What inputs must bring: payments and the fee of all but the inputs.
    pub(crate) amount: i64,
    pub(crate) feerate: FeeRate,
    /// The feerate at which coins would be consolidated some time later.
    pub(crate) long_term_feerate: FeeRate,
    /// The fee for the change output.
    pub(crate) change_fee: i64,
    /// The change output's fee and what spending it will cost.
    pub(crate) cost_of_change: i64,
    /// Less than this is not worth an output.
    pub(crate) min_viable_change: i64,
    /// The greatest weight that inputs may have together.
    pub(crate) max_weight: u64,
    /// Whether recipients pay the fee: then coins count in full.
    pub(crate) subtract_fee: bool,
}

/// Why no coins were chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectionError {
    /// All coins together are not enough.
    #[error("Insufficient funds")]
    Insufficient,
    /// They would be enough, but not within a transaction that nodes relay.
    #[error(
        "The inputs size exceeds the maximum weight. Please try sending a smaller amount or manually consolidating your wallet's UTXOs"
    )]
    TooHeavy,
}

/// The chosen coins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) coins: Vec<Coin>,
    /// Change to give, after the change output's fee; 0 for none.
    pub(crate) change: i64,
}

struct Counted<'a> {
    coin: &'a Coin,
    /// What it brings.
    amount: i64,
    /// Its fee now less its fee later.
    waste: i64,
}

fn fee(rate: FeeRate, weight: u64) -> i64 {
    // An input's weight need not be a multiple of four: the fee is that of its size rounded up.
    i64::try_from(rate.fee(weight.div_ceil(4)).to_sat()).unwrap_or(i64::MAX)
}

/// What a coin brings after the fee of spending it, in sat.
pub(crate) fn effective_value(coin: &Coin, feerate: FeeRate) -> i64 {
    i64::try_from(coin.output.value.to_sat())
        .unwrap_or(i64::MAX)
        .saturating_sub(fee(feerate, coin.weight))
}

/// Chooses coins for `target` out of `pool`.
pub(crate) fn select(
    pool: &[Coin],
    target: &Target,
    rng: &mut impl Rng,
) -> Result<Selection, SelectionError> {
    let mut counted: Vec<Counted<'_>> = pool
        .iter()
        .map(|coin| Counted {
            coin,
            amount: if target.subtract_fee {
                i64::try_from(coin.output.value.to_sat()).unwrap_or(i64::MAX)
            } else {
                effective_value(coin, target.feerate)
            },
            waste: fee(target.feerate, coin.weight) - fee(target.long_term_feerate, coin.weight),
        })
        // A coin that costs more than it brings helps no target.
        .filter(|counted| counted.amount > 0)
        .collect();
    counted.sort_by(|a, b| b.amount.cmp(&a.amount).then(a.waste.cmp(&b.waste)));
    let total = counted
        .iter()
        .fold(0_i64, |sum, coin| sum.saturating_add(coin.amount));
    if total < target.amount {
        return Err(SelectionError::Insufficient);
    }
    let mut found: Vec<Vec<usize>> = Vec::new();
    if !target.subtract_fee {
        found.extend(branch_and_bound(&counted, target));
    }
    let wanted = target
        .amount
        .saturating_add(CHANGE_LOWER)
        .saturating_add(target.change_fee);
    let mut order: Vec<usize> = (0..counted.len()).collect();
    found.extend(accumulate(
        &counted,
        &order,
        target.amount,
        target.max_weight,
    ));
    order.shuffle(rng);
    found.extend(random_draw(&counted, &order, wanted, target.max_weight));
    let best = found
        .into_iter()
        .min_by_key(|set| waste(&counted, set, target))
        .ok_or(SelectionError::TooHeavy)?;
    Ok(Selection {
        change: change(&counted, &best, target),
        coins: best
            .into_iter()
            .map(|index| counted[index].coin.clone())
            .collect(),
    })
}

fn sum(counted: &[Counted<'_>], set: &[usize]) -> i64 {
    set.iter()
        .fold(0, |sum, index| sum.saturating_add(counted[*index].amount))
}

fn change(counted: &[Counted<'_>], set: &[usize], target: &Target) -> i64 {
    // With the fee on the recipients the change output is theirs to pay as well.
    let change_fee = if target.subtract_fee {
        0
    } else {
        target.change_fee
    };
    let change = sum(counted, set) - target.amount - change_fee;
    if change < target.min_viable_change {
        0
    } else {
        change
    }
}

fn waste(counted: &[Counted<'_>], set: &[usize], target: &Target) -> i64 {
    let inputs: i64 = set.iter().map(|index| counted[*index].waste).sum();
    if change(counted, set, target) > 0 {
        inputs + target.cost_of_change
    } else {
        inputs + sum(counted, set) - target.amount
    }
}

/// Takes coins in `order` until `wanted` is reached; `None` if it is not, or too heavy.
fn accumulate(
    counted: &[Counted<'_>],
    order: &[usize],
    wanted: i64,
    max_weight: u64,
) -> Option<Vec<usize>> {
    let mut set = Vec::new();
    let (mut amount, mut weight) = (0_i64, 0_u64);
    for index in order {
        set.push(*index);
        amount = amount.saturating_add(counted[*index].amount);
        weight += counted[*index].coin.weight;
        if weight > max_weight {
            return None;
        }
        if amount >= wanted {
            return Some(set);
        }
    }
    None
}

/// As [`accumulate`], but over the weight the smallest coins go again.
fn random_draw(
    counted: &[Counted<'_>],
    order: &[usize],
    wanted: i64,
    max_weight: u64,
) -> Option<Vec<usize>> {
    let mut set: Vec<usize> = Vec::new();
    let (mut amount, mut weight) = (0_i64, 0_u64);
    for index in order {
        set.push(*index);
        amount = amount.saturating_add(counted[*index].amount);
        weight += counted[*index].coin.weight;
        while weight > max_weight {
            // Indices are by falling amount: the greatest one is the smallest coin.
            let (place, smallest) = set
                .iter()
                .copied()
                .enumerate()
                .max_by_key(|(_, index)| *index)?;
            set.swap_remove(place);
            amount -= counted[smallest].amount;
            weight -= counted[smallest].coin.weight;
        }
        if amount >= wanted {
            return Some(set);
        }
    }
    None
}

/// Looks through the sets for those between the target and the target with the cost of change, and gives the one with
/// the least waste. Coins are in falling order.
fn branch_and_bound(counted: &[Counted<'_>], target: &Target) -> Option<Vec<usize>> {
    let upper = target.amount.saturating_add(target.cost_of_change);
    // rest[i]: what all coins from i on bring.
    let mut rest = vec![0_i64; counted.len() + 1];
    for index in (0..counted.len()).rev() {
        rest[index] = rest[index + 1].saturating_add(counted[index].amount);
    }
    let dear = counted.first()?.waste > 0;
    let mut best: Option<(i64, Vec<usize>)> = None;
    let mut set: Vec<usize> = Vec::new();
    let (mut amount, mut weight, mut waste) = (0_i64, 0_u64, 0_i64);
    let mut next = 0;
    for _ in 0..MAX_TRIES {
        let hopeless = amount.saturating_add(rest[next]) < target.amount
            || amount > upper
            || weight > target.max_weight
            || dear && best.as_ref().is_some_and(|(least, _)| waste > *least);
        let reached = !hopeless && amount >= target.amount;
        if reached {
            let total = waste + amount - target.amount;
            if best.as_ref().is_none_or(|(least, _)| total < *least) {
                best = Some((total, set.clone()));
            }
        }
        if hopeless || reached || next == counted.len() {
            // Back to the last coin taken, and on without it, and without its equals: they lead to the same sets.
            let Some(last) = set.pop() else { break };
            amount -= counted[last].amount;
            weight -= counted[last].coin.weight;
            waste -= counted[last].waste;
            next = last + 1;
            while next < counted.len() && counted[next].amount == counted[last].amount {
                next += 1;
            }
        } else {
            set.push(next);
            amount += counted[next].amount;
            weight += counted[next].coin.weight;
            waste += counted[next].waste;
            next += 1;
        }
    }
    best.map(|(_, set)| set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hashes::Hash;
    use bitcoin::secp256k1::rand::SeedableRng;
    use bitcoin::secp256k1::rand::rngs::StdRng;
    use bitcoin::{Amount, ScriptBuf, Txid};
    use proptest::prelude::*;

    const WEIGHT: u64 = 272;

    fn coins(values: &[u64]) -> Vec<Coin> {
        values
            .iter()
            .zip(0..)
            .map(|(value, vout)| Coin {
                outpoint: OutPoint {
                    txid: Txid::all_zeros(),
                    vout,
                },
                output: TxOut {
                    value: Amount::from_sat(*value),
                    script_pubkey: ScriptBuf::new(),
                },
                weight: WEIGHT,
                depth: 6,
                from_me: false,
                ancestors: 0,
                kind: 0,
            })
            .collect()
    }

    fn target(amount: i64, rate: u64, subtract_fee: bool) -> Target {
        let feerate = FeeRate::from_sat_per_kvb(rate);
        Target {
            amount,
            feerate,
            long_term_feerate: FeeRate::from_sat_per_kvb(10_000),
            change_fee: fee(feerate, 31 * 4),
            cost_of_change: fee(feerate, 31 * 4) + fee(FeeRate::from_sat_per_kvb(3000), 68 * 4),
            min_viable_change: 294,
            max_weight: 399_000,
            subtract_fee,
        }
    }

    fn rng() -> StdRng {
        StdRng::seed_from_u64(7)
    }

    #[test]
    fn an_exact_set_needs_no_change() {
        let spend = fee(FeeRate::from_sat_per_kvb(20_000), WEIGHT) as u64;
        let pool = coins(&[
            100_000 + spend,
            200_000 + spend,
            400_000 + spend,
            800_000 + spend,
        ]);
        let chosen = select(&pool, &target(600_000, 20_000, false), &mut rng()).expect("enough");
        assert_eq!(chosen.change, 0);
        let mut values: Vec<u64> = chosen
            .coins
            .iter()
            .map(|coin| coin.output.value.to_sat() - spend)
            .collect();
        values.sort_unstable();
        assert_eq!(values, [200_000, 400_000]);
    }

    #[test]
    fn too_little_and_too_heavy_are_told_apart() {
        let pool = coins(&[1000; 50]);
        let mut wanted = target(60_000, 0, false);
        assert_eq!(
            select(&pool, &wanted, &mut rng()),
            Err(SelectionError::Insufficient)
        );
        wanted.amount = 40_000;
        wanted.max_weight = 10 * WEIGHT;
        assert_eq!(
            select(&pool, &wanted, &mut rng()),
            Err(SelectionError::TooHeavy)
        );
    }

    #[test]
    fn dust_coins_are_left_alone() {
        let pool = coins(&[100, 100, 100_000]);
        let chosen = select(&pool, &target(50_000, 10_000, false), &mut rng()).expect("enough");
        assert_eq!(chosen.coins.len(), 1);
    }

    proptest! {
        #[test]
        fn a_selection_pays_for_itself(
            values in proptest::collection::vec(1_u64..5_000_000, 1..60),
            amount in 1_i64..40_000_000,
            rate in 0_u64..200_000,
            subtract_fee: bool,
            seed: u64,
        ) {
            let pool = coins(&values);
            let target = target(amount, rate, subtract_fee);
            let best: i64 = pool
                .iter()
                .map(|coin| if subtract_fee { coin.output.value.to_sat() as i64 } else { effective_value(coin, target.feerate) })
                .filter(|value| *value > 0)
                .sum();
            match select(&pool, &target, &mut StdRng::seed_from_u64(seed)) {
                Err(error) => {
                    prop_assert_eq!(error, SelectionError::Insufficient);
                    prop_assert!(best < amount);
                }
                Ok(chosen) => {
                    prop_assert!(best >= amount);
                    let mut outpoints: Vec<_> = chosen.coins.iter().map(|coin| coin.outpoint).collect();
                    outpoints.sort();
                    outpoints.dedup();
                    prop_assert_eq!(outpoints.len(), chosen.coins.len());
                    let input: i64 = chosen.coins.iter().map(|coin| coin.output.value.to_sat() as i64).sum();
                    let fees: i64 = if subtract_fee { 0 } else {
                        chosen.coins.iter().map(|coin| fee(target.feerate, coin.weight)).sum()
                    };
                    let change_fee = if chosen.change > 0 && !subtract_fee { target.change_fee } else { 0 };
                    prop_assert!(input >= amount + fees + chosen.change + change_fee);
                    prop_assert!(chosen.change == 0 || chosen.change >= target.min_viable_change);
                }
            }
        }
    }
}
