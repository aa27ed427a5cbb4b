//! Several variants in flight: streams that wait for each other, weights of their own, how many it takes to fill the device,
//! and sweeps whose outcomes do not depend on any of it.

use crate::driver::{context, on_gpu, open};
use crate::in_every_format;
use crate::sweep_engine::{FGSM, assert_same, masks, network, pgd, setup, zeroed};
use crate::twins::{On, Rounded, normals};
use half::f16;
use std::process::Command;
use synfilter::attack::Attack;
use synfilter::backend::cuda::buffer::Buffer;
use synfilter::backend::cuda::context::Facts;
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::cuda::fill::Fill;
use synfilter::backend::cuda::filter::Weights as Filter;
use synfilter::backend::cuda::recording::Recording;
use synfilter::backend::{Batch, Device, Infer, Input, Output, Then};
use synfilter::filter::Mask;
use synfilter::graph::Shape;
use synfilter::graph::conv::{ConvShape, Direction};
use synfilter::graph::place::Place;
use synfilter::graph::program::Mode;
use synfilter::models::Arch;
use synfilter::sweep::{AttackMode, Engine, Measure, Outcome, Target};

#[test]
fn queues_by_how_full_a_run_is() {
    let of = |launches: &[(usize, usize)]| {
        let mut fill = Fill::default();
        launches.iter().for_each(|&(blocks, wave)| fill.add(blocks, wave));
        (fill.mean(), fill.queues())
    };
    assert_eq!(of(&[]), (1.0, 1));
    // One wave: as full as it has blocks.
    assert_eq!(of(&[(80, 100)]), (0.8, 1));
    assert_eq!(of(&[(79, 100)]), (0.79, 2));
    assert_eq!(of(&[(40, 100)]), (0.4, 2));
    assert_eq!(of(&[(39, 100)]), (0.39, 3));
    assert_eq!(of(&[(26, 100)]), (0.26, 4));
    assert_eq!(of(&[(1, 864)]).1, 4);
    // Several: the last one is what is not full.
    assert_eq!(of(&[(150, 100)]), (0.75, 2));
    assert_eq!(of(&[(250, 100)]).1, 1);
    assert_eq!(of(&[(100_000, 100)]), (1.0, 1));
    // The mean of the launches, however long they take.
    assert_eq!(of(&[(10, 100), (100_000, 100)]), (0.55, 2));
}

/// y = 2x of `rows` rows of 64 images: 1 block of 256 threads per 16 rows in f32.
fn double(cuda: &Cuda<f32>, rows: usize) -> impl Fn() {
    let batch = Batch { images: 64 };
    let place = Place::dense(Shape { c: rows, h: 1, w: 1 });
    let (x, scale) = (cuda.values(rows, batch), cuda.upload(&vec![2.0; rows]));
    move || {
        let mut y = cuda.values(rows, batch);
        let then = Then { scale: Some(&scale), ..Then::default() };
        cuda.map(batch, Input { data: &x, place }, Output { data: &mut y, place }, then);
    }
}

#[test]
fn launches_are_counted_while_somebody_asks() {
    let cuda = open::<f32>();
    let fill = |blocks: usize| cuda.context().filling(double(&cuda, 16 * blocks)).mean();
    let wave = 1.0 / fill(1);
    assert!(
        wave >= f64::from(u32::try_from(cuda.context().multiprocessors()).unwrap()) && wave.fract() < 1e-6
    );
    let blocks = wave.round() as usize;
    assert_eq!(fill(blocks), 1.0);
    assert_eq!(fill(blocks + 1), (wave.round() + 1.0) / (2.0 * wave.round()));
    double(&cuda, 16)();
    assert_eq!(cuda.context().filling(|| ()).mean(), 1.0, "nothing is counted outside");
    cuda.context().synchronize().unwrap();
}

