//! A naive, obviously correct implementation of every operation: NCHW, f64, plain loops, nothing shared with the
//! engine. Slow on purpose; tests/oracle.rs holds it against PyTorch.
//!
//! Conventions: maps are `[N, C, H, W]`, weights `[out, in / groups, kernel height, kernel width]`; `dy` is the
//! gradient of some scalar by an operation's output, and a backward function returns the gradient by its input.

/// A map `[N, C, H, W]`, or a convolution's weight `[O, I, KH, KW]`, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// The four dimensions.
    pub shape: [usize; 4],
    /// The elements, the last dimension innermost.
    pub data: Vec<f64>,
}

impl Map {
    /// A map of zeros.
    pub fn zeros(shape: [usize; 4]) -> Self {
        Map { shape, data: vec![0.0; shape.iter().product()] }
    }

    /// A map of the given elements.
    ///
    /// # Panics
    /// If their number is not the product of the dimensions.
    pub fn new<T: Copy + Into<f64>>(shape: [usize; 4], data: &[T]) -> Self {
        assert_eq!(data.len(), shape.iter().product::<usize>(), "elements for the shape {shape:?}");
        Map { shape, data: data.iter().map(|&v| v.into()).collect() }
    }

    /// Where an element lies in `data`.
    pub fn at(&self, n: usize, c: usize, h: usize, w: usize) -> usize {
        offset(self.shape, n, c, h, w)
    }

    pub fn map(&self, f: impl Fn(usize, f64) -> f64) -> Map {
        Map { shape: self.shape, data: self.data.iter().enumerate().map(|(i, &v)| f(i, v)).collect() }
    }

    /// The channel that element `index` belongs to.
    pub fn channel(&self, index: usize) -> usize {
        index / (self.shape[2] * self.shape[3]) % self.shape[1]
    }
}

fn offset(shape: [usize; 4], n: usize, c: usize, h: usize, w: usize) -> usize {
    ((n * shape[1] + c) * shape[2] + h) * shape[3] + w
}

/// What a convolution does beside its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Step between windows, both directions.
    pub stride: usize,
    /// Rows and columns of zeros around the map.
    pub pad: usize,
    /// Channel groups that do not see one another.
    pub groups: usize,
}

impl Conv {
    /// Shape of the output.
    pub fn output_shape(&self, x: [usize; 4], weight: [usize; 4]) -> [usize; 4] {
        let side = |size, kernel| (size + 2 * self.pad - kernel) / self.stride + 1;
        [x[0], weight[0], side(x[2], weight[2]), side(x[3], weight[3])]
    }

    /// Calls `f(offset in y, offset in x, offset in weight)` for every product that a convolution sums up. All three
    /// directions are this one loop: y += w·x, dx += w·dy, dw += x·dy.
    pub fn for_each_product(
        &self,
        x: [usize; 4],
        weight: [usize; 4],
        mut f: impl FnMut(usize, usize, usize),
    ) {
        let y = self.output_shape(x, weight);
        let (group_in, group_out) = (x[1] / self.groups, weight[0] / self.groups);
        for n in 0..y[0] {
            for k in 0..y[1] {
                for (yh, yw) in pairs(y[2], y[3]) {
                    for c in 0..group_in {
                        for (kh, kw) in pairs(weight[2], weight[3]) {
                            let row = (yh * self.stride + kh).checked_sub(self.pad);
                            let column = (yw * self.stride + kw).checked_sub(self.pad);
                            let (Some(row), Some(column)) = (row, column) else { continue };
                            if row < x[2] && column < x[3] {
                                let from = offset(x, n, k / group_out * group_in + c, row, column);
                                f(offset(y, n, k, yh, yw), from, offset(weight, k, c, kh, kw));
                            }
                        }
                    }
                }
            }
        }
    }

    /// y = x ∗ weight + bias.
    pub fn forward(&self, x: &Map, weight: &Map, bias: Option<&[f64]>) -> Map {
        let mut y = Map::zeros(self.output_shape(x.shape, weight.shape));
        self.for_each_product(x.shape, weight.shape, |iy, ix, iw| y.data[iy] += weight.data[iw] * x.data[ix]);
        match bias {
            Some(bias) => y.map(|i, v| v + bias[y.channel(i)]),
            None => y,
        }
    }

    /// Gradient by the input, which had shape `x`.
    pub fn backward_input(&self, dy: &Map, weight: &Map, x: [usize; 4]) -> Map {
        let mut dx = Map::zeros(x);
        self.for_each_product(x, weight.shape, |iy, ix, iw| dx.data[ix] += weight.data[iw] * dy.data[iy]);
        dx
    }

