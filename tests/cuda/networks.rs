//! Whole networks: gradients of every operation, PyTorch's goldens, sweeps.

use crate::driver::open;
use crate::golden;
use crate::gradients::{self, Tried};
use crate::sweep_engine;
use half::{bf16, f16};
use synfilter::backend::Backend;
use synfilter::models::Arch;

/// Every operation's gradient against f64, and masked runs that continue a base against whole ones.
fn operations<B: Backend>(device: &B) {
    let tried = Tried { device, against_f64: true };
    gradients::convolutions(&tried);
    gradients::norms(&tried);
    gradients::frozen_layers(&tried);
    gradients::sums(&tried);
    gradients::pools_and_linear_layers(&tried);
    gradients::dropouts(&tried);
    gradients::slices(&tried);
    gradients::concatenations(&tried);
    gradients::shuffles(&tried);
    gradients::ends_of_the_network(&tried);
}

#[test]
fn f32_gradients() {
    operations(&open::<f32>());
}

/// Likewise with activations, products and means.
#[test]
fn f32_gradients_of_functions() {
    let tried = Tried { device: &open::<f32>(), against_f64: true };
    gradients::functions::activations(&tried);
    gradients::functions::slopes(&tried);
    gradients::functions::products(&tried);
    gradients::functions::means(&tried);
}

/// Masked runs that continue a base against whole ones, bit for bit; f32 has them for every operation.
fn masked_runs<B: Backend>(device: &B) {
    let tried = Tried { device, against_f64: false };
    gradients::sums(&tried);
    gradients::shuffles(&tried);
    gradients::functions::products(&tried);
}

#[test]
fn f16_masked_runs() {
    masked_runs(&open::<f16>());
}

#[test]
fn bf16_masked_runs() {
    masked_runs(&open::<bf16>());
}

/// The cases at 28×28, which only the first of a family has: its siblings, at 32×32 alone, are the same kernels with other
/// sizes, and would take minutes each on the emulator.
#[test]
fn f32_goldens() {
    golden::inference(&open::<f32>(), "CUDA", |case| case.side == 28);
}

#[test]
fn f32_golden_training() {
    golden::training(&open::<f32>(), |case| case.side == 28 && case.arch != "resnet50");
}

/// A sweep's variants are those of zeroed copies run whole, bit for bit: one of each filter.
fn sweeps<B: Backend>(device: &B) {
    let networks: [(Arch, &[usize]); 3] =
        [(Arch::Resnet18, &[7]), (Arch::Squeezenet1_1, &[2]), (Arch::ShufflenetV2X0_5, &[4])];
    sweep_engine::masked_suffix_equals_zeroed_copy_run_whole(device, &networks, 5, sweep_engine::FGSM);
    sweep_engine::variants_equal_zeroed_copies(device, sweep_engine::gated(), &[0, 3], 6, sweep_engine::FGSM);
    let channels = [(1, 5), (2, 23), (56, 4)];
    sweep_engine::masked_channels_equal_zeroed_copies(device, Arch::ShufflenetV2X0_5, &channels, 11);
}

#[test]
fn f32_sweeps() {
    let device = open::<f32>();
    sweeps(&device);
    sweep_engine::equal_kept_sets_give_equal_outcomes(&device, Arch::ShufflenetV2X0_5);
}

/// Under PGD from a random start: run, recorded and replayed.
#[test]
fn f32_sweeps_under_pgd() {
    let networks: [(Arch, &[usize]); 1] = [(Arch::ShufflenetV2X0_5, &[4])];
    let attack = sweep_engine::pgd(Some(9));
    sweep_engine::masked_suffix_equals_zeroed_copy_run_whole(&open::<f32>(), &networks, 4, attack);
}

#[test]
fn f32_sweeps_by_batch_statistics() {
    sweep_engine::batch_statistics_use_batches_of_a_hundred(&open::<f32>(), sweep_engine::FGSM);
}

#[test]
fn f16_sweeps() {
    sweeps(&open::<f16>());
}

#[test]
fn bf16_sweeps() {
    sweeps(&open::<bf16>());
}
