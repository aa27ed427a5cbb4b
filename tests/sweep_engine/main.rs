//! The numeric engine of a sweep against the plain way: zero the weights in a copy, run everything.

mod cases;

use synfilter::backend::cpu::device::Cpu;
use synfilter::backend::cpu::select::ConvMode;
use synfilter::models::Arch;

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
    cases::masked_suffix_equals_zeroed_copy_run_whole(&cpu(ConvMode::Auto), &networks, 1);
    cases::masked_suffix_equals_zeroed_copy_run_whole(&cpu(ConvMode::Direct), &[(Arch::Resnet50, &[30])], 1);
}

#[test]
fn network_scope_filters_every_tensor() {
    cases::network_scope_filters_every_tensor(&cpu(ConvMode::Auto), 1);
}

#[test]
fn batch_statistics_use_batches_of_a_hundred() {
    cases::batch_statistics_use_batches_of_a_hundred(&cpu(ConvMode::Direct));
}

#[test]
fn blocks_and_threads_change_nothing() {
    cases::blocks_and_threads_change_nothing(&cpu(ConvMode::Auto), 200);
}

#[test]
fn equal_kept_sets_give_equal_outcomes() {
    cases::equal_kept_sets_give_equal_outcomes(&cpu(ConvMode::Auto), Arch::Resnet18);
}
