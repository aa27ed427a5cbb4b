//! What the emulator counts of kernels at shapes of real networks: how many bytes they ask for beyond those that they have
//! to, how much of each 32-byte sector they use, and shared memory's bank conflicts.

use crate::twins::{On, Rounded, normals};
use crate::{driver, in_every_format};
use serde_json::Value;
use std::process::Command;
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::{Adam, Device, Infer, Sgd, Train};
use synfilter::backend::{
    Adversarial, AttackStart, AttackStep, DropoutKey, ImageBatch, Input, Noise, NormGradients, Optimizer,
    Output, PixelData, Sign, Standard, Statistics, Then,
};
use synfilter::graph::conv::{ConvShape, Direction};
use synfilter::graph::place::Place;
use synfilter::graph::{Activation, Mean, Rectifier};
use synfilter::graph::{Pool, Shape};

/// Kernels, and how many times the bytes that they touch they may ask for. Pools of overlapping windows and the three passes
/// over the logits ask L1 and L2 again for what they have read; neighbouring rows share factors per channel; tiles of a
/// convolution read what their taps share, and each its own copy of the weights (a tenth above what they did).
const LIMITS: [(&str, f64); 23] = [
    ("conv2d_", 6.6),
    ("conv_mma_", 4.6),
    ("activate_backward_", 1.1),
    ("activate_", 1.1),
    ("adam", 1.1),
    ("avg_pool_backward_", 1.2),
    ("avg_pool_f", 1.1),
    ("avg_pool_b", 1.1),
    ("cross_entropy_", 3.0),
    ("dropout_", 1.1),
    ("load_bytes_", 1.1),
    ("map_", 1.1),
    ("mask_rows_", 1.1),
    ("max_pool_backward_", 3.0),
    ("max_pool_", 2.2),
    ("mean_pool_", 3.0),
    ("norm_backward_", 1.1),
    ("norm_gradients_", 1.1),
    ("norm_statistics_", 1.1),
    ("pack_", 1.1),
    ("attack_step_", 1.1),
    ("product_", 1.1),
    ("sgd", 1.1),
];

/// Runs every kernel of `LIMITS` in one number format.
fn kernels<T: Rounded>(cuda: &Cuda<T>) {
    let on = On::cuda(cuda, 128);
    let batch = on.batch;
    let place = Place::dense(Shape { c: 64, h: 8, w: 8 });
    let (half, mean) = (Place { h: 4, w: 4, ..place }, Place { h: 1, w: 1, ..place });
    let numbers = normals(1, 128 * 64 * 64);
    let value = |place: Place| on.value(&numbers[..128 * place.c * place.h * place.w], place);
    let (x, add, mut y) = (value(place), value(place), value(place));
    let (small, one) = (value(half), value(mean));
    let per_channel = |seed| cuda.upload(&normals(seed, 64));
    let (scale, shift) = (per_channel(2), per_channel(3));
    let mut bits = cuda.bits(place.rows(), batch);
    let input = |data| Input { data, place };

    let then = Then {
        scale: Some(&scale),
        shift: Some(&shift),
        add: Some(input(&add)),
        sign: Sign::RectifySave(Rectifier::RELU, &mut bits),
        ..Then::default()
    };
    cuda.map(batch, input(&x), Output { data: &mut y, place }, then);
    let masked = || Then { sign: Sign::Mask(&bits, 0.0), ..Then::default() };
    cuda.map(batch, input(&x), Output { data: &mut y, place }, masked());
    cuda.mask(&mut y, &bits, 0.0);

    let mut known = Statistics { mean: cuda.floats(64), var: cuda.floats(64) };
    cuda.norm_statistics(batch, input(&x), &mut known);
    let (mut weight, mut bias) = (cuda.floats(64), cuda.floats(64));
    cuda.norm_gradients(batch, input(&x), input(&add), &known, &mut weight, &mut bias);
    let gradients = NormGradients { weight: &weight, bias: &bias };
    let out = Output { data: &mut y, place };
    cuda.norm_backward(batch, input(&x), input(&add), &known, gradients, &scale, out, masked());

    let pool = Pool { kernel: 3, stride: 2, pad: 1, ceil: false };
    let (mut winners, mut pooled) = (cuda.bytes(half.rows(), batch), value(half));
    cuda.max_pool(batch, pool, input(&x), Output { data: &mut pooled, place: half }, Some(&mut winners));
    let dy = Input { data: &small, place: half };
    cuda.max_pool_backward(batch, pool, dy, &winners, Output { data: &mut y, place }, masked());
    let mut averages = value(mean);
    cuda.avg_pool(batch, Mean::Adaptive, input(&x), Output { data: &mut averages, place: mean });
    let dy = Input { data: &one, place: mean };
    cuda.avg_pool_backward(batch, Mean::Adaptive, dy, Output { data: &mut y, place }, masked());

    let pool = Pool { kernel: 2, stride: 2, pad: 0, ceil: false };
    let windows = Mean::Windows { pool, count_pad: true };
    cuda.avg_pool(batch, windows, input(&x), Output { data: &mut pooled, place: half });
    let dy = Input { data: &small, place: half };
    cuda.avg_pool_backward(batch, windows, dy, Output { data: &mut y, place }, masked());
    cuda.activate(batch, Activation::Silu, input(&x), Output { data: &mut y, place });
    let out = Output { data: &mut y, place };
    cuda.activate_backward(batch, Activation::Silu, input(&x), input(&add), out, masked());
    cuda.product(batch, input(&x), input(&add), Output { data: &mut y, place }, masked());
    let out = Output { data: &mut averages, place: mean };
    cuda.product_sum(batch, input(&x), input(&add), out, Then::default());

    let key = DropoutKey { seed: 1, step: 2, stream: 3 };
    cuda.dropout(batch, 0.5, key, input(&x), Output { data: &mut y, place }, Then::default());

    let labels = vec![1; batch.images];
    let bytes: Vec<u8> = (0..128 * 64 * 64).map(|i| (i % 251) as u8).collect();
    let images = cuda.images(ImageBatch { pixels: PixelData::Bytes(&bytes), labels: &labels });
    let norm = || Standard { mean: &shift, std: &scale };
    cuda.load_images(batch, &images, norm(), Output { data: &mut y, place });
    let attack = AttackStep { eps: 0.1, alpha: 0.1, clamp: true };
    let alone = Adversarial { pixels: None, z: Output { data: &mut y, place } };
    cuda.attack_step(batch, &images, norm(), input(&x), attack, alone);
    let mut pixels = cuda.pixels(place.values(), batch);
    let noise = Some(Noise { eps: 0.1, seed: 1, first_image: 0 });
    let to = Adversarial { pixels: Some(&mut pixels), z: Output { data: &mut y, place } };
    cuda.attack_start(batch, &images, norm(), AttackStart { noise, clamp: true }, to);
    let step = AttackStep { eps: 0.1, alpha: 0.02, clamp: true };
    let at = Adversarial { pixels: Some(&mut pixels), z: Output { data: &mut y, place } };
    cuda.attack_step(batch, &images, norm(), input(&x), step, at);

    let logits = Input { data: &one, place: mean };
    let mut found = cuda.verdicts(batch);
    let gradient = Output { data: &mut averages, place: mean };
    cuda.cross_entropy(batch, logits, &images, Some((gradient, 1.0)), &mut found);

    let shape = ConvShape { c: 64, k: 64, h: 8, w: 8, r: 3, s: 3, stride: 1, pad: 1, groups: 1 };
    let mut filter = cuda.filter(shape, true);
    let mut weights = cuda.upload(&normals(4, shape.weights()));
    cuda.load_filter(&mut filter, &weights, Some(&scale));
    let forward = || Then { sign: Sign::Rectify(Rectifier::RELU), ..Then::default() };
    let out = Output { data: &mut y, place };
    cuda.conv(batch, &filter, Direction::Forward, input(&x), out, forward());
    let out = Output { data: &mut y, place };
    cuda.conv(batch, &filter, Direction::BackwardInput, input(&x), out, masked());
    let pointwise = ConvShape { k: 128, r: 1, s: 1, pad: 0, ..shape };
    let mut wide = cuda.filter(pointwise, true);
    cuda.load_filter(&mut wide, &cuda.upload(&normals(6, pointwise.weights())), None);
    let above = Place { c: 128, pixel: 128, ..place };
    let mut products = cuda.values(above.rows(), batch);
    let out = Output { data: &mut products, place: above };
    cuda.conv(batch, &wide, Direction::Forward, input(&x), out, forward());

    let gradient = cuda.upload(&normals(5, shape.weights()));
    let mut moments = [cuda.floats(shape.weights()), cuda.floats(shape.weights())];
    for optimizer in [
        Optimizer::Adam(Adam::new(0.1)),
        Optimizer::Sgd(Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.1 }),
    ] {
        cuda.optimize(optimizer, 1, &mut weights, &gradient, &mut moments);
    }
    cuda.context().synchronize().expect("a working device");
}