    /// Gradient by the weight, which has shape `weight`.
    pub fn backward_weight(&self, dy: &Map, x: &Map, weight: [usize; 4]) -> Map {
        let mut dw = Map::zeros(weight);
        self.for_each_product(x.shape, weight, |iy, ix, iw| dw.data[iw] += x.data[ix] * dy.data[iy]);
        dw
    }
}

/// All (i, j) in row order.
fn pairs(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |i| (0..columns).map(move |j| (i, j)))
}

/// Sum over all but the channel: the gradient by a convolution's or linear layer's bias.
pub fn bias_backward(dy: &Map) -> Vec<f64> {
    let mut sums = vec![0.0; dy.shape[1]];
    for (i, v) in dy.data.iter().enumerate() {
        sums[dy.channel(i)] += v;
    }
    sums
}

/// Batch normalisation's parameters and state, one value per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Scale γ.
    pub weight: Vec<f64>,
    /// Shift β.
    pub bias: Vec<f64>,
    /// Mean used for inference.
    pub running_mean: Vec<f64>,
    /// Variance used for inference.
    pub running_var: Vec<f64>,
    /// Share of the new statistic in the running one.
    pub momentum: f64,
    /// Added to the variance under the root.
    pub eps: f64,
}

/// Gradients of a batch normalisation.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormGradients {
    /// By the input.
    pub dx: Map,
    /// By γ.
    pub dweight: Vec<f64>,
    /// By β.
    pub dbias: Vec<f64>,
}

impl BatchNorm {
    /// Mean and biased variance of each channel of the batch.
    fn statistics(&self, x: &Map) -> (Vec<f64>, Vec<f64>) {
        let count = (x.data.len() / x.shape[1]) as f64;
        let mean: Vec<f64> = bias_backward(x).iter().map(|sum| sum / count).collect();
        let squares = bias_backward(&x.map(|i, v| (v - mean[x.channel(i)]).powi(2)));
        (mean, squares.iter().map(|sum| sum / count).collect())
    }

    /// (x − mean) / √(var + eps) with the batch's or the running statistics.
    fn normalise(&self, x: &Map, train: bool) -> (Map, Vec<f64>) {
        let (mean, var) = match train {
            true => self.statistics(x),
            false => (self.running_mean.clone(), self.running_var.clone()),
        };
        let inverse: Vec<f64> = var.iter().map(|v| 1.0 / (v + self.eps).sqrt()).collect();
        (x.map(|i, v| (v - mean[x.channel(i)]) * inverse[x.channel(i)]), inverse)
    }

    /// γ·x̂ + β. In training the batch's own statistics are used and the running ones move towards them, the
    /// variance towards its unbiased estimate.
    pub fn forward(&mut self, x: &Map, train: bool) -> Map {
        let (normal, _) = self.normalise(x, train);
        if train {
            let (mean, var) = self.statistics(x);
            let count = (x.data.len() / x.shape[1]) as f64;
            for c in 0..x.shape[1] {
                self.running_mean[c] += self.momentum * (mean[c] - self.running_mean[c]);
                self.running_var[c] += self.momentum * (var[c] * count / (count - 1.0) - self.running_var[c]);
            }
        }
        normal.map(|i, v| v * self.weight[x.channel(i)] + self.bias[x.channel(i)])
    }

    /// Gradients at the input `x`. In training, mean and variance depend on x as well:
    /// dx = γ/σ · (dy − mean(dy) − x̂ · mean(dy·x̂)).
    pub fn backward(&self, dy: &Map, x: &Map, train: bool) -> BatchNormGradients {
        let (normal, inverse) = self.normalise(x, train);
        let dbias = bias_backward(dy);
        let dweight = bias_backward(&dy.map(|i, v| v * normal.data[i]));
        let count = (x.data.len() / x.shape[1]) as f64;
        let dx = dy.map(|i, v| {
            let c = x.channel(i);
            let through_statistics =
                if train { (dbias[c] + normal.data[i] * dweight[c]) / count } else { 0.0 };
            self.weight[c] * inverse[c] * (v - through_statistics)
        });
        BatchNormGradients { dx, dweight, dbias }
    }
}

/// max(x, 0).
pub fn relu(x: &Map) -> Map {
    x.map(|_, v| v.max(0.0))
}

/// The gradient passes where the output is positive.
pub fn relu_backward(dy: &Map, y: &Map) -> Map {
    dy.map(|i, v| if y.data[i] > 0.0 { v } else { 0.0 })
}

