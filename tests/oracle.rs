//! The oracle against PyTorch's results for single operations (tests/golden/ops.safetensors).
//!
//! Both sides compute in f64 from the same f32 inputs, so only the order of summation differs.

use common::compare::{Tolerance, assert_close};
use common::golden::{GoldenFile, Op, manifest};
use common::oracle::{self, Adam, BatchNorm, Conv, LINEAR, Map, MaxPool, Sgd};

/// f64 rounding of sums of a few hundred terms of size 1; optimiser steps stay far below it.
const EXACT: Tolerance = Tolerance::new(1e-13, 1e-12);

/// Runs `check` on every case of an operation; there must be some.
fn for_each_case(op: &str, check: impl Fn(&Op, &Inputs)) {
    let (file, manifest) = (GoldenFile::ops(), manifest());
    let cases: Vec<&Op> = manifest.ops.iter().filter(|case| case.op == op).collect();
    assert!(!cases.is_empty(), "no golden case of {op}");
    for case in cases {
        check(case, &Inputs { file: &file, case: &case.name });
    }
}

/// The tensors of one case.
struct Inputs<'a> {
    file: &'a GoldenFile,
    case: &'a str,
}

impl Inputs<'_> {
    fn map(&self, key: &str) -> Map {
        let tensor = self.file.tensor(&format!("{}.{key}", self.case));
        let mut shape = [1; 4];
        shape[..tensor.shape.len()].copy_from_slice(&tensor.shape);
        Map::new(shape, &tensor.data)
    }

    fn vector(&self, key: &str) -> Vec<f64> {
        self.file.tensor(&format!("{}.{key}", self.case)).data
    }

    fn optional(&self, key: &str) -> Option<Vec<f64>> {
        self.file.contains(&format!("{}.{key}", self.case)).then(|| self.vector(key))
    }

    #[track_caller]
    fn check_map(&self, key: &str, actual: &Map) {
        let expected = self.map(key);
        assert_eq!(actual.shape, expected.shape, "shape of {}.{key}", self.case);
        assert_close(format!("{}.{key}", self.case), &actual.data, &expected.data, EXACT);
    }

    #[track_caller]
    fn check(&self, key: &str, actual: &[f64]) {
        assert_close(format!("{}.{key}", self.case), actual, &self.vector(key), EXACT);
    }
}

#[test]
fn convolution_forward_and_all_gradients() {
    for_each_case("conv", |case, golden| {
        let conv = Conv { stride: case.size("stride"), pad: case.size("pad"), groups: case.size("groups") };
        let (x, weight, dy) = (golden.map("x"), golden.map("weight"), golden.map("dy"));
        let bias = golden.optional("bias");
        golden.check_map("y", &conv.forward(&x, &weight, bias.as_deref()));
        golden.check_map("dx", &conv.backward_input(&dy, &weight, x.shape));
        golden.check_map("dweight", &conv.backward_weight(&dy, &x, weight.shape));
        if bias.is_some() {
            golden.check("dbias", &oracle::bias_backward(&dy));
        }
    });
}

#[test]
fn max_pool_with_partial_windows_and_ties() {
    for_each_case("max_pool", |case, golden| {
        let pool = MaxPool {
            kernel: case.size("kernel"),
            stride: case.size("stride"),
            pad: case.size("pad"),
            ceil: case.flag("ceil"),
        };
        let x = golden.map("x");
        let (y, winners) = pool.forward(&x);
        golden.check_map("y", &y);
        golden.check_map("dx", &MaxPool::backward(&golden.map("dy"), &winners, x.shape));
    });
}

#[test]
fn global_average_pool() {
    for_each_case("global_avg_pool", |_, golden| {
        let x = golden.map("x");
        golden.check_map("y", &oracle::global_avg_pool(&x));
        golden.check_map("dx", &oracle::global_avg_pool_backward(&golden.map("dy"), x.shape));
    });
}