/// What one stream begins after another belongs to a recording of that one, and has to end in it.
#[test]
fn streams_wait_for_each_other() {
    let first = context();
    let second = first.queue().expect("another stream");
    let (mut a, mut b) = (Buffer::zeros(&first, 12), Buffer::zeros(&second, 12));
    let (seven, mut recording) = (Buffer::of(&first, &[7_u32; 3]), None);
    for round in 0..4 {
        a.write(&[round; 3]);
        b.write(&[round; 3]);
        Recording::run(&mut recording, &first, || {
            a.copy_from(&seven);
            second.after(&first);
            b.copy_from(&a);
            first.after(&second);
        });
        assert_eq!(b.read::<u32>().unwrap(), [7; 3], "round {round}");
    }
    assert!(matches!(recording, Some(Recording::Graph(..))));
    // Without the second wait the recording has an end too many.
    let mut torn = None;
    for _ in 0..2 {
        Recording::run(&mut torn, &first, || {
            second.after(&first);
            b.copy_from(&seven);
        });
    }
    let error = second.synchronize().expect_err("all streams of a device know of what went wrong");
    assert!(error.to_string().contains("ending a recording: CUDA_ERROR_STREAM_CAPTURE_UNJOINED"), "{error}");
}

/// A convolution of random values, forward and backward, on a queue.
fn both<T: Rounded>(queue: &Cuda<T>, filter: &Filter, shape: ConvShape) -> [Vec<f32>; 2] {
    let on = On::cuda(queue, 5);
    let (h, w) = shape.output();
    let below = Place::dense(Shape { c: shape.c, h: shape.h, w: shape.w });
    let above = Place::dense(Shape { c: shape.k, h, w });
    [(Direction::Forward, below, above), (Direction::BackwardInput, above, below)].map(|(way, from, to)| {
        let x = on.value(&normals(1, 5 * from.values()), from);
        let mut y = queue.values(to.rows(), on.batch);
        let out = Output { data: &mut y, place: to };
        queue.conv(on.batch, filter, way, Input { data: &x, place: from }, out, Then::default());
        on.read(&y, to)
    })
}

fn own_weights<T: Rounded>(first: &Cuda<T>) {
    let second = first.queue().expect("another stream");
    for groups in [1, 2] {
        let shape = ConvShape { c: 40, k: 70, h: 3, w: 3, r: 3, s: 3, stride: 1, pad: 1, groups };
        let (master, scale) =
            (first.upload(&normals(2, shape.weights())), first.upload(&normals(3, shape.k)));
        let mut filter = first.filter(shape, true);
        first.load_filter(&mut filter, &master, Some(&scale));
        let whole = both(first, &filter, shape);
        let mut masked = |mask, channels| {
            first.mask_filter(&mut filter, mask, channels);
            let found = both(first, &filter, shape);
            first.mask_filter(&mut filter, Mask::ALL, 0..shape.k);
            found
        };
        let small = Mask { lo: -0.5, hi: 0.5, keep_inside: true };
        let large = Mask { lo: -1.0, hi: 1.0, keep_inside: false };
        let (all, some) = (masked(small, 0..shape.k), masked(large, 3..9));

        second.after(first);
        second.own_filter(&mut filter);
        assert_eq!(both(&second, &filter, shape), whole, "all of them count at first");
        second.mask_filter(&mut filter, small, 0..shape.k);
        first.mask_filter(&mut filter, large, 3..9);
        assert_eq!(both(&second, &filter, shape), all, "{}, {groups} groups", T::NAME);
        assert_eq!(both(first, &filter, shape), some, "{}, {groups} groups", T::NAME);
        second.mask_filter(&mut filter, large, 3..9);
        assert_eq!(both(&second, &filter, shape), some, "masks of others are taken back");
        second.mask_filter(&mut filter, small, 0..shape.k);
        second.share_filter(&mut filter);
        assert_eq!(both(&second, &filter, shape), some, "those of the first stream again");
        second.own_filter(&mut filter);
        second.mask_filter(&mut filter, small, 0..shape.k);
        first.load_filter(&mut filter, &master, Some(&scale));
        assert_eq!(both(&second, &filter, shape), whole, "new weights are those of all streams");
    }
}

#[test]
fn streams_have_weights_of_their_own() {
    in_every_format!(own_weights);
}

