//! Floating-point operands at which something may go wrong.

use crate::exact::Format;
use crate::kit::{Random, Reg};

/// Zeros, the ends of the subnormal and normal ranges, numbers around one, infinities, NaN: of both signs.
pub fn edges(format: Format) -> Vec<u128> {
    let one = ((1u64 << (format.exponent - 1)) - 1) << format.fraction;
    let normal = 1 << format.fraction;
    let half_ulp_of_one = one - (u64::from(format.fraction) + 1) * normal;
    let positive = [
        0,
        1,
        2,
        normal >> 1,
        normal - 1,
        normal,
        normal + 1,
        half_ulp_of_one,
        half_ulp_of_one + 1,
        one - normal,
        one - 1,
        one,
        one + 1,
        one + 2,
        one + (normal >> 1),
        one + normal + (normal >> 1),
        format.max - normal,
        format.max - 1,
        format.max,
        format.max + 1,
        format.max + 2,
        format.sign() - 1,
    ];
    positive.iter().flat_map(|&p| [u128::from(p), u128::from(p | format.sign())]).collect()
}

/// Any encoding, or one with a short or long run of ones, with an exponent anywhere or near that of one.
pub fn random(format: Format, numbers: &mut Random) -> u128 {
    let (any, kind) = (numbers.next(), numbers.next());
    let keep = (kind >> 8) as u32 % (format.fraction + 1);
    let low = (1u64 << (format.fraction - keep)) - 1;
    let fraction = match kind % 4 {
        0 => any & !low,
        1 => any | low,
        2 => !low ^ (any & 1),
        _ => any,
    } & ((1 << format.fraction) - 1);
    let fields = (1u64 << format.exponent) - 1;
    let field = match kind >> 4 & 3 {
        0 => any >> 52,
        1 => (any >> 52) % 3,
        _ => fields / 2 + (any >> 52) % (format.fraction as u64 * 2) - format.fraction as u64,
    } & fields;
    let sign = if kind >> 40 & 1 != 0 { format.sign() } else { 0 };
    u128::from(sign | field << format.fraction | fraction)
}

/// Columns: every combination of `choices`, then random rows.
pub fn columns(format: Format, operands: usize, choices: &[u128], rows: usize) -> Vec<Vec<u128>> {
    let registers = vec![Reg::B64; operands];
    let mut columns = crate::kit::columns_of(&registers, &vec![choices.to_vec(); operands], 0);
    let mut numbers = Random(rows as u64 + u64::from(format.fraction));
    for _ in 0..rows {
        for column in &mut columns {
            column.push(random(format, &mut numbers));
        }
    }
    columns
}

/// The edges that matter in combinations of three.
pub fn few_edges(format: Format) -> Vec<u128> {
    edges(format).into_iter().enumerate().filter(|(k, _)| k / 2 % 3 == 0).map(|(_, bits)| bits).collect()
}
