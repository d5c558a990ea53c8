//! Numbers as Core's JSON writes them.

use btc_consensus::uint256::U256;
use serde_json::{Number, Value};

/// A floating-point number with up to 16 significant digits, without zeros at the end.
pub fn real(value: f64) -> Value {
    if !value.is_finite() {
        return Value::Null;
    }
    let scientific = format!("{value:.15e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let text = if (-4..16).contains(&exponent) {
        let decimals = usize::try_from(15 - exponent).unwrap_or(0);
        trim(&format!("{value:.decimals$}")).to_owned()
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(mantissa), exponent.unsigned_abs())
    };
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}

fn trim(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

/// How many times harder than the easiest target of mainnet it is to meet the target `bits`.
pub fn difficulty(bits: u32) -> f64 {
    let exponent = i32::try_from(bits >> 24).unwrap_or(0);
    let mantissa = f64::from(bits & 0x00ff_ffff);
    if mantissa == 0.0 {
        return 0.0;
    }
    // Powers of 256 are exact, so the order of the steps does not matter.
    f64::from(0xffff) / mantissa * 256f64.powi(29 - exponent)
}

/// 64 hexadecimal digits.
pub fn hex256(value: U256) -> String {
    format!("{value:064x}")
}

/// The nearest floating-point number.
pub fn to_f64(value: U256) -> f64 {
    value
        .to_be_bytes()
        .iter()
        .fold(0.0, |sum, byte| sum * 256.0 + f64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reals_have_up_to_sixteen_digits() {
        assert_eq!(real(1.0).to_string(), "1");
        assert_eq!(real(0.0).to_string(), "0");
        assert_eq!(real(0.5).to_string(), "0.5");
        assert_eq!(
            real(4.656_542_373_906_925e-10).to_string(),
            "4.656542373906925e-10"
        );
        assert_eq!(
            real(0.198_511_166_253_101_8).to_string(),
            "0.1985111662531018"
        );
        assert_eq!(real(100.0).to_string(), "100");
        assert_eq!(real(1e21).to_string(), "1e+21");
    }

    #[test]
    fn difficulties_are_relative_to_the_first_target() {
        assert_eq!(difficulty(0x1d00_ffff), 1.0);
        assert_eq!(
            real(difficulty(0x207f_ffff)).to_string(),
            "4.656542373906925e-10"
        );
        assert_eq!(
            real(difficulty(0x1b04_04cb)).to_string(),
            "16307.42093852398"
        );
    }
}
