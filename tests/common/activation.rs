//! Activations and means over windows in f64, by their definitions.

use crate::oracle::Map;

/// A function of one number and its derivative, by the name of PyTorch's functional; `parameter` is the slope of
/// `leaky_relu` and α of `elu`.
///
/// # Panics
/// For other names than these ten.
pub fn activation(name: &str, parameter: f64, x: f64) -> (f64, f64) {
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    let hard = (x + 3.0).clamp(0.0, 6.0) / 6.0;
    let step = |inside: bool| f64::from(u8::from(inside));
    match name {
        "relu" => (x.max(0.0), step(x > 0.0)),
        "relu6" => (x.clamp(0.0, 6.0), step(x > 0.0 && x < 6.0)),
        "leaky_relu" => {
            if x > 0.0 {
                (x, 1.0)
            } else {
                (parameter * x, parameter)
            }
        }
        "hardsigmoid" => (hard, step(x > -3.0 && x < 3.0) / 6.0),
        "hardswish" => {
            let slope = if x < -3.0 { 0.0 } else { x / 3.0 + 0.5 };
            (x * hard, if x > 3.0 { 1.0 } else { slope })
        }
        "sigmoid" => (sigmoid, sigmoid * (1.0 - sigmoid)),
        "silu" => (x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid))),
        "tanh" => (x.tanh(), 1.0 - x.tanh().powi(2)),
        "elu" => {
            if x > 0.0 {
                (x, 1.0)
            } else {
                (parameter * x.exp_m1(), parameter * x.exp())
            }
        }
        "gelu" => {
            let normal = 0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2));
            let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
            (x * normal, normal + x * density)
        }
        _ => panic!("no activation {name}"),
    }
}

/// The error function: 2/√π · exp(−x²) · Σ 2ⁿ x²ⁿ⁺¹ / (1·3·…·(2n + 1)), all of whose terms have x's sign.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > 1e-18 * sum.abs() {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

/// Which elements a mean is over.
#[derive(Clone, Copy, Debug)]
pub enum Windows {
    /// Square windows; `count_pad`: padding counts as zeros.
    Square {
        /// Height and width.
        kernel: usize,
        /// Stride, both ways.
        stride: usize,
        /// Padding on every side.
        pad: usize,
        /// Whether a last window that only starts inside counts.
        ceil: bool,
        /// Whether padding counts.
        count_pad: bool,
    },
    /// `h`×`w` windows that share the map.
    Adaptive {
        /// Results along the height.
        h: usize,
        /// Results along the width.
        w: usize,
    },
}

/// One window along an axis: the inputs on the map, and how many count.
type Span = (std::ops::Range<usize>, usize);

impl Windows {
    /// All windows along an axis of `n`, of which the result has `k` where they are adaptive.
    fn along(self, n: usize, k: usize) -> Vec<Span> {
        let Windows::Square { kernel, stride, pad, ceil, count_pad } = self else {
            let end = |i: usize| ((i + 1) * n).div_ceil(k);
            return (0..k).map(|i| (i * n / k..end(i), end(i) - i * n / k)).collect();
        };
        let mut spans = Vec::new();
        // A window starts on the map or the padding before it, and ends on the padding behind it unless `ceil`.
        for start in (0..n + pad).step_by(stride) {
            let end = start + kernel;
            let last_hangs = end > n + 2 * pad;
            if last_hangs && !ceil {
                break;
            }
            let on_map = start.max(pad) - pad..end.min(n + pad).max(pad) - pad;
            let count = if count_pad { end.min(n + 2 * pad) - start } else { on_map.len() };
            spans.push((on_map, count));
            if last_hangs || end == n + 2 * pad {
                break;
            }
        }
        spans
    }

    fn axes(self, [_, _, h, w]: [usize; 4]) -> [Vec<Span>; 2] {
        match self {
            Windows::Adaptive { h: down, w: right } => [self.along(h, down), self.along(w, right)],
            Windows::Square { .. } => [self.along(h, 0), self.along(w, 0)],
        }
    }

    /// Means.
    pub fn forward(self, x: &Map) -> Map {
        let [down, right] = self.axes(x.shape);
        let mut y = Map::zeros([x.shape[0], x.shape[1], down.len(), right.len()]);
        self.each(x.shape, |out, input, share| y.data[out] += x.data[input] * share);
        y
    }

    /// Gradient of the input; `x` is its shape.
    pub fn backward(self, dy: &Map, x: [usize; 4]) -> Map {
        let mut dx = Map::zeros(x);
        self.each(x, |out, input, share| dx.data[input] += dy.data[out] * share);
        dx
    }

    /// Calls `work` for every result, input and share of that in it.
    fn each(self, x: [usize; 4], mut work: impl FnMut(usize, usize, f64)) {
        let [down, right] = self.axes(x);
        for plane in 0..x[0] * x[1] {
            for (i, (rows, tall)) in down.iter().enumerate() {
                for (j, (columns, wide)) in right.iter().enumerate() {
                    let out = (plane * down.len() + i) * right.len() + j;
                    for row in rows.clone() {
                        for column in columns.clone() {
                            work(out, (plane * x[2] + row) * x[3] + column, 1.0 / (tall * wide) as f64);
                        }
                    }
                }
            }
        }
    }
}

/// x·factor, where a factor with a 1×1 map is that of every pixel.
pub fn product(x: &Map, factor: &Map) -> Map {
    let area = x.shape[2] * x.shape[3];
    let spread = factor.data.len() < x.data.len();
    x.map(|i, v| v * factor.data[if spread { i / area } else { i }])
}

/// Gradient of the factor of [`product`], whose shape is `factor`.
pub fn product_factor_backward(dy: &Map, x: &Map, factor: [usize; 4]) -> Map {
    let area = x.shape[2] * x.shape[3];
    let mut sum = Map::zeros(factor);
    let spread = sum.data.len() < x.data.len();
    for (i, (dy, x)) in dy.data.iter().zip(&x.data).enumerate() {
        sum.data[if spread { i / area } else { i }] += dy * x;
    }
    sum
}
