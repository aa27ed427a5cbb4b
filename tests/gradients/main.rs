//! Every operation's gradient, through lowering and tape, against finite differences of a naive f64 evaluation of the
//! same graph; and that a masked run continued from a base equals, bit for bit, one run whole.
//!
//! Differences are taken along random directions, in f64, so that neither rounding nor the step matters beside the
//! engine's f32.

mod cases;

use cases::Tried;
use std::sync::LazyLock;
use synfilter::backend::cpu::device::Cpu;
use synfilter::backend::cpu::select::ConvMode;

static CPU: LazyLock<Cpu> = LazyLock::new(|| Cpu::new(ConvMode::Auto, false));

fn cpu() -> Tried<'static, Cpu> {
    Tried { device: &CPU, against_f64: true }
}

#[test]
fn convolutions() {
    cases::convolutions(&cpu());
}

#[test]
fn norms() {
    cases::norms(&cpu());
}

#[test]
fn frozen_layers() {
    cases::frozen_layers(&cpu());
}

#[test]
fn sums() {
    cases::sums(&cpu());
}

#[test]
fn pools_and_linear_layers() {
    cases::pools_and_linear_layers(&cpu());
}

#[test]
fn dropouts() {
    cases::dropouts(&cpu());
}

#[test]
fn slices() {
    cases::slices(&cpu());
}

#[test]
fn concatenations() {
    cases::concatenations(&cpu());
}

#[test]
fn shuffles() {
    cases::shuffles(&cpu());
}

#[test]
fn ends_of_the_network() {
    cases::ends_of_the_network(&cpu());
}

#[test]
fn activations() {
    cases::functions::activations(&cpu());
}

#[test]
fn slopes() {
    cases::functions::slopes(&cpu());
}

#[test]
fn products() {
    cases::functions::products(&cpu());
}

#[test]
fn means() {
    cases::functions::means(&cpu());
}