/// a + b.
pub fn add(a: &Map, b: &Map) -> Map {
    assert_eq!(a.shape, b.shape);
    a.map(|i, v| v + b.data[i])
}

/// Max pooling over square windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// Side of a window.
    pub kernel: usize,
    /// Step between windows.
    pub stride: usize,
    /// Border that never wins.
    pub pad: usize,
    /// Whether a last, partial window counts.
    pub ceil: bool,
}

impl MaxPool {
    /// Number of windows along a side: in ceil mode a partial window is added, unless it would start beyond the map
    /// and its left padding.
    pub fn output_side(&self, size: usize) -> usize {
        let [size, kernel, stride, pad] = [size, self.kernel, self.stride, self.pad].map(|n| n as isize);
        let span = size + 2 * pad - kernel + if self.ceil { stride - 1 } else { 0 };
        let windows = span.div_euclid(stride) + 1;
        let beyond = self.ceil && (windows - 1) * stride >= size + pad;
        (windows - isize::from(beyond)) as usize
    }

    /// Output, and for each of its elements the position in `x.data` of the first maximum in row order.
    pub fn forward(&self, x: &Map) -> (Map, Vec<usize>) {
        let [n, c, h, w] = x.shape;
        let mut y = Map::zeros([n, c, self.output_side(h), self.output_side(w)]);
        let mut winners = vec![0; y.data.len()];
        for (image, channel) in pairs(n, c) {
            for (yh, yw) in pairs(y.shape[2], y.shape[3]) {
                let mut best: Option<(f64, usize)> = None;
                for (kh, kw) in pairs(self.kernel, self.kernel) {
                    let row = (yh * self.stride + kh).checked_sub(self.pad).filter(|&r| r < h);
                    let column = (yw * self.stride + kw).checked_sub(self.pad).filter(|&c| c < w);
                    let (Some(row), Some(column)) = (row, column) else { continue };
                    let index = x.at(image, channel, row, column);
                    if best.is_none_or(|(value, _)| x.data[index] > value) {
                        best = Some((x.data[index], index));
                    }
                }
                let (value, index) = best.expect("every window covers an element of the map");
                let to = y.at(image, channel, yh, yw);
                (y.data[to], winners[to]) = (value, index);
            }
        }
        (y, winners)
    }

    /// The gradient goes to the winners; `x` is the input's shape.
    pub fn backward(dy: &Map, winners: &[usize], x: [usize; 4]) -> Map {
        let mut dx = Map::zeros(x);
        for (v, &winner) in dy.data.iter().zip(winners) {
            dx.data[winner] += v;
        }
        dx
    }
}

/// Mean of each channel's map: `[N, C, 1, 1]`.
pub fn global_avg_pool(x: &Map) -> Map {
    let [n, c, h, w] = x.shape;
    let data: Vec<f64> =
        x.data.chunks(h * w).map(|plane| plane.iter().sum::<f64>() / (h * w) as f64).collect();
    Map::new([n, c, 1, 1], &data)
}

/// The gradient spreads evenly; `x` is the input's shape.
pub fn global_avg_pool_backward(dy: &Map, x: [usize; 4]) -> Map {
    let area = x[2] * x[3];
    Map::zeros(x).map(|i, _| dy.data[i / area] / area as f64)
}

/// y = weight · x + bias: a 1×1 convolution of 1×1 maps. `weight` is `[out, in, 1, 1]`.
pub fn linear(x: &Map, weight: &Map, bias: &[f64]) -> Map {
    LINEAR.forward(x, weight, Some(bias))
}

/// [`linear`] as a convolution, for its gradients.
pub const LINEAR: Conv = Conv { stride: 1, pad: 0, groups: 1 };

/// Inverted dropout with a given mask (true = kept); its gradient is the same function of `dy`.
pub fn dropout(x: &Map, kept: &[bool], p: f64) -> Map {
    x.map(|i, v| if kept[i] { v / (1.0 - p) } else { 0.0 })
}

/// ShuffleNet's permutation: channel (group, i) moves to (i, group).
pub fn channel_shuffle(x: &Map, groups: usize) -> Map {
    let per_group = x.shape[1] / groups;
    gather_channels(x, |to| to % groups * per_group + to / groups)
}

/// The inverse permutation.
pub fn channel_shuffle_backward(dy: &Map, groups: usize) -> Map {
    channel_shuffle(dy, dy.shape[1] / groups)
}

