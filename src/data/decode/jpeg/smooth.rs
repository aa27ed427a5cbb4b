//! What libjpeg shows of a progressive file whose last scans are missing: coefficients that are not known to the last
//! bit, and are zero so far, are guessed from the mean brightness of the blocks around, two in each direction.

use super::block::{Block, ZIGZAG};
use super::frame::Component;
use super::scan::Scan;

/// How many coefficients are kept account of: the first ones in zigzag order.
const KEPT: usize = 10;

/// Means of 5×5 blocks around one, or their weights.
type Kernel = [[i64; 5]; 5];

/// The guesses if no coefficient but the mean is known, for coefficients 1 to 9, and at place 0 for the mean itself.
const ALONE: [Kernel; KEPT] = [
    [
        [-2, -6, -8, -6, -2],
        [-6, 6, 42, 6, -6],
        [-8, 42, 152, 42, -8],
        [-6, 6, 42, 6, -6],
        [-2, -6, -8, -6, -2],
    ],
    [[-1, -1, 0, 1, 1], [-3, 13, 0, -13, 3], [-3, 38, 0, -38, 3], [-3, 13, 0, -13, 3], [-1, -1, 0, 1, 1]],
    [[-1, -3, -3, -3, -1], [-1, 13, 38, 13, -1], [0; 5], [1, -13, -38, -13, 1], [1, 3, 3, 3, 1]],
    [[0, 0, 1, 0, 0], [0, 2, 7, 2, 0], [0, -5, -14, -5, 0], [0, 2, 7, 2, 0], [0, 0, 1, 0, 0]],
    [[-1, 0, 0, 0, 1], [0, 9, 0, -9, 0], [0; 5], [0, -9, 0, 9, 0], [1, 0, 0, 0, -1]],
    [[0; 5], [0, 2, -5, 2, 0], [1, 7, -14, 7, 1], [0, 2, -5, 2, 0], [0; 5]],
    [[0; 5], [0, 1, 0, -1, 0], [0, 2, 0, -2, 0], [0, 1, 0, -1, 0], [0; 5]],
    [[0; 5], [0, 1, -3, 1, 0], [0; 5], [0, -1, 3, -1, 0], [0; 5]],
    [[0; 5], [0, 1, 0, -1, 0], [0, -3, 0, 3, 0], [0, 1, 0, -1, 0], [0; 5]],
    [[0; 5], [0, 1, 2, 1, 0], [0; 5], [0, -1, -2, -1, 0], [0; 5]],
];

/// The guesses if some others are known, for coefficients 1 to 5.
const AMONG_OTHERS: [Kernel; 5] = [
    [[0; 5], [0; 5], [-7, 50, 0, -50, 7], [0; 5], [0; 5]],
    [[0, 0, -7, 0, 0], [0, 0, 50, 0, 0], [0; 5], [0, 0, -50, 0, 0], [0, 0, 7, 0, 0]],
    [[0, 0, -1, 0, 0], [0, 0, 13, 0, 0], [0, 0, -24, 0, 0], [0, 0, 13, 0, 0], [0, 0, -1, 0, 0]],
    [[0, -1, 0, 1, 0], [-1, 10, 0, -10, 1], [0; 5], [1, -10, 0, 10, -1], [0, 1, 0, -1, 0]],
    [[0; 5], [0; 5], [-1, 13, -24, 13, -1], [0; 5], [0; 5]],
];

/// Which bit of its first coefficients a component has got down to: 0 for all of them, -1 for nothing yet.
#[derive(Clone, Copy)]
pub(super) struct Known {
    now: [i8; KEPT],
    /// Before the last scan, for rows that its data did not reach.
    before: [i8; KEPT],
}

impl Known {
    pub fn nothing() -> Self {
        Self { now: [-1; KEPT], before: [-1; KEPT] }
    }

    /// Whether the first coefficients are known to the last bit.
    pub fn is_all(&self) -> bool {
        self.now == [0; KEPT]
    }

