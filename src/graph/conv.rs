//! A convolution's sizes, and what follows from them.

/// A convolution as the network defines it. Weights are `[k, c / groups, r, s]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Input channels.
    pub c: usize,
    /// Output channels.
    pub k: usize,
    /// Input height and width.
    pub h: usize,
    /// Input width.
    pub w: usize,
    /// Kernel height.
    pub r: usize,
    /// Kernel width.
    pub s: usize,
    /// Stride, both ways.
    pub stride: usize,
    /// Zero padding on every side.
    pub pad: usize,
    /// Groups; `c` for a depthwise convolution.
    pub groups: usize,
}

impl ConvShape {
    /// Output height and width.
    pub fn output(&self) -> (usize, usize) {
        let out = |n: usize, k: usize| (n + 2 * self.pad - k) / self.stride + 1;
        (out(self.h, self.r), out(self.w, self.s))
    }

    /// Number of weights.
    pub fn weights(&self) -> usize {
        self.k * self.c / self.groups * self.r * self.s
    }

    /// Multiply-adds per image, counting only taps that fall on the image: the direct method's work.
    pub fn multiply_adds(&self) -> usize {
        let (oh, ow) = self.output();
        let taps = |out: usize, size: usize, kernel: usize| -> usize {
            let inside = |o: usize, t: usize| {
                let i = o * self.stride + t;
                i >= self.pad && i - self.pad < size
            };
            (0..out).map(|o| (0..kernel).filter(|&t| inside(o, t)).count()).sum()
        };
        taps(oh, self.h, self.r) * taps(ow, self.w, self.s) * self.k * self.c / self.groups
    }
}

/// Which of the two products with the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// y = W ∗ x: reads `c` channels of the input map, writes `k` channels of the output map.
    Forward,
    /// dx = Wᵀ ∗ dy: reads `k` channels of the output map, writes `c` channels of the input map.
    BackwardInput,
}
