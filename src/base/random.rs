//! Random numbers that depend on a counter and a key only: the same on every machine, in any order of evaluation.
//!
//! Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011) maps a
//! 128-bit counter and a 64-bit key to 128 random bits.

/// Philox4x32 with ten rounds.
#[inline(always)]
pub fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let p = u64::from(counter[0]) * 0xD251_1F53;
        let q = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (q >> 32) as u32 ^ counter[1] ^ key[0],
            q as u32,
            (p >> 32) as u32 ^ counter[3] ^ key[1],
            p as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// The float in [0, 1) that the upper 24 bits of a word stand for.
#[inline(always)]
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// One of 2^64 independent sequences of a seed. Each use (a shuffle, a tensor's initial values) takes its own stream.
#[derive(Clone, Debug)]
pub struct Random {
    key: [u32; 2],
    stream: [u32; 2],
    block: u64,
    words: [u32; 4],
    /// Words of the current block that are spent.
    spent: usize,
}

impl Random {
    /// The sequence number `stream` of `seed`, from its start.
    pub fn new(seed: u64, stream: u64) -> Self {
        let halves = |x: u64| [x as u32, (x >> 32) as u32];
        Random { key: halves(seed), stream: halves(stream), block: 0, words: [0; 4], spent: 4 }
    }

    /// Number `at`, counted from 0, of what [`Random::bits`] draws from that sequence.
    #[inline(always)]
    pub fn bits_at(seed: u64, stream: u64, at: u64) -> u32 {
        let counter = [(at / 4) as u32, ((at / 4) >> 32) as u32, stream as u32, (stream >> 32) as u32];
        philox4x32(counter, [seed as u32, (seed >> 32) as u32])[(at % 4) as usize]
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        if self.spent == 4 {
            let [lo, hi] = self.stream;
            self.words = philox4x32([self.block as u32, (self.block >> 32) as u32, lo, hi], self.key);
            self.block += 1;
            self.spent = 0;
        }
        self.spent += 1;
        self.words[self.spent - 1]
    }

    /// Uniform in [0, 1), a multiple of 2⁻²⁴.
    pub fn uniform(&mut self) -> f32 {
        unit(self.bits())
    }

    /// Standard normal, by Box and Muller's transform of two uniform numbers.
    pub fn normal(&mut self) -> f32 {
        // (0, 1], so that the logarithm is finite.
        let radius = (f64::from(self.bits()) + 1.0) / 4_294_967_296.0;
        let angle = f64::from(self.bits()) / 4_294_967_296.0 * std::f64::consts::TAU;
        ((-2.0 * radius.ln()).sqrt() * angle.cos()) as f32
    }

    /// Uniform in 0..`n` without bias (`n` ≥ 1): multiplication, and rejection of the overhang (Lemire 2019).
    pub fn below(&mut self, n: u32) -> u32 {
        assert!(n > 0, "a number below 0");
        let overhang = n.wrapping_neg() % n;
        loop {
            let product = u64::from(self.bits()) * u64::from(n);
            if product as u32 >= overhang {
                return (product >> 32) as u32;
            }
        }
    }

    /// Puts `items` into a uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        assert!(items.len() <= u32::MAX as usize, "too many items to shuffle");
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u32 + 1) as usize);
        }
    }

    /// The numbers 0..`n` in a uniformly random order.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that the authors publish with their reference implementation (Random123, `kat_vectors`).
    #[test]
    fn philox_known_answers() {
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox4x32([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, stream| {
            let mut random = Random::new(seed, stream);
            (0..9).map(|_| random.bits()).collect::<Vec<_>>()
        };
        assert_eq!(draw(3, 4), draw(3, 4));
        assert_ne!(draw(3, 4), draw(3, 5));
        assert_ne!(draw(3, 4), draw(4, 4));
    }

    #[test]
    fn any_number_of_a_sequence_can_be_had_alone() {
        let (seed, stream) = (0x1234_5678_9ABC_DEF0, 0x0FED_CBA9_8765_4321);
        let mut random = Random::new(seed, stream);
        assert!((0..9).all(|at| Random::bits_at(seed, stream, at) == random.bits()));
    }

    #[test]
    fn moments() {
        let mut random = Random::new(1, 2);
        let n = 100_000;
        let moments = |draw: &mut dyn FnMut() -> f32| {
            let values: Vec<f64> = (0..n).map(|_| f64::from(draw())).collect();
            let mean = values.iter().sum::<f64>() / f64::from(n);
            (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n))
        };
        let (mean, var) = moments(&mut || random.uniform());
        assert!((mean - 0.5).abs() < 0.004 && (var - 1.0 / 12.0).abs() < 0.002, "uniform {mean} {var}");
        let (mean, var) = moments(&mut || random.normal());
        assert!(mean.abs() < 0.015 && (var - 1.0).abs() < 0.02, "normal {mean} {var}");
    }

    #[test]
    fn below_is_uniform_and_in_range() {
        let mut random = Random::new(7, 0);
        let mut count = [0u32; 6];
        for _ in 0..60_000 {
            count[random.below(6) as usize] += 1;
        }
        assert!(count.iter().all(|c| c.abs_diff(10_000) < 450), "{count:?}");
        assert_eq!(random.below(1), 0);
    }

    #[test]
    fn permutations_hold_every_number_once_and_mix() {
        let order = Random::new(5, 5).permutation(1000);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().enumerate().all(|(i, &v)| i == v));
        assert!(order.iter().enumerate().filter(|&(i, &v)| i == v).count() < 10);
        assert!(Random::new(5, 5).permutation(0).is_empty());
    }
}
