//! The inverse of a number modulo the prime, by division steps.
//!
//! D. J. Bernstein and B.-Y. Yang, "Fast constant-time gcd computation and modular inversion" (2019), in the form that
//! takes 62 steps at a time on the low words alone and then applies them to the whole numbers. The time depends on the
//! number, which is no secret here.

use super::{LIMBS, PRIME_DIFF};

/// Bits of a word.
const BITS: u32 = 62;
/// Words of a number: 3072 bits and a sign.
const WORDS: usize = 50;
/// The bits of a word.
const MASK: u64 = (1 << BITS) - 1;

/// A number in words of 62 bits, from low to high. Only the highest may be negative, and makes the number so.
type Words = [i64; WORDS];

/// Steps on a pair of numbers, times 2^62: `(f, g)` becomes `(u f + v g, q f + r g) / 2^62`.
struct Steps {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

/// The inverse of a number that is below the modulus; 0 for 0.
pub(super) fn inverse(number: &[u64; LIMBS]) -> [u64; LIMBS] {
    let modulus = modulus();
    let modulus_inverse = inverse_of_word(modulus[0].cast_unsigned());
    let (mut f, mut g) = (modulus, to_words(number));
    let (mut d, mut e) = ([0; WORDS], [0; WORDS]);
    e[0] = 1;
    let mut eta = -1;
    // The words of f and g that are still in use.
    let mut len = WORDS;
    while g[..len].iter().any(|word| *word != 0) {
        let steps = divide(&mut eta, f[0], g[0]);
        update_cofactors(&mut d, &mut e, &steps, &modulus, modulus_inverse);
        update_pair(&mut f[..len], &mut g[..len], &steps);
        // Numbers shrink: a highest word that only repeats a sign goes into the one below.
        let is_sign = |word: i64| word == 0 || word == -1;
        if len > 1 && is_sign(f[len - 1]) && is_sign(g[len - 1]) {
            f[len - 2] |= f[len - 1] << BITS;
            g[len - 2] |= g[len - 1] << BITS;
            len -= 1;
        }
    }
    // f is now 1 or -1 (or the modulus, if the number was 0), and d times the number is f. d lies between minus twice the
    // modulus and the modulus: first between minus once and once, so that its negative does too.
    add_if_negative(&mut d, &modulus);
    if f[len - 1] < 0 {
        d = d.map(|word| -word);
        carry(&mut d);
    }
    add_if_negative(&mut d, &modulus);
    from_words(&d)
}

fn add_if_negative(words: &mut Words, modulus: &Words) {
    if words[WORDS - 1] < 0 {
        for (word, other) in words.iter_mut().zip(modulus) {
            *word += other;
        }
        carry(words);
    }
}

/// 62 steps, which depend only on the low words.
fn divide(eta: &mut i64, f: i64, g: i64) -> Steps {
    let (mut f, mut g) = (f.cast_unsigned(), g.cast_unsigned());
    let (mut u, mut v, mut q, mut r) = (1_u64, 0_u64, 0_u64, 1_u64);
    let mut left = BITS;
    loop {
        // While g is even, a step only halves it.
        let zeros = (g | (u64::MAX << left)).trailing_zeros();
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        *eta -= i64::from(zeros);
        left -= zeros;
        if left == 0 {
            break;
        }
        if *eta < 0 {
            *eta = -*eta;
            (f, g) = (g, f.wrapping_neg());
            (u, q) = (q, u.wrapping_neg());
            (v, r) = (r, v.wrapping_neg());
        }
        // A multiple of f takes away as many low bits of g as there are steps before the next swap.
        let bits = left.min(u32::try_from(*eta + 1).unwrap_or(BITS)).min(6);
        let mask = u64::MAX >> (64 - bits);
        let w = f
            .wrapping_mul(g)
            .wrapping_mul(f.wrapping_mul(f).wrapping_sub(2))
            & mask;
        g = g.wrapping_add(f.wrapping_mul(w));
        q = q.wrapping_add(u.wrapping_mul(w));
        r = r.wrapping_add(v.wrapping_mul(w));
    }
    Steps {
        u: u.cast_signed(),
        v: v.cast_signed(),
        q: q.cast_signed(),
        r: r.cast_signed(),
    }
}

/// Applies steps to `f` and `g`, whose low words become zero and drop out.
fn update_pair(f: &mut [i64], g: &mut [i64], steps: &Steps) {
    let product = |a: i64, b: i64| i128::from(a) * i128::from(b);
    let (mut low_f, mut low_g) = (0_i128, 0_i128);
    for index in 0..f.len() {
        low_f += product(steps.u, f[index]) + product(steps.v, g[index]);
        low_g += product(steps.q, f[index]) + product(steps.r, g[index]);
        if index > 0 {
            f[index - 1] = low_word(low_f);
            g[index - 1] = low_word(low_g);
        }
        low_f >>= BITS;
        low_g >>= BITS;
    }
    if let (Some(last_f), Some(last_g)) = (f.last_mut(), g.last_mut()) {
        *last_f = low_f as i64;
        *last_g = low_g as i64;
    }
}

/// Applies steps to `d` and `e` modulo the prime: a multiple of it makes the low words zero, so that they drop out.
fn update_cofactors(
    d: &mut Words,
    e: &mut Words,
    steps: &Steps,
    modulus: &Words,
    modulus_inverse: u64,
) {
    let product = |a: i64, b: i64| i128::from(a) * i128::from(b);
    // Keeps the results between minus twice the modulus and the modulus.
    let sign = |words: &Words| words[WORDS - 1] >> 63;
    let (sign_d, sign_e) = (sign(d), sign(e));
    let mut times_d = (steps.u & sign_d) + (steps.v & sign_e);
    let mut times_e = (steps.q & sign_d) + (steps.r & sign_e);
    let (mut low_d, mut low_e) = (0_i128, 0_i128);
    for index in 0..WORDS {
        low_d += product(steps.u, d[index]) + product(steps.v, e[index]);
        low_e += product(steps.q, d[index]) + product(steps.r, e[index]);
        if index == 0 {
            let cancel = |low: i128, times: i64| {
                let excess = modulus_inverse
                    .wrapping_mul(low as u64)
                    .wrapping_add(times.cast_unsigned());
                times - (excess & MASK).cast_signed()
            };
            times_d = cancel(low_d, times_d);
            times_e = cancel(low_e, times_e);
        }
        low_d += product(modulus[index], times_d);
        low_e += product(modulus[index], times_e);
        if index > 0 {
            d[index - 1] = low_word(low_d);
            e[index - 1] = low_word(low_e);
        }
        low_d >>= BITS;
        low_e >>= BITS;
    }
    d[WORDS - 1] = low_d as i64;
    e[WORDS - 1] = low_e as i64;
}

fn low_word(sum: i128) -> i64 {
    (sum as u64 & MASK).cast_signed()
}

/// Brings all words but the highest between 0 and 2^62.
fn carry(words: &mut Words) {
    for index in 0..WORDS - 1 {
        words[index + 1] += words[index] >> BITS;
        words[index] &= MASK.cast_signed();
    }
}

/// The inverse of an odd word modulo 2^62 (and 2^64), each round doubling the bits that are right.
fn inverse_of_word(word: u64) -> u64 {
    let mut inverse = word;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(word.wrapping_mul(inverse)));
    }
    inverse
}

