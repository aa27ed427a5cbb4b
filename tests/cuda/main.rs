//! The CUDA backend: on a GPU where there is one, else on the emulator with all its checks on, which fail what they report.

mod attack;
mod batch_norm;
mod cli;
#[path = "../conformance/cases/mod.rs"]
mod conformance;
mod context;
mod conv2d;
mod conv_mma;
mod driver;
mod dropout;
mod elementwise;
mod filter;
mod functions;
#[path = "../golden/cases.rs"]
mod golden;
#[path = "../gradients/cases/mod.rs"]
mod gradients;
mod image;
mod lanes;
mod loss;
mod networks;
mod optimizer;
mod pool;
#[path = "../sweep_engine/cases.rs"]
mod sweep_engine;
mod table;
mod traffic;
mod twins;

use conformance::{F32, Format, conforms};
use half::{bf16, f16};

#[test]
fn f32_conforms() {
    conforms(&driver::open::<f32>(), F32, 12);
}

#[test]
fn f16_conforms() {
    let format = Format { round: |v| f16::from_f32(v).to_f32(), unit: 0.5_f64.powi(11) };
    conforms(&driver::open::<f16>(), format, 12);
}

#[test]
fn bf16_conforms() {
    let format = Format { round: |v| bf16::from_f32(v).to_f32(), unit: 0.5_f64.powi(8) };
    conforms(&driver::open::<bf16>(), format, 12);
}
