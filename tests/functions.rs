//! The oracle's activations, means over windows and products against PyTorch's (tests/golden/functions.safetensors).
//!
//! Both sides compute in f64 from the same numbers, so only roundings differ.

use common::activation::{Windows, activation, product, product_factor_backward};
use common::compare::{Tolerance, assert_close};
use common::golden::{GoldenFile, Op, functions};
use common::oracle::Map;

const EXACT: Tolerance = Tolerance::new(1e-14, 1e-12);

fn map(file: &GoldenFile, name: &str) -> Map {
    let tensor = file.tensor(name);
    let mut shape = [1; 4];
    shape[..tensor.shape.len()].copy_from_slice(&tensor.shape);
    Map::new(shape, &tensor.data)
}

/// Runs `check` on every case of an operation; there must be some.
fn for_each_case(op: &str, check: impl Fn(&GoldenFile, &Op)) {
    let (file, functions) = (GoldenFile::functions(), functions());
    let cases: Vec<&Op> = functions.cases.iter().filter(|case| case.op == op).collect();
    assert!(!cases.is_empty(), "no golden case of {op}");
    cases.into_iter().for_each(|case| check(&file, case));
}

#[test]
fn activations_and_their_derivatives() {
    for_each_case("activation", |file, case| {
        let (x, dy) = (file.tensor("x").data, file.tensor("dy").data);
        let found: Vec<(f64, f64)> =
            x.iter().map(|&x| activation(&case.name, case.number("parameter"), x)).collect();
        let y: Vec<f64> = found.iter().map(|(y, _)| *y).collect();
        let dx: Vec<f64> = found.iter().zip(&dy).map(|((_, slope), dy)| slope * dy).collect();
        assert_close(&case.name, &y, &file.tensor(&format!("{}.y", case.name)).data, EXACT);
        // PyTorch's sixth is one of f32 in this one.
        let tolerance = if case.name == "hardsigmoid" { Tolerance::new(1e-14, 4e-8) } else { EXACT };
        assert_close(&case.name, &dx, &file.tensor(&format!("{}.dx", case.name)).data, tolerance);
    });
}

fn check_windows(file: &GoldenFile, name: &str, windows: Windows) {
    let (x, dy, y) =
        (map(file, &format!("{name}.x")), map(file, &format!("{name}.dy")), map(file, &format!("{name}.y")));
    let found = windows.forward(&x);
    assert_eq!(found.shape, y.shape, "{name}: {windows:?}");
    assert_close(name, &found.data, &y.data, EXACT);
    let dx = windows.backward(&dy, x.shape);
    assert_close(name, &dx.data, &map(file, &format!("{name}.dx")).data, EXACT);
}

#[test]
fn means_over_windows() {
    for_each_case("avg_pool", |file, case| {
        let windows = Windows::Square {
            kernel: case.size("kernel"),
            stride: case.size("stride"),
            pad: case.size("pad"),
            ceil: case.flag("ceil"),
            count_pad: case.flag("count_pad"),
        };
        check_windows(file, &case.name, windows);
    });
    for_each_case("adaptive_avg_pool", |file, case| {
        check_windows(file, &case.name, Windows::Adaptive { h: case.size("h"), w: case.size("w") });
    });
}

#[test]
fn products() {
    for_each_case("product", |file, case| {
        let of = |key: &str| map(file, &format!("{}.{key}", case.name));
        let (x, factor, dy) = (of("x"), of("factor"), of("dy"));
        assert_close(&case.name, &product(&x, &factor).data, &of("y").data, EXACT);
        assert_close(&case.name, &product(&dy, &factor).data, &of("dx").data, EXACT);
        let dfactor = product_factor_backward(&dy, &x, factor.shape);
        assert_close(&case.name, &dfactor.data, &of("dfactor").data, EXACT);
    });
}