/// Convolutions of few images leave the device empty, those of many do not.
fn queues<T: Rounded>(cuda: &Cuda<T>) {
    let shape = ConvShape { c: 32, k: 64, h: 4, w: 4, r: 1, s: 1, stride: 1, pad: 0, groups: 1 };
    let filter = cuda.filter(shape, false);
    let (below, above) = (Shape { c: 32, h: 4, w: 4 }, Shape { c: 64, h: 4, w: 4 });
    let queues = |images: usize| {
        let batch = Batch { images };
        let (from, to) = (Place::dense(below), Place::dense(above));
        let (x, mut y) = (cuda.values(from.rows(), batch), cuda.values(to.rows(), batch));
        let mut recording = None;
        cuda.replayable(&mut recording, || {
            let (x, out) = (Input { data: &x, place: from }, Output { data: &mut y, place: to });
            cuda.conv(batch, &filter, Direction::Forward, x, out, Then::default());
        });
        cuda.queues_to_fill(&recording.expect("it has run"))
    };
    // 16 pixels, so at most 16 blocks of one slab, and of a wave at least one per multiprocessor.
    let many = cuda.context().multiprocessors() * 64 * 3;
    assert_eq!((queues(64), queues(many)), (4, 1), "{}, {many} images", T::NAME);
    cuda.context().synchronize().unwrap();
}

#[test]
fn queues_by_the_number_of_images() {
    in_every_format!(queues);
}

/// What a sweep finds of some targets, and the most lanes that it had.
fn swept<T: Rounded>(
    device: &Cuda<T>,
    (mode, attack): (AttackMode, Attack),
    targets: &[(Target, Vec<Mask>)],
    lanes: Option<usize>,
) -> (Vec<Outcome>, usize) {
    let (graph, weights, images) = setup(Arch::ShufflenetV2X0_5);
    let net = network(device, &graph, &weights, Mode::Inference);
    let all: Vec<Target> = targets.iter().map(|(target, _)| *target).collect();
    let mut engine = Engine::new(net, &images, mode, attack, &all);
    if let Some(lanes) = lanes {
        engine = engine.with_lanes(lanes);
    }
    let base = engine.begin_block(0..images.len()).unwrap();
    let (mut outcomes, mut most, mut bytes, mut owned) = (Vec::new(), 1, 0, None);
    for (target, masks) in targets {
        engine.begin_target(target).unwrap();
        let mut heard = 0;
        let after_each = &mut || {
            heard += 1;
            Ok(())
        };
        outcomes.extend(engine.variants(masks, after_each).unwrap());
        assert_eq!(heard, masks.len());
        let used = engine.lanes().min(masks.len());
        engine.end_target().unwrap();
        // A mask per variant, one that restores, and all weights once for each lane but the first.
        bytes += (masks.len() + 1) * engine.weight_bytes_per_variant(target);
        if let Target::Layer(layer) | Target::Channel { layer, .. } = *target
            && owned != Some(layer)
        {
            bytes += (used - 1) * engine.weight_bytes_per_variant(&Target::Layer(layer));
            owned = Some(layer);
        }
        assert!(*target != Target::Network || used == 1, "{used} lanes share all weights");
        most = most.max(used);
    }
    assert_eq!(engine.weight_bytes_written(), bytes as u64, "{lanes:?} lanes");
    assert_eq!(engine.begin_block(0..images.len()).unwrap(), base, "weights are restored");
    (outcomes, most)
}

/// Layers and channels: two of one layer in a row, and one of another.
fn targets() -> Vec<(Target, Vec<Mask>)> {
    let (graph, weights, _) = setup(Arch::ShufflenetV2X0_5);
    let of = |layer: usize, some: usize| {
        let masks = masks(&weights.tensors[graph.filterable()[layer]]);
        masks.iter().map(|variant| variant.mask).take(some).collect::<Vec<Mask>>()
    };
    vec![
        (Target::Layer(53), of(53, 4)),
        (Target::Channel { layer: 4, channel: 7 }, of(4, 3)),
        (Target::Channel { layer: 4, channel: 2 }, of(4, 2)),
        (Target::Layer(4), of(4, 1)),
        (Target::Layer(2), of(2, 3)), // depthwise
        (Target::Network, of(4, 2)),
    ]
}