#[test]
fn batch_norm_output_statistics_and_gradients() {
    for_each_case("batch_norm", |case, golden| {
        let train = case.flag("train");
        let mut norm = BatchNorm {
            weight: golden.vector("weight"),
            bias: golden.vector("bias"),
            running_mean: golden.vector("running_mean"),
            running_var: golden.vector("running_var"),
            momentum: case.number("momentum"),
            eps: case.number("eps"),
        };
        let x = golden.map("x");
        let gradients = norm.backward(&golden.map("dy"), &x, train);
        golden.check_map("y", &norm.forward(&x, train));
        golden.check("new_mean", &norm.running_mean);
        golden.check("new_var", &norm.running_var);
        golden.check_map("dx", &gradients.dx);
        golden.check("dweight", &gradients.dweight);
        golden.check("dbias", &gradients.dbias);
    });
}

#[test]
fn linear_forward_and_all_gradients() {
    for_each_case("linear", |_, golden| {
        let (x, weight, dy) = (golden.map("x"), golden.map("weight"), golden.map("dy"));
        golden.check_map("y", &oracle::linear(&x, &weight, &golden.vector("bias")));
        golden.check_map("dx", &LINEAR.backward_input(&dy, &weight, x.shape));
        golden.check_map("dweight", &LINEAR.backward_weight(&dy, &x, weight.shape));
        golden.check("dbias", &oracle::bias_backward(&dy));
    });
}

#[test]
fn cross_entropy_of_mild_and_huge_logits() {
    for_each_case("cross_entropy", |_, golden| {
        let logits = golden.map("x");
        let labels: Vec<usize> = golden.vector("labels").iter().map(|&label| label as usize).collect();
        let n = labels.len() as f64;
        let total: f64 = oracle::cross_entropy(&logits, &labels).iter().sum();
        golden.check("sum", &[total]);
        golden.check("mean", &[total / n]);
        golden.check_map("dx_sum", &oracle::cross_entropy_backward(&logits, &labels, 1.0));
        golden.check_map("dx_mean", &oracle::cross_entropy_backward(&logits, &labels, 1.0 / n));
    });
}

#[test]
fn channel_shuffle_and_its_inverse() {
    for_each_case("channel_shuffle", |case, golden| {
        let x = golden.map("x");
        let y = oracle::channel_shuffle(&x, case.size("groups"));
        golden.check_map("y", &y);
        assert_eq!(oracle::channel_shuffle_backward(&y, case.size("groups")), x);
    });
}

#[test]
fn sgd_steps() {
    for_each_case("sgd", |case, golden| {
        let mut sgd = Sgd::new(case.number("lr"), case.number("momentum"), case.number("weight_decay"));
        check_steps(golden, |parameters, gradients| sgd.step(parameters, gradients));
    });
}

#[test]
fn adam_steps() {
    for_each_case("adam", |case, golden| {
        let betas = (case.number("beta1"), case.number("beta2"));
        let mut adam = Adam::new(case.number("lr"), betas, case.number("eps"), case.number("weight_decay"));
        check_steps(golden, |parameters, gradients| adam.step(parameters, gradients));
    });
}

fn check_steps(golden: &Inputs, mut step: impl FnMut(&mut [f64], &[f64])) {
    let mut parameters = golden.vector("start");
    let gradients = golden.vector("grads");
    let after: Vec<f64> = gradients
        .chunks(parameters.len())
        .flat_map(|gradient| {
            step(&mut parameters, gradient);
            parameters.clone()
        })
        .collect();
    golden.check("after", &after);
}

#[test]
fn relu_add_and_dropout() {
    let x = Map::new([1, 2, 1, 2], &[-1.0, 2.0, 0.0, -0.5]);
    let y = oracle::relu(&x);
    assert_eq!(y.data, [0.0, 2.0, 0.0, 0.0]);
    let dy = Map::new([1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(oracle::relu_backward(&dy, &y).data, [0.0, 2.0, 0.0, 0.0]);
    assert_eq!(oracle::add(&x, &dy).data, [0.0, 4.0, 3.0, 3.5]);
    assert_eq!(oracle::dropout(&dy, &[true, false, false, true], 0.5).data, [2.0, 0.0, 0.0, 8.0]);
}

#[test]
fn slices_concatenate_to_the_whole() {
    let x = Map::new([2, 3, 1, 2], &(0..12).collect::<Vec<i32>>());
    let (first, rest) = (oracle::channel_slice(&x, 0, 1), oracle::channel_slice(&x, 1, 2));
    assert_eq!(first.data, [0.0, 1.0, 6.0, 7.0]);
    assert_eq!(rest.shape, [2, 2, 1, 2]);
    assert_eq!(oracle::concat(&first, &rest), x);
}