fn gather_channels(x: &Map, from: impl Fn(usize) -> usize) -> Map {
    let area = x.shape[2] * x.shape[3];
    x.map(|i, _| {
        let (image, channel, pixel) = (i / area / x.shape[1], x.channel(i), i % area);
        x.data[(image * x.shape[1] + from(channel)) * area + pixel]
    })
}

/// Channels `first .. first + count` of a map.
pub fn channel_slice(x: &Map, first: usize, count: usize) -> Map {
    let [n, c, h, w] = x.shape;
    let area = h * w;
    let data: Vec<f64> = x
        .data
        .chunks(c * area)
        .flat_map(|image| image[first * area..(first + count) * area].iter().copied())
        .collect();
    Map::new([n, count, h, w], &data)
}

/// One map's channels after the other's.
pub fn concat(a: &Map, b: &Map) -> Map {
    let [n, c, h, w] = a.shape;
    let images = a.data.chunks(c * h * w).zip(b.data.chunks(b.shape[1] * h * w));
    let data: Vec<f64> = images.flat_map(|(a, b)| a.iter().chain(b).copied()).collect();
    Map::new([n, c + b.shape[1], h, w], &data)
}

/// Softmax cross-entropy of each image; `logits` is `[N, classes, 1, 1]`.
pub fn cross_entropy(logits: &Map, labels: &[usize]) -> Vec<f64> {
    let rows = logits.data.chunks(logits.shape[1]);
    rows.zip(labels).map(|(row, &label)| log_sum_exp(row) - row[label]).collect()
}

/// Gradient of `scale · Σ losses` by the logits: `scale · (softmax − one-hot)`; scale is 1/N for the mean loss.
pub fn cross_entropy_backward(logits: &Map, labels: &[usize], scale: f64) -> Map {
    let classes = logits.shape[1];
    logits.map(|i, v| {
        let (image, class) = (i / classes, i % classes);
        let total = log_sum_exp(&logits.data[image * classes..(image + 1) * classes]);
        let target = if class == labels[image] { 1.0 } else { 0.0 };
        scale * ((v - total).exp() - target)
    })
}

/// log Σ exp, with the maximum taken out so that nothing overflows.
fn log_sum_exp(row: &[f64]) -> f64 {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    max + row.iter().map(|v| (v - max).exp()).sum::<f64>().ln()
}

/// SGD as PyTorch has it: dampening 0, no Nesterov; the first step sets the momentum buffer to the gradient.
#[derive(Clone, Debug, Default)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Share of the buffer that stays.
    pub momentum: f64,
    /// Times the parameter, added to the gradient.
    pub weight_decay: f64,
    buffer: Option<Vec<f64>>,
}

impl Sgd {
    /// An optimiser that has made no step.
    pub fn new(lr: f64, momentum: f64, weight_decay: f64) -> Self {
        Sgd { lr, momentum, weight_decay, buffer: None }
    }

    /// One step.
    pub fn step(&mut self, parameters: &mut [f64], gradients: &[f64]) {
        let decayed: Vec<f64> =
            gradients.iter().zip(parameters.iter()).map(|(g, p)| g + self.weight_decay * p).collect();
        let buffer = match self.buffer.take() {
            None => decayed,
            Some(old) => old.iter().zip(&decayed).map(|(b, g)| self.momentum * b + g).collect(),
        };
        for (p, b) in parameters.iter_mut().zip(&buffer) {
            *p -= self.lr * b;
        }
        self.buffer = Some(buffer);
    }
}

/// Adam as PyTorch has it (Kingma, Ba 2015), weight decay added to the gradient.
#[derive(Clone, Debug)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the two moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Times the parameter, added to the gradient.
    pub weight_decay: f64,
    moments: Vec<(f64, f64)>,
    steps: i32,
}

impl Adam {
    /// An optimiser that has made no step.
    pub fn new(lr: f64, betas: (f64, f64), eps: f64, weight_decay: f64) -> Self {
        Adam { lr, betas, eps, weight_decay, moments: Vec::new(), steps: 0 }
    }

    /// One step.
    pub fn step(&mut self, parameters: &mut [f64], gradients: &[f64]) {
        self.moments.resize(parameters.len(), (0.0, 0.0));
        self.steps += 1;
        let (beta1, beta2) = self.betas;
        let (correction1, correction2) = (1.0 - beta1.powi(self.steps), 1.0 - beta2.powi(self.steps));
        for ((p, g), (m, v)) in parameters.iter_mut().zip(gradients).zip(&mut self.moments) {
            let g = g + self.weight_decay * *p;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *p -= self.lr * (*m / correction1) / ((*v / correction2).sqrt() + self.eps);
        }
    }
}
