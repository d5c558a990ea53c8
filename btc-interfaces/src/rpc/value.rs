//! Reading JSON values that came with a call, and writing amounts, with the texts that Core's clients know.

use super::{RpcError, code};
use bitcoin::Amount;
use serde_json::{Map, Number, Value};
use std::str::FromStr;

/// Digits after the point of an amount in BTC.
pub const BTC_DECIMALS: u32 = 8;

/// The greatest absolute value that a fixed-point number may have, in its smallest unit.
const FIXED_POINT_MAX: i64 = 999_999_999_999_999_999;

/// What JSON calls the type of `value`.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The error for a value of the wrong type.
pub(crate) fn type_error(value: &Value, expected: &str) -> RpcError {
    RpcError::new(code::TYPE_ERROR, type_mismatch(value, expected))
}

/// The text of [`type_error`].
pub(crate) fn type_mismatch(value: &Value, expected: &str) -> String {
    let given = type_name(value);
    format!("JSON value of type {given} is not of expected type {expected}")
}

/// A string, or error -3.
pub fn string(value: &Value) -> Result<&str, RpcError> {
    value.as_str().ok_or_else(|| type_error(value, "string"))
}

/// A boolean, or error -3.
pub fn boolean(value: &Value) -> Result<bool, RpcError> {
    value.as_bool().ok_or_else(|| type_error(value, "bool"))
}

/// An array, or error -3.
pub fn array(value: &Value) -> Result<&Vec<Value>, RpcError> {
    value.as_array().ok_or_else(|| type_error(value, "array"))
}

/// An object, or error -3.
pub fn object(value: &Value) -> Result<&Map<String, Value>, RpcError> {
    value.as_object().ok_or_else(|| type_error(value, "object"))
}

/// A number written as an integer that `T` holds; error -3 if it is no number, -1 if it is no such integer (`1.0` is
/// none).
pub fn int<T: FromStr>(value: &Value) -> Result<T, RpcError> {
    number(value)?
        .as_str()
        .parse()
        .map_err(|_| RpcError::new(code::MISC_ERROR, "JSON integer out of range"))
}

/// A number as the nearest `f64`; error -3 if it is no number, -1 if it is too large.
pub fn real(value: &Value) -> Result<f64, RpcError> {
    number(value)?
        .as_f64()
        .filter(|number| number.is_finite())
        .ok_or_else(|| RpcError::new(code::MISC_ERROR, "JSON double out of range"))
}

fn number(value: &Value) -> Result<&Number, RpcError> {
    match value {
        Value::Number(number) => Ok(number),
        other => Err(type_error(other, "number")),
    }
}

/// An amount in BTC, given as a number or as a string of one, exactly; error -3 otherwise.
pub fn amount(value: &Value) -> Result<Amount, RpcError> {
    Ok(Amount::from_sat(fixed_point(value, BTC_DECIMALS)?))
}

/// A non-negative number with up to `decimals` digits after the point, given as a number or as a string of one, in
/// units of the last digit, and not above the 21 million coins' worth of sat. With 3 decimals this reads a feerate in
/// sat/vB as sat/kvB.
pub fn fixed_point(value: &Value, decimals: u32) -> Result<u64, RpcError> {
    let text = match value {
        Value::Number(number) => number.as_str(),
        Value::String(text) => text.as_str(),
        _ => {
            return Err(RpcError::new(
                code::TYPE_ERROR,
                "Amount is not a number or string",
            ));
        }
    };
    let units = parse_fixed_point(text, decimals)
        .ok_or_else(|| RpcError::new(code::TYPE_ERROR, "Invalid amount"))?;
    u64::try_from(units)
        .ok()
        .filter(|units| *units <= Amount::MAX_MONEY.to_sat())
        .ok_or_else(|| RpcError::new(code::TYPE_ERROR, "Amount out of range"))
}

/// A feerate in BTC/kvB as sat/kvB; error -8 from 1 BTC/kvB up.
pub fn fee_rate(value: &Value) -> Result<u64, RpcError> {
    let rate = fixed_point(value, BTC_DECIMALS)?;
    if rate >= Amount::ONE_BTC.to_sat() {
        return Err(RpcError::new(
            code::INVALID_PARAMETER,
            "Fee rates larger than or equal to 1BTC/kvB are not accepted",
        ));
    }
    Ok(rate)
}

/// A decimal number, as JSON writes them, in units of the last of `decimals` digits. `None` if it is no such number, if
/// it has a digit below that unit, or if it is beyond eighteen digits.
pub fn parse_fixed_point(text: &str, decimals: u32) -> Option<i64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (unsigned, 0),
    };
    let (integer, fraction) = match mantissa.split_once('.') {
        Some((integer, fraction)) if is_digits(fraction) => (integer, fraction),
        Some(_) => return None,
        None => (mantissa, ""),
    };
    if !is_digits(integer) || (integer.len() > 1 && integer.starts_with('0')) {
        return None;
    }
    // A single leading zero counts for nothing, so `0` needs no room for its exponent.
    let digits = if integer == "0" {
        fraction.to_owned()
    } else {
        format!("{integer}{fraction}")
    };
    let significant = digits.trim_end_matches('0');
    let trailing_zeros = i64::try_from(digits.len() - significant.len()).ok()?;
    let significant = significant.trim_start_matches('0');
    let value: i64 = if significant.is_empty() {
        0
    } else {
        significant.parse().ok()?
    };
    let shift = exponent
        .checked_sub(i64::try_from(fraction.len()).ok()?)?
        .checked_add(trailing_zeros)?
        .checked_add(i64::from(decimals))?;
    if !(0..18).contains(&shift) {
        return None;
    }
    let units = value
        .checked_mul(10_i64.pow(u32::try_from(shift).ok()?))
        .filter(|units| *units <= FIXED_POINT_MAX)?;
    Some(if negative { -units } else { units })
}

fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'+' => (false, &text[1..]),
        b'-' => (true, &text[1..]),
        _ => (false, text),
    };
    if !is_digits(digits) {
        return None;
    }
    let exponent: i64 = digits.parse().ok()?;
    Some(if negative { -exponent } else { exponent })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// An amount in BTC as a JSON number with exactly eight digits after the point.
pub fn from_amount(amount: Amount) -> Value {
    decimal(i128::from(amount.to_sat()), BTC_DECIMALS)
}

/// An amount of sat that may be negative, in BTC, as [`from_amount`].
pub fn from_sat(sat: i64) -> Value {
    decimal(i128::from(sat), BTC_DECIMALS)
}

/// `units` of the last of `decimals` digits as a JSON number that shows all of them.
pub fn decimal(units: i128, decimals: u32) -> Value {
    let sign = if units < 0 { "-" } else { "" };
    let one = 10_u128.pow(decimals.min(38));
    let (whole, rest) = (units.unsigned_abs() / one, units.unsigned_abs() % one);
    let text = if decimals == 0 {
        format!("{sign}{whole}")
    } else {
        let width = decimals.min(38) as usize;
        format!("{sign}{whole}.{rest:0width$}")
    };
    Value::Number(
        text.parse()
            .expect("digits around a point are a JSON number"),
    )
}

/// A 32-byte hash in its usual hexadecimal form; error -8 with `name` for the argument's name.
pub fn hash<H: FromStr>(value: &Value, name: &str) -> Result<H, RpcError> {
    const LENGTH: usize = 64;
    let text = string(value)?;
    if text.len() != LENGTH {
        return Err(RpcError::new(
            code::INVALID_PARAMETER,
            format!(
                "{name} must be of length {LENGTH} (not {}, for '{text}')",
                text.len()
            ),
        ));
    }
    text.parse().map_err(|_| not_hexadecimal(name, text))
}

/// Bytes in hexadecimal; error -8 with `name` for the argument's name.
pub fn hex(value: &Value, name: &str) -> Result<Vec<u8>, RpcError> {
    let text = value.as_str().unwrap_or_default();
    if text.is_empty() {
        return Err(not_hexadecimal(name, text));
    }
    bitcoin::hex::FromHex::from_hex(text).map_err(|_| not_hexadecimal(name, text))
}

fn not_hexadecimal(name: &str, text: &str) -> RpcError {
    RpcError::new(
        code::INVALID_PARAMETER,
        format!("{name} must be hexadecimal string (not '{text}')"),
    )
}

/// A range of descriptor indexes: its last index, or `[first, last]`. Error -8 if it is none, negative, above 2^31 - 1 or
/// longer than a million.
pub fn descriptor_range(value: &Value) -> Result<std::ops::RangeInclusive<u32>, RpcError> {
    let invalid = |text: &str| RpcError::new(code::INVALID_PARAMETER, text);
    let (low, high): (i64, i64) = match value {
        Value::Number(_) => (0, int(value)?),
        Value::Array(ends) => match ends.as_slice() {
            [low @ Value::Number(_), high @ Value::Number(_)] => (int(low)?, int(high)?),
            _ => return Err(invalid("Range must be specified as end or as [begin,end]")),
        },
        _ => return Err(invalid("Range must be specified as end or as [begin,end]")),
    };
    if low > high && value.is_array() {
        return Err(invalid(
            "Range specified as [begin,end] must not have begin after end",
        ));
    }
    if low < 0 {
        return Err(invalid("Range should be greater or equal than 0"));
    }
    let too_high = || invalid("End of range is too high");
    let high = u32::try_from(high)
        .ok()
        .filter(|high| *high <= i32::MAX as u32)
        .ok_or_else(too_high)?;
    let low = u32::try_from(low).map_err(|_| too_high())?;
    if u64::from(high) >= u64::from(low) + 1_000_000 {
        return Err(invalid("Range is too large"));
    }
    Ok(low..=high)
}

/// The type that a field of an object must have, for [`check_object`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Any type.
    Any,
    /// The type with this JSON name: `string`, `number`, `bool`, `array` or `object`.
    Of(&'static str),
}

/// Checks the fields of an object: error -3 if one has the wrong type, is missing (unless `allow_null`), or, if
/// `strict`, is none of `fields`.
pub fn check_object(
    value: &Value,
    fields: &[(&str, Field)],
    allow_null: bool,
    strict: bool,
) -> Result<(), RpcError> {
    let object = object(value)?;
    // Core goes through them by name, and tells of the first that is wrong.
    let mut by_name: Vec<&(&str, Field)> = fields.iter().collect();
    by_name.sort_unstable_by_key(|(name, _)| *name);
    for (name, field) in by_name {
        let given = object.get(*name).unwrap_or(&Value::Null);
        if given.is_null() && allow_null {
            continue;
        }
        if given.is_null() {
            return Err(RpcError::new(code::TYPE_ERROR, format!("Missing {name}")));
        }
        if let Field::Of(expected) = field
            && type_name(given) != *expected
        {
            let given = type_name(given);
            return Err(RpcError::new(
                code::TYPE_ERROR,
                format!(
                    "JSON value of type {given} for field {name} is not of expected type {expected}"
                ),
            ));
        }
    }
    let known = |key: &&String| fields.iter().any(|(name, _)| name == key);
    match object.keys().find(|key| !known(key)) {
        Some(key) if strict => Err(RpcError::new(
            code::TYPE_ERROR,
            format!("Unexpected key {key}"),
        )),
        _ => Ok(()),
    }
}
