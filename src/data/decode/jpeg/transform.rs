//! Coefficients to samples: libjpeg's slow, exact inverse cosine transform in integers (Loeffler, Ligtenberg and
//! Moschytz, 1989), columns first, with 13 bits of fraction in the constants and 2 between the passes.
//!
//! Broken files have coefficients that fit nowhere; they wrap and saturate at 16 bits where libjpeg-turbo's vector
//! code does, which is what runs on today's machines.

use super::block::Block;

/// The constants, times 2¹³.
const F_0_298: i32 = 2446;
const F_0_390: i32 = 3196;
const F_0_541: i32 = 4433;
const F_0_765: i32 = 6270;
const F_0_899: i32 = 7373;
const F_1_175: i32 = 9633;
const F_1_501: i32 = 12299;
const F_1_847: i32 = 15137;
const F_1_961: i32 = 16069;
const F_2_053: i32 = 16819;
const F_2_562: i32 = 20995;
const F_3_072: i32 = 25172;

/// Bits to drop after the first and after the second pass.
const FIRST: u32 = 13 - 2;
const SECOND: u32 = 13 + 2 + 3;

type Rows = [[i16; 8]; 8];

/// Writes the 8×8 samples of a block to `samples`, whose rows are `stride` long.
pub(super) fn write_block(block: &Block, steps: &[u16; 64], samples: &mut [u8], stride: usize) {
    let rows = if block[8..].iter().all(|&coefficient| coefficient == 0) {
        // Every column is constant.
        let mut row = [0; 8];
        for (to, (coefficient, step)) in row.iter_mut().zip(block.iter().zip(steps)) {
            *to = coefficient.wrapping_mul(*step as i16) << 2;
        }
        if row[1..] == [0; 7] {
            let sample = sample((((i32::from(row[0]) << 13) + (1 << (SECOND - 1))) >> SECOND) as i16);
            for line in samples.chunks_mut(stride).take(8) {
                line[..8].fill(sample);
            }
            return;
        }
        [row; 8]
    } else {
        let mut rows = [[0; 8]; 8];
        for (place, to) in rows.as_flattened_mut().iter_mut().enumerate() {
            *to = block[place].wrapping_mul(steps[place] as i16);
        }
        columns::<FIRST>(&rows)
    };
    let rows = transposed(&columns::<SECOND>(&transposed(&rows)));
    for (line, row) in samples.chunks_mut(stride).zip(&rows) {
        for (to, &value) in line.iter_mut().zip(row) {
            *to = sample(value);
        }
    }
}

/// A sample from its distance to the middle grey.
fn sample(value: i16) -> u8 {
    (value.clamp(-128, 127) + 128) as u8
}

fn transposed(rows: &Rows) -> Rows {
    std::array::from_fn(|x| std::array::from_fn(|y| rows[y][x]))
}

/// Transforms every column, and drops `BITS` bits.
fn columns<const BITS: u32>(rows: &Rows) -> Rows {
    let mut out = [[0; 8]; 8];
    for x in 0..8 {
        let [in0, in1, in2, in3, in4, in5, in6, in7] = std::array::from_fn(|y| rows[y][x]);
        let times = |value: i16, factor: i32| i32::from(value) * factor;

        // The even ones: a transform of length 4.
        let sum = i32::from(in0.wrapping_add(in4)) << 13;
        let difference = i32::from(in0.wrapping_sub(in4)) << 13;
        let outer = times(in2, F_0_541 + F_0_765) + times(in6, F_0_541);
        let inner = times(in2, F_0_541) + times(in6, F_0_541 - F_1_847);
        let even = [sum + outer, difference + inner, difference - inner, sum - outer];

        // The odd ones.
        let (z3, z4) = (in7.wrapping_add(in3), in5.wrapping_add(in1));
        let shared3 = times(z3, F_1_175 - F_1_961) + times(z4, F_1_175);
        let shared4 = times(z3, F_1_175) + times(z4, F_1_175 - F_0_390);
        let odd = [
            times(in1, F_1_501 - F_0_899) + times(in7, -F_0_899) + shared4,
            times(in3, F_3_072 - F_2_562) + times(in5, -F_2_562) + shared3,
            times(in3, -F_2_562) + times(in5, F_2_053 - F_2_562) + shared4,
            times(in1, -F_0_899) + times(in7, F_0_298 - F_0_899) + shared3,
        ];

        let dropped = |value: i32| {
            let value = (value + (1 << (BITS - 1))) >> BITS;
            value.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
        };
        for y in 0..4 {
            out[y][x] = dropped(even[y] + odd[y]);
            out[7 - y][x] = dropped(even[y] - odd[y]);
        }
    }
    out
}
