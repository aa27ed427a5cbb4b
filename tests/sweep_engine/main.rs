//! The numeric engine of a sweep against the plain way: zero the weights in a copy, run everything.

mod cases;

use cases::{FGSM, assert_same, masks, network, pgd, setup, setup_with, zeroed};
use synfilter::attack::{Attack, Method, Pgd};
use synfilter::backend::cpu::device::Cpu;
use synfilter::backend::cpu::select::ConvMode;
use synfilter::backend::cpu::simd::Level;
use synfilter::data::{DatasetKind, Split, load};
use synfilter::filter::Mask;
use synfilter::graph::program::Mode;
use synfilter::models::{Arch, Stem};
use synfilter::sweep::{AttackMode, Engine, Measure, Outcome, Target};

fn cpu(conv: ConvMode) -> Cpu {
    Cpu::new(conv, false)
}

#[test]
fn masked_suffix_equals_zeroed_copy_run_whole() {
    let networks: [(Arch, &[usize]); 3] = [
        (Arch::Resnet18, &[0, 7, 20]),
        (Arch::Squeezenet1_1, &[0, 2, 3, 10, 25]),
        (Arch::ShufflenetV2X0_5, &[0, 1, 4, 6, 20, 56]),
    ];
    cases::masked_suffix_equals_zeroed_copy_run_whole(&cpu(ConvMode::Auto), &networks, 1, FGSM);
    let resnet50: [(Arch, &[usize]); 1] = [(Arch::Resnet50, &[30])];
    cases::masked_suffix_equals_zeroed_copy_run_whole(&cpu(ConvMode::Direct), &resnet50, 1, FGSM);
    let networks: [(Arch, &[usize]); 2] = [(Arch::Resnet18, &[7]), (Arch::Squeezenet1_1, &[3, 25])];
    for seed in [None, Some(9)] {
        cases::masked_suffix_equals_zeroed_copy_run_whole(&cpu(ConvMode::Auto), &networks, 2, pgd(seed));
    }
}

/// The kernels of every instruction set pack masked weights into panels of their own size; the best is what all other tests
/// here run on.
#[test]
fn masked_suffix_equals_zeroed_copy_at_every_level() {
    let mut levels = Level::available();
    levels.pop();
    for level in levels {
        let device = Cpu { level, ..cpu(ConvMode::Auto) };
        let networks: [(Arch, &[usize]); 2] =
            [(Arch::Squeezenet1_1, &[3, 25]), (Arch::ShufflenetV2X0_5, &[4])];
        cases::masked_suffix_equals_zeroed_copy_run_whole(&device, &networks, 3, FGSM);
    }
}

/// Without a pool, both the first block and its shortcut read what the first convolution leaves.
#[test]
fn networks_without_a_pool_are_swept_alike() {
    let network = setup_with(Arch::Resnet18, Stem::NoPool);
    cases::variants_equal_zeroed_copies(&cpu(ConvMode::Auto), network, &[2, 20], 5, FGSM);
}

/// What a backward pass reads of values is there: those of the base, and those of the variant.
#[test]
fn networks_that_keep_values_are_swept_alike() {
    for attack in [FGSM, pgd(None)] {
        cases::variants_equal_zeroed_copies(
            &cpu(ConvMode::Auto),
            cases::gated(),
            &[0, 1, 2, 3, 4],
            3,
            attack,
        );
    }
}

/// One step of size ε from the image is FGSM, in whole sweeps; more steps find images that are worse.
#[test]
fn one_step_is_fgsm_and_more_go_further() {
    let device = &cpu(ConvMode::Auto);
    let (graph, weights, images) = setup(Arch::Squeezenet1_1);
    let mask = masks(&weights.tensors[graph.filterable()[3]])[2].mask;
    let measure = |mode: AttackMode, attack: Attack| {
        let net = network(device, &graph, &weights, Mode::Inference);
        let mut engine = Engine::new(net, &images, mode, attack, &[Target::Layer(3)]);
        let base = engine.begin_block(0..images.len()).unwrap();
        engine.begin_target(&Target::Layer(3)).unwrap();
        (base, engine.variant(&mask).unwrap())
    };
    let one = Method::Pgd(Pgd { steps: 1, step_size: Some(FGSM.eps), seed: None });
    for mode in [AttackMode::Adaptive, AttackMode::Fixed] {
        let fgsm = measure(mode, FGSM);
        assert_eq!(measure(mode, Attack { method: one, ..FGSM }), fgsm, "{mode}");
        let three = measure(mode, pgd(None));
        assert!(three.0.loss_adv.units() > fgsm.0.loss_adv.units(), "{mode}");
        assert_eq!(three.1.clean, fgsm.1.clean, "{mode}");
    }
}