/// One lane does what zeroed copies do; any number of lanes what one does.
fn same_on_any_number_of_lanes<T: Rounded>(device: &Cuda<T>, how: (AttackMode, Attack)) {
    let targets = targets();
    let (expected, one) = swept(device, how, &targets, Some(1));
    assert_eq!(one, 1);
    for lanes in [2, 3] {
        let (found, most) = swept(device, how, &targets, Some(lanes));
        assert_eq!((found, most), (expected.clone(), lanes), "{lanes} lanes, {}", T::NAME);
    }
    if how.0 == AttackMode::Adaptive {
        let (graph, weights, images) = setup(Arch::ShufflenetV2X0_5);
        let params = graph.filterable();
        let (Target::Layer(layer), masks) = &targets[0] else { panic!("a layer") };
        for (mask, outcome) in masks.iter().zip(&expected) {
            let copy = zeroed(&weights, &params[*layer..=*layer], *mask);
            let plain = network(device, &graph, &copy, Mode::Inference);
            assert_same(&format!("{mask:?}"), how.1, outcome, &plain, &images);
        }
    }
}

#[test]
fn f16_sweeps_on_lanes() {
    same_on_any_number_of_lanes(&open::<f16>(), (AttackMode::Adaptive, FGSM));
}

#[test]
fn f32_sweeps_on_lanes() {
    same_on_any_number_of_lanes(&open::<f32>(), (AttackMode::Fixed, FGSM));
}

#[test]
fn f16_sweeps_on_lanes_under_pgd() {
    let (layer, how) = (targets().swap_remove(0), (AttackMode::Adaptive, pgd(Some(3))));
    let device = open::<f16>();
    let (expected, _) = swept(&device, how, std::slice::from_ref(&layer), Some(1));
    // Twenty images fill no device: as many lanes as there can be.
    let (found, lanes) = swept(&device, how, std::slice::from_ref(&layer), None);
    assert_eq!((found, lanes), (expected, 4));
}

/// Lanes take what memory there is, and no more: run by the test below, in a process that has the device for itself.
#[test]
#[ignore = "another test runs it in a process of its own"]
fn alone() {
    let device = open::<f16>();
    let (graph, weights, images) = setup(Arch::Squeezenet1_1);
    let target = Target::Layer(2);
    let masks: Vec<Mask> = masks(&weights.tensors[graph.filterable()[2]]).iter().map(|v| v.mask).collect();
    let masks = &masks[..2];
    let free = || Facts::of(0).expect("a device that tells").free;
    let begun = |lanes: usize| {
        let net = network(&device, &graph, &weights, Mode::Inference);
        let mut engine = Engine::new(net, &images, AttackMode::Adaptive, FGSM, &[target]).with_lanes(lanes);
        engine.begin_block(0..images.len()).unwrap();
        engine.begin_target(&target).unwrap();
        engine
    };
    let before = free();
    let mut engine = begun(2);
    let expected = engine.variants(&masks[..1], &mut || Ok(())).unwrap().remove(0);
    let one = free();
    assert_eq!(engine.lanes(), 2);
    engine.variants(masks, &mut || Ok(())).unwrap();
    let lane = one - free();
    drop(engine);
    assert_eq!(free(), before, "everything is given back");

    // So many bytes for lanes, of which 85 % may be used, beside the first one's.
    for (room, lanes) in [(0.9, 1), (1.9, 2), (2.4, 3)] {
        let hog = one - (room * lane as f64 / 0.85) as usize;
        let hog = Buffer::zeros(device.context(), hog);
        let mut engine = begun(4);
        assert_eq!(engine.variants(masks, &mut || Ok(())).unwrap()[0], expected);
        assert_eq!(engine.lanes(), lanes, "room for {room} lanes of {lane} bytes");
        drop((engine, hog));
        device.context().synchronize().expect("enough memory");
    }
}

#[test]
fn lanes_keep_within_the_memory() {
    if on_gpu() {
        return; // of which others may take some meanwhile
    }
    let test = std::env::current_exe().expect("a test has a path");
    let run = Command::new(test)
        .args(["--exact", "lanes::alone", "--ignored"])
        .env("CUDA_EMULATOR_MEMORY", "1G")
        .output()
        .expect("the test runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}
