//! Windows of pools: how many there are, which inputs they cover, and which of them cover an input.

use std::ops::Range;

/// Square windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Height and width of the window.
    pub kernel: usize,
    /// Stride, both ways.
    pub stride: usize,
    /// Padding on every side, which never wins a maximum.
    pub pad: usize,
    /// Whether a last window that only starts inside the map counts.
    pub ceil: bool,
}

impl Pool {
    /// Height (or width) of the pooled map of a map of height `n`: the windows that fit into the map and its padding. With
    /// `ceil` one more counts that hangs over the far edge by less than a stride, as long as it starts on the map or its
    /// padding before it (PyTorch's rule); it may be the only one. Nothing is left of a map that no window fits.
    pub fn output(&self, n: usize) -> usize {
        let padded = n + 2 * self.pad;
        let whole = (padded + self.stride).saturating_sub(self.kernel) / self.stride;
        let reach = whole * self.stride + self.kernel;
        let hangs = self.ceil && reach < padded + self.stride && whole * self.stride < n + self.pad;
        whole + usize::from(hangs)
    }

    /// The inputs of window `out` along an axis of `n` that lie on the map.
    pub fn inputs(&self, out: usize, n: usize) -> Range<usize> {
        let start = out * self.stride;
        start.saturating_sub(self.pad)..(start + self.kernel).saturating_sub(self.pad).min(n)
    }

    /// The windows that contain an input, along an axis with `outputs` windows.
    pub fn windows(&self, input: usize, outputs: usize) -> Range<usize> {
        let at = input + self.pad;
        (at + 1).saturating_sub(self.kernel).div_ceil(self.stride)..(at / self.stride + 1).min(outputs)
    }
}

/// Which elements a mean is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mean {
    /// Square windows.
    Windows {
        /// The windows.
        pool: Pool,
        /// Whether padding counts as zeros; otherwise a mean is over what lies on the map.
        count_pad: bool,
    },
    /// As many windows as the result has elements: along an axis of n inputs and k results, window i reaches from ⌊i·n/k⌋ to
    /// before ⌈(i + 1)·n/k⌉. With k = 1 that is the whole map.
    Adaptive,
}

/// One axis of a mean: `n` inputs, `k` results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Which mean.
    pub mean: Mean,
    /// Inputs.
    pub n: usize,
    /// Results.
    pub k: usize,
}

impl Axis {
    /// The inputs of window `out`.
    pub fn inputs(&self, out: usize) -> Range<usize> {
        match self.mean {
            Mean::Windows { pool, .. } => pool.inputs(out, self.n),
            Mean::Adaptive => out * self.n / self.k..((out + 1) * self.n).div_ceil(self.k),
        }
    }

    /// The number of elements that the mean of window `out` is over: padding counts as far as it surrounds the map, so not
    /// where a last window hangs over that, too (PyTorch's rule).
    pub fn count(&self, out: usize) -> usize {
        match self.mean {
            Mean::Windows { pool, count_pad: true } => {
                let start = out * pool.stride;
                (start + pool.kernel).min(self.n + 2 * pool.pad) - start
            }
            _ => self.inputs(out).len(),
        }
    }

    /// The windows that contain an input.
    pub fn windows(&self, input: usize) -> Range<usize> {
        match self.mean {
            Mean::Windows { pool, .. } => pool.windows(input, self.k),
            Mean::Adaptive => input * self.k / self.n..((input + 1) * self.k).div_ceil(self.n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of windows that `torch.nn.functional.max_pool2d` of PyTorch gives; 0 where it refuses.
    #[test]
    fn as_many_windows_as_pytorch_has() {
        // Kernel, stride, padding; for maps of 1 to 8, rounded down and up.
        for (kernel, stride, pad, down, up) in [
            (3, 2, 0, [0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 1, 2, 2, 3, 3, 4]),
            (3, 2, 1, [1, 1, 2, 2, 3, 3, 4, 4], [1, 2, 2, 3, 3, 4, 4, 5]),
            (2, 2, 0, [0, 1, 1, 2, 2, 3, 3, 4], [1, 1, 2, 2, 3, 3, 4, 4]),
            (2, 3, 0, [0, 1, 1, 1, 2, 2, 2, 3], [1, 1, 1, 2, 2, 2, 3, 3]),
            (5, 3, 2, [1, 1, 1, 2, 2, 2, 3, 3], [1, 2, 2, 2, 3, 3, 3, 4]),
        ] {
            for (ceil, expected) in [(false, down), (true, up)] {
                let pool = Pool { kernel, stride, pad, ceil };
                let found: Vec<usize> = (1..=8).map(|n| pool.output(n)).collect();
                assert_eq!(found, expected, "{pool:?}");
            }
        }
    }

    /// Whether windows contain an input and which do are two views of one thing, for windows of all kinds.
    #[test]
    fn windows_and_inputs_agree() {
        let mut tried = 0;
        for n in 1..12 {
            let mut axes: Vec<Axis> = (1..15).map(|k| Axis { mean: Mean::Adaptive, n, k }).collect();
            for (kernel, stride) in [(1, 1), (2, 2), (3, 1), (3, 2), (5, 3), (2, 3)] {
                for (pad, ceil) in [(0, false), (0, true), (kernel / 2, false), (kernel / 2, true)] {
                    let pool = Pool { kernel, stride, pad, ceil };
                    let mean = Mean::Windows { pool, count_pad: true };
                    axes.push(Axis { mean, n, k: pool.output(n) });
                }
            }
            for axis in axes {
                for input in 0..n {
                    for out in 0..axis.k {
                        let [there, back] =
                            [axis.inputs(out).contains(&input), axis.windows(input).contains(&out)];
                        assert_eq!(there, back, "{axis:?}, input {input}, window {out}");
                        assert!(axis.count(out) >= axis.inputs(out).len());
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 1000);
    }
}