/// First and last channels, in panels of every algorithm: stems, 1×1, 3×3, depthwise, linear.
#[test]
fn masked_channels_equal_zeroed_copies() {
    let auto = cpu(ConvMode::Auto);
    let resnet = [(0, 0), (0, 63), (6, 17), (16, 511), (16, 3), (20, 9)];
    cases::masked_channels_equal_zeroed_copies(&auto, Arch::Resnet18, &resnet, 3);
    let shuffle = [(1, 5), (2, 0), (2, 23), (56, 4)];
    cases::masked_channels_equal_zeroed_copies(&auto, Arch::ShufflenetV2X0_5, &shuffle, 3);
    cases::masked_channels_equal_zeroed_copies(&auto, Arch::Resnet50, &[(30, 100), (33, 700)], 6);
    let direct = cpu(ConvMode::Direct);
    cases::masked_channels_equal_zeroed_copies(&direct, Arch::Squeezenet1_1, &[(0, 1), (3, 63), (25, 0)], 3);
}

#[test]
fn network_scope_filters_every_tensor() {
    let device = &cpu(ConvMode::Auto);
    let (graph, weights, images) = setup(Arch::Squeezenet1_1);
    let layers = graph.filterable();
    let net = network(device, &graph, &weights, Mode::Inference);
    let mut engine = Engine::new(net, &images, AttackMode::Adaptive, FGSM, &[Target::Network]);
    engine.begin_block(0..images.len()).unwrap();
    engine.begin_target(&Target::Network).unwrap();
    let all: Vec<f32> = layers.iter().flat_map(|&p| weights.tensors[p].iter().copied()).collect();
    for variant in masks(&all) {
        let outcome = engine.variant(&variant.mask).unwrap();
        let copy = zeroed(&weights, &layers, variant.mask);
        let what = format!("{:?} {}", variant.filter, variant.k);
        assert_same(&what, FGSM, &outcome, &network(device, &graph, &copy, Mode::Inference), &images);
    }
}

#[test]
fn batch_statistics_use_batches_of_a_hundred() {
    for attack in [FGSM, pgd(None)] {
        cases::batch_statistics_use_batches_of_a_hundred(&cpu(ConvMode::Direct), attack);
    }
}

/// Blocks of any size, any number of threads, images in any block: the same bits and the same losses.
#[test]
fn blocks_and_threads_change_nothing() {
    const COUNT: usize = 200;
    let device = &cpu(ConvMode::Auto);
    let (graph, weights, _) = setup(Arch::Squeezenet1_1);
    let images = load(DatasetKind::Digits, None, Split::Test, None).unwrap().first(COUNT).unwrap();
    let mask = masks(&weights.tensors[graph.filterable()[3]])[2].mask;
    let measure = |mode: AttackMode, attack: Attack, threads: usize, block: usize| -> (Outcome, Outcome) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let net = network(device, &graph, &weights, Mode::Inference);
            let mut engine = Engine::new(net, &images, mode, attack, &[Target::Layer(3)]);
            let (mut base, mut filtered) = (Outcome::default(), Outcome::default());
            for start in (0..images.len()).step_by(block) {
                base.append(&engine.begin_block(start..(start + block).min(images.len())).unwrap());
                engine.begin_target(&Target::Layer(3)).unwrap();
                filtered.append(&engine.variant(&mask).unwrap());
                engine.end_target().unwrap();
            }
            (base, filtered)
        })
    };
    for attack in [FGSM, pgd(Some(3))] {
        let [adaptive, fixed] = [AttackMode::Adaptive, AttackMode::Fixed].map(|mode| {
            let whole = measure(mode, attack, 1, COUNT);
            for (threads, block) in [(2, COUNT), (3, 64), (1, 128)] {
                let found = measure(mode, attack, threads, block);
                assert_eq!(found, whole, "{mode} {} {threads} threads, block {block}", attack.method);
            }
            whole
        });
        assert_eq!(adaptive.0, fixed.0, "both attack the unfiltered network alike");
        assert_eq!(adaptive.1.clean, fixed.1.clean);
    }
    let whole = |seed| measure(AttackMode::Adaptive, pgd(Some(seed)), 2, COUNT).0.loss_adv;
    assert_ne!(whole(3), whole(4), "seeds start elsewhere");
}

/// A device with one queue has one lane, whatever is asked for.
#[test]
fn the_cpu_has_one_lane() {
    let device = &cpu(ConvMode::Auto);
    let (graph, weights, images) = setup(Arch::Squeezenet1_1);
    let target = Target::Layer(24);
    let masks: Vec<Mask> =
        masks(&weights.tensors[graph.filterable()[24]]).iter().map(|variant| variant.mask).collect();
    let net = network(device, &graph, &weights, Mode::Inference);
    let mut engine = Engine::new(net, &images, AttackMode::Adaptive, FGSM, &[target]).with_lanes(3);
    engine.begin_block(0..images.len()).unwrap();
    engine.begin_target(&target).unwrap();
    let one_by_one: Vec<Outcome> = masks.iter().map(|mask| engine.variant(mask).unwrap()).collect();
    assert_eq!(engine.variants(&masks, &mut || Ok(())).unwrap(), one_by_one);
    assert_eq!(engine.lanes(), 1);
    engine.end_target().unwrap();
    let masked = (2 * masks.len() + 1) * engine.weight_bytes_per_variant(&target);
    assert_eq!(engine.weight_bytes_written(), masked as u64, "no weights but those of masks");
}

#[test]
fn equal_kept_sets_give_equal_outcomes() {
    cases::equal_kept_sets_give_equal_outcomes(&cpu(ConvMode::Auto), Arch::Resnet18);
}
