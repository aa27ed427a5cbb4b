//! The formula behind the golden files: weights and images that both PyTorch's side (tests/golden/generate.py)
//! and this side compute to the same bit, so that only results need to be stored.
//!
//! `manifest.json` states the formula and holds samples of it; tests/golden_reader.rs compares them.

/// The version of the formula that this file computes, as the manifest counts it.
pub const FORMULA_VERSION: u64 = 1;

/// The FNV-1a hash of the name, and with it the start of the tensor's sequence.
fn fnv1a64(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// One step of the SplitMix64 generator (Steele, Lea, Flood 2014).
fn splitmix64(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Element `index` of the sequence called `name`.
pub fn hash(name: &str, index: usize) -> u64 {
    splitmix64(fnv1a64(name).wrapping_add(index as u64))
}

/// A number in [-1, 1) that f32 holds exactly.
pub fn uniform(name: &str, index: usize) -> f32 {
    unit(hash(name, index))
}

/// The upper bits of a hash as a number in [-1, 1).
fn unit(hash: u64) -> f32 {
    (hash >> 40) as f32 / (1u32 << 24) as f32 * 2.0 - 1.0
}

/// A tensor of [`uniform`] numbers.
pub fn uniform_tensor(name: &str, len: usize) -> Vec<f32> {
    let start = fnv1a64(name);
    (0..len).map(|i| unit(splitmix64(start.wrapping_add(i as u64)))).collect()
}

/// A parameter or running statistic of a network by its torchvision name; `shape` is PyTorch's (OIHW).
///
/// `bn_gain` is the centre of the batch-norm weights, the architecture's own (`Case::bn_gain`). A one-dimensional
/// `weight` is batch norm's: convolutions have four dimensions, linear layers two.
pub fn parameter(name: &str, shape: &[usize], bn_gain: f32) -> Vec<f32> {
    let u = uniform_tensor(name, shape.iter().product());
    let map = |f: &dyn Fn(f32) -> f32| u.iter().map(|&u| f(u)).collect();
    if name.ends_with("running_var") {
        map(&|u| 1.0 + 0.5 * u.abs())
    } else if name.ends_with("running_mean") || name.ends_with("bias") {
        map(&|u| 0.1 * u)
    } else if shape.len() == 1 {
        map(&|u| bn_gain + 0.1 * u)
    } else {
        let fan_in: usize = shape[1..].iter().product();
        let bound = (6.0 / fan_in as f32).sqrt();
        map(&|u| u * bound)
    }
}

/// Images `[n, channels, side, side]` in [0, 1): noise over coarse blobs of 4 × 4 per channel.
pub fn images(salt: u64, n: usize, channels: usize, side: usize) -> Vec<f32> {
    let half = |name: &str, index| (uniform(name, index) + 1.0) / 2.0;
    let (noise, blobs) = (format!("images{salt}"), format!("blobs{salt}"));
    (0..n * channels * side * side)
        .map(|i| {
            let (plane, row, column) = (i / (side * side), i / side % side, i % side);
            let blob = half(&blobs, (plane * 4 + row * 4 / side) * 4 + column * 4 / side);
            (half(&noise, i) + 3.0 * blob) / 4.0
        })
        .collect()
}

/// Labels of `n` images.
pub fn labels(n: usize, classes: usize) -> Vec<u16> {
    (0..n).map(|i| (hash("labels", i) % classes as u64) as u16).collect()
}

/// Check vector `j`: its elements are 1 or -1.
pub fn signs(j: usize) -> impl Fn(usize) -> f64 {
    let start = fnv1a64(&format!("check{j}"));
    move |index| if splitmix64(start.wrapping_add(index as u64)) >> 63 == 1 { -1.0 } else { 1.0 }
}