/// What is counted: run by the test below, in a process of its own.
#[test]
#[ignore = "another test runs it and reads the counters"]
fn counted() {
    in_every_format!(kernels);
}

#[test]
fn kernels_ask_for_little_more_than_they_need() {
    if driver::on_gpu() {
        return; // which does not count
    }
    let folder = tempfile::tempdir().expect("a folder");
    let profile = folder.path().join("profile.json");
    let test = std::env::current_exe().expect("a test has a path");
    let output = Command::new(test)
        .args(["--exact", "traffic::counted", "--ignored"])
        .env("CUDA_EMULATOR_PROFILE", &profile)
        .env("CUDA_EMULATOR_PTXAS", "/bin/false") // registers are not looked at
        .output()
        .expect("the test runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let text = std::fs::read_to_string(&profile).expect("a profile");
    let profile: Value = serde_json::from_str(&text).expect("JSON");
    let (mut seen, mut wrong) = ([false; LIMITS.len()], Vec::new());
    let mut check = |good: bool, fault: String| {
        if !good {
            wrong.push(fault);
        }
    };
    for kernel in profile["kernels"].as_array().expect("kernels") {
        let name = kernel["name"].as_str().expect("a name");
        let Some(found) = LIMITS.iter().position(|(start, _)| name.starts_with(start)) else { continue };
        seen[found] = true;
        let limit = LIMITS[found].1;
        let count = |group: &str, what: &str| kernel["counters"][group][what].as_f64().expect("a counter");
        let both = |what: &str| count("global_loads", what) + count("global_stores", what);
        let asked = 32.0 * both("sectors") / both("distinct_bytes");
        let used = both("used_bytes") / (32.0 * both("sectors"));
        println!("{name}: asks for {asked:.3} of what it touches, uses {:.1} % of sectors", 100.0 * used);
        check(
            asked <= limit,
            format!("{name} asks for {asked:.3} times the bytes that it touches, limit {limit}"),
        );
        check(used >= 0.95, format!("{name} uses {used:.3} of the sectors that it asks for"));
        for shared in ["shared_loads", "shared_stores"] {
            let conflicts = count(shared, "wavefronts") - count(shared, "ideal_wavefronts");
            let limit = 0.05 * count(shared, "requests");
            check(conflicts <= limit, format!("{name}, {shared}: {conflicts} bank conflicts, limit {limit}"));
        }
    }
    for ((start, _), seen) in LIMITS.iter().zip(seen) {
        check(seen, format!("no kernel {start} ran"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