fn modulus() -> Words {
    let mut limbs = [u64::MAX; LIMBS];
    limbs[0] = PRIME_DIFF.wrapping_neg();
    to_words(&limbs)
}

fn to_words(limbs: &[u64; LIMBS]) -> Words {
    std::array::from_fn(|index| {
        let bit = index * BITS as usize;
        let (limb, shift) = (bit / 64, bit % 64);
        let low = limbs.get(limb).map_or(0, |limb| limb >> shift);
        let high = match limbs.get(limb + 1) {
            Some(next) if shift > 0 => next << (64 - shift),
            _ => 0,
        };
        ((low | high) & MASK).cast_signed()
    })
}

/// The number must not be negative.
fn from_words(words: &Words) -> [u64; LIMBS] {
    std::array::from_fn(|index| {
        let bit = index * 64;
        let (word, shift) = (bit / BITS as usize, bit % BITS as usize);
        let at = |word: usize| words.get(word).map_or(0, |word| word.cast_unsigned());
        let low = at(word) >> shift;
        let middle = at(word + 1) << (BITS as usize - shift);
        let missing = (2 * BITS as usize).saturating_sub(shift);
        let high = if missing < 64 {
            at(word + 2) << missing
        } else {
            0
        };
        low | middle | high
    })
}

#[cfg(test)]
mod tests {
    use super::super::Num;
    use super::*;
    use proptest::prelude::*;