    /// Takes note of a scan of this component; `number` counts from 1. Whether it fits those before.
    pub fn add(&mut self, scan: &Scan, number: usize) -> bool {
        for place in scan.first.min(1)..KEPT {
            self.before[place] = if number > 1 { self.now[place] } else { 0 };
        }
        let mut fits = scan.first == 0 || self.now[0] >= 0;
        for place in scan.first..=scan.last.min(KEPT - 1) {
            fits &= i8::try_from(scan.refines) == Ok(self.now[place].max(0));
            self.now[place] = scan.low as i8;
        }
        fits
    }
}

/// What is to be guessed in a file that has ended.
pub(super) struct Smoothing<'a> {
    known: &'a [Known],
    /// There was but one scan.
    only_scan: bool,
    /// The last row of MCUs that the last scan's data reached.
    last_good_row: usize,
    /// Rows of MCUs in all.
    rows: usize,
}

impl<'a> Smoothing<'a> {
    /// `None` if there is nothing to guess, or not enough to guess from.
    pub fn new(
        known: &'a [Known],
        components: &[Component],
        scans: usize,
        last_good_row: usize,
        rows: usize,
    ) -> Option<Self> {
        let enough = known.iter().zip(components).all(|(known, component)| {
            let first = &ZIGZAG[..KEPT];
            let divides = |steps: [u16; 64]| first.iter().all(|&place| steps[usize::from(place)] != 0);
            known.now[0] >= 0 && component.steps.is_some_and(divides)
        });
        let useful = known.iter().any(|known| known.now[1..].iter().any(|&low| low != 0));
        (enough && useful).then_some(Self { known, only_scan: scans == 1, last_good_row, rows })
    }

    /// A block of component `index` with its guesses.
    pub fn block(&self, index: usize, component: &Component, row: usize, column: usize) -> Block {
        let stride = component.stride;
        let mut block = component.blocks[row * stride + column];
        let Some(steps) = component.steps else { return block };
        let mcu_row = row / component.down;
        let known = match &self.known[index] {
            known if mcu_row <= self.last_good_row => known.now,
            _ if self.only_scan => [-1; KEPT],
            known => known.before,
        };
        let means = self.means(component, row, column);
        let alone = known[1..].iter().all(|&low| low == -1);
        let kernels: &[Kernel] = if alone { &ALONE[1..] } else { &AMONG_OTHERS };
        for ((kernel, &low), &place) in kernels.iter().zip(&known[1..]).zip(&ZIGZAG[1..KEPT]) {
            let place = usize::from(place);
            if low != 0 && block[place] == 0 {
                block[place] = guess(kernel, &means, steps[0], steps[place], low);
            }
        }
        if alone {
            block[0] = guess(&ALONE[0], &means, steps[0], steps[0], -1);
        }
        block
    }

    /// The means of the blocks around, at the edges those of the blocks there.
    fn means(&self, component: &Component, row: usize, column: usize) -> Kernel {
        let Component { down, stride, .. } = *component;
        let (mcu_row, within) = (row / down, row % down);
        // libjpeg counts with the last MCUs' own height there, so that low ones have their edge one row up.
        let used = match component.blocks_down % down {
            some @ 1.. if mcu_row + 1 == self.rows => some,
            _ => down,
        };
        let (counted, count) = (mcu_row * used + within, used * self.rows);
        let above = if counted > 0 { row - 1 } else { row };
        let far_above = if counted > 1 { row - 2 } else { above };
        let below = if counted + 1 < count { row + 1 } else { row };
        let far_below = if counted + 2 < count { row + 2 } else { below };
        [far_above, above, row, below, far_below].map(|row| {
            [0, 1, 2, 3, 4].map(|shift| {
                let column = (column + shift).saturating_sub(2).min(component.blocks_across - 1);
                i64::from(component.blocks[row * stride + column][0])
            })
        })
    }
}

/// The weighted means as a coefficient, no larger than what its unknown bits (below `low`) can hold.
fn guess(kernel: &Kernel, means: &Kernel, mean_step: u16, step: u16, low: i8) -> i16 {
    let (weights, means) = (kernel.as_flattened(), means.as_flattened());
    let sum =
        weights.iter().zip(means).map(|(weight, mean)| weight * mean).sum::<i64>() * i64::from(mean_step);
    let step = i64::from(step);
    let mut size = ((step << 7) + sum.abs()) / (step << 8);
    if low > 0 {
        size = size.min((1 << low) - 1);
    }
    (if sum < 0 { -size } else { size }) as i16
}