    fn any_limbs() -> impl Strategy<Value = [u64; LIMBS]> {
        proptest::collection::vec(any::<u64>(), LIMBS)
            .prop_map(|limbs| limbs.try_into().expect("has the length"))
    }

    proptest! {
        #[test]
        fn words_are_another_spelling(limbs in any_limbs()) {
            prop_assert_eq!(from_words(&to_words(&limbs)), limbs);
        }

        #[test]
        fn a_number_times_its_inverse_is_one(limbs in any_limbs(), short in 1..=LIMBS) {
            let mut limbs = limbs;
            limbs[short..].fill(0);
            let number = Num(limbs).reduced();
            prop_assume!(number != Num([0; LIMBS]));
            prop_assert_eq!(number.mul(&Num(inverse(&number.0))).reduced(), Num::one());
        }
    }

    /// Its last cofactor is far below zero, and that of minus one: negated at once it would not fit 3072 bits.
    #[test]
    fn a_number_with_a_large_cofactor_has_its_own() {
        let mut limbs = [0; LIMBS];
        limbs[..29].copy_from_slice(&[
            0x7dd6_c950_d622_dd88,
            0x442c_29f5_efac_8bc1,
            0x6fb1_4ffd_f3d7_cc40,
            0x697b_e250_b107_3700,
            0x489b_1110_19eb_8f97,
            0xc401_2c32_f51c_5c76,
            0x96ac_37e9_9e52_862d,
            0xf2a6_4029_adbb_91ea,
            0xa687_eef3_b3bc_ded0,
            0xef74_4ebc_f3ba_6aa7,
            0x930a_0630_c331_db28,
            0x5f1c_2fa3_5229_40b1,
            0x3c27_9a45_8723_5df7,
            0x8b80_037b_26c9_e828,
            0x3824_3055_5d69_1d1d,
            0xe1e1_f5ad_7ac8_63c4,
            0xfa26_0dea_11b0_cd42,
            0xdb34_edd8_5c01_219b,
            0xcc5c_41f4_e80c_fba4,
            0x1bcf_5c40_d654_85b3,
            0x37c9_20f5_2e57_0f9a,
            0x7166_c6e0_e4ea_a92c,
            0xc49f_ce10_e5ea_b42c,
            0x2c49_7c51_0aca_fdae,
            0x389d_88a7_831b_4186,
            0x6e33_f0c3_3f84_1690,
            0xbf34_f8da_b38d_fcdf,
            0x3f01_5f93_5e29_ba69,
            0xdd63_5f87_fe46_cf6b,
        ]);
        let product = Num(limbs).mul(&Num(inverse(&limbs)));
        assert_eq!(product.reduced(), Num::one());
    }

    #[test]
    fn numbers_at_the_edges_have_theirs() {
        let small = |value: u64| {
            let mut limbs = [0; LIMBS];
            limbs[0] = value;
            limbs
        };
        let mut largest = [u64::MAX; LIMBS];
        largest[0] = PRIME_DIFF.wrapping_neg() - 1;
        for limbs in [small(1), small(2), small(3), small(u64::MAX), largest] {
            let product = Num(limbs).mul(&Num(inverse(&limbs)));
            assert_eq!(product.reduced(), Num::one());
        }
        assert_eq!(inverse(&small(0)), small(0));
        assert_eq!(inverse(&largest), largest, "minus one is its own");
    }
}
