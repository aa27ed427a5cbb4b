//! Which tile the matrix kernels compute a convolution with.
//!
//! The choice is a table over three figures of a launch: outputs in units of 64, steps of a pixel's reduction, and units
//! of 64 outputs × 64 images per multiprocessor. The committed table holds what [`Tile::cost`] says; a bench can measure
//! the candidates on a device and print the table anew (`cargo bench --features cuda --bench conv_mma`).

/// A block's tile; mirrors `Tile` of kernels/conv_mma.cuh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tile {
    /// 128 outputs × 256 images, eight warps.
    K128N256,
    /// 128 × 128, four warps.
    K128N128,
    /// 64 × 256, four warps.
    K64N256,
    /// 64 × 128, two warps.
    K64N128,
    /// 64 × 64, four warps that share the reduction.
    K64N64,
    /// 48 × 256, four warps: few outputs.
    K48N256,
    /// 48 × 128, two warps.
    K48N128,
    /// 16 × 128, two warps.
    K16N128,
    /// 128 outputs × four pixels × 64 images, eight warps: 3×3 kernels, `StripTile` of kernels/conv_strip.cu.
    K128P4,
    /// 64 × four pixels × 64, four warps.
    K64P4,
}

/// Tiles of one pixel and any number of outputs, as the table's letters name them: a is the first.
pub const TILES: [Tile; 5] = [Tile::K128N256, Tile::K128N128, Tile::K64N256, Tile::K64N128, Tile::K64N64];

/// Steps of a reduction in the rows of the table, and load in its columns: each the smallest of its class.
pub const STEPS: [usize; 6] = [1, 4, 8, 16, 32, 64];
/// Units per multiprocessor, in eighths.
pub const LOADS: [usize; 12] = [0, 2, 4, 8, 12, 16, 24, 32, 48, 64, 128, 256];

/// Launches of a class that are looked at.
const SAMPLES: usize = 8;

/// Where the table comes from.
pub const SOURCE: &str = "model: A100, 108 multiprocessors; not measured";

/// `TABLE[class of outputs][class of steps]`, a letter per load. Classes of outputs: 64, 128, an odd number of 64s above,
/// an even one.
const TABLE: [[&str; STEPS.len()]; 4] = [
    ["eeedddddcccc", "eeedddddcccc", "eeeddccdcccc", "eeeddccdcccc", "eeeeeccdcccc", "eeeeeccdcccc"],
    ["eeeddddbbbbb", "eeeddbbbbbbb", "eeeddbbbbbbb", "eeeddbbaabbb", "eeeeebbaabba", "eeeeebbaabba"],
    ["eeeddddbcccc", "eeeddbdbcccc", "eeeddbcbcccc", "eeeddbcacccc", "eeeeebcacccc", "eeeeebcacccc"],
    ["eeeddddbbbbb", "eeeddbbbbbbb", "eeeddbbbbbbb", "eeeddbbaabbb", "eeeeebbaabba", "eeeeebbaabba"],
];

/// How a tile is made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    /// Fragments of 16 outputs per warp.
    fragments: usize,
    /// Warps along the outputs, along the slabs, and along the reduction.
    warps: [usize; 3],
    stages: usize,
}

impl Tile {
    /// Registers of a thread, about: no kernel has more.
    pub const REGISTERS: usize = 224;

    const fn parts(self) -> Parts {
        let (fragments, warps, stages) = match self {
            Tile::K128N256 => (4, [2, 4, 1], 3),
            Tile::K128N128 => (4, [2, 2, 1], 4),
            Tile::K64N256 => (4, [1, 4, 1], 4),
            Tile::K64N128 => (4, [1, 2, 1], 4),
            Tile::K64N64 => (4, [1, 1, 4], 3),
            Tile::K48N256 => (3, [1, 4, 1], 4),
            Tile::K48N128 => (3, [1, 2, 1], 4),
            Tile::K16N128 => (1, [1, 2, 1], 4),
            Tile::K128P4 => (4, [2, 4, 1], 2),
            Tile::K64P4 => (4, [1, 4, 1], 2),
        };
        Parts { fragments, warps, stages }
    }

    /// Outputs of a tile.
    pub const fn outputs(self) -> usize {
        let Parts { fragments, warps, .. } = self.parts();
        16 * fragments * warps[0]
    }

    /// Pixels of a tile, neighbours in a row.
    pub const fn pixels(self) -> usize {
        match self {
            Tile::K128P4 | Tile::K64P4 => 4,
            _ => 1,
        }
    }

    /// Slabs of a tile.
    pub const fn slabs(self) -> usize {
        self.parts().warps[1] / self.pixels()
    }

    /// Taps of a step.
    const fn taps(self) -> usize {
        if self.pixels() == 1 { 1 } else { 3 }
    }

    /// Threads of a block.
    pub const fn threads(self) -> usize {
        let [k, n, r] = self.parts().warps;
        32 * k * n * r
    }

    /// Bytes of one stage of the pipeline of one group of warps.
    const fn stage(self) -> usize {
        let columns = self.pixels() + self.taps() - 1;
        64 * self.outputs() * self.taps() + 4096 * self.slabs() * columns
    }

    /// Bytes of shared memory of a block, without a packed reduction's table.
    pub const fn shared(self) -> usize {
        let Parts { fragments, warps: [k, n, r], stages } = self.parts();
        let pipeline = r * stages * self.stage();
        let staged = r * k * n * 256 * 16 * if fragments % 2 == 0 { 2 } else { 1 };
        if pipeline > staged { pipeline } else { staged }
    }

    /// The name that the kernels carry.
    pub const fn name(self) -> &'static str {
        match self {
            Tile::K128N256 => "128x256",
            Tile::K128N128 => "128x128",
            Tile::K64N256 => "64x256",
            Tile::K64N128 => "64x128",
            Tile::K64N64 => "64x64",
            Tile::K48N256 => "48x256",
            Tile::K48N128 => "48x128",
            Tile::K16N128 => "16x128",
            Tile::K128P4 => "128",
            Tile::K64P4 => "64",
        }
    }

    /// The tile for a launch.
    pub fn choose(launch: Launch) -> Tile {
        let units = launch.outputs.div_ceil(64);
        let class = match units {
            1 => 0,
            2 => 1,
            n if n % 2 == 1 => 2,
            _ => 3,
        };
        let load = 8 * units * launch.columns() / launch.multiprocessors.max(1);
        let row = TABLE[class][index(&STEPS, launch.steps as usize)].as_bytes();
        let tile = TILES[usize::from(row[index(&LOADS, load)] - b'a')];
        let tile = tile.no_wider_than(launch.slabs);
        match launch.strips {
            Some(_) => Tile::cheapest(&[tile, Tile::K128P4, Tile::K64P4], launch),
            None => tile,
        }
    }

    fn cheapest(tiles: &[Tile], launch: Launch) -> Tile {
        let cost = |tile: Tile| (tile, tile.cost(launch));
        let costs = tiles.iter().map(|&tile| cost(tile));
        costs.min_by(|a, b| a.1.total_cmp(&b.1)).expect("there are tiles").0
    }

    /// This tile, or a narrower one where too many of its slabs would not exist.
    fn no_wider_than(self, slabs: usize) -> Tile {
        // Slabs that do not exist cost as much as others.
        if 5 * slabs >= 4 * slabs.next_multiple_of(self.slabs()) {
            return self;
        }
        match self {
            Tile::K128N256 => Tile::K128N128.no_wider_than(slabs),
            Tile::K64N256 => Tile::K64N128.no_wider_than(slabs),
            Tile::K128N128 | Tile::K64N128 => Tile::K64N64,
            narrow => narrow,
        }
    }

    /// Clock cycles that a launch takes on an A100, by a model: blocks run in waves, as many at once as shared memory and
    /// registers hold; a wave takes the longer of its products on matrix units (1024 multiply-adds per cycle, of which four
    /// warps reach 75 % and eight 90 %) and its copies from the L2 cache (28 bytes per cycle), a sixth of the shorter of the
    /// two, and 2000 cycles to begin and end, of which blocks side by side hide half.
    pub fn cost(self, launch: Launch) -> f64 {
        let (pixels, steps, share) = match launch.strips {
            Some(strips) if self.pixels() > 1 => (strips.count, strips.steps, strips.share),
            _ => (launch.pixels, launch.steps, 1.0),
        };
        let blocks = launch.outputs.div_ceil(self.outputs()) * pixels * launch.slabs.div_ceil(self.slabs());
        let resident =
            (164 * 1024 / (self.shared() + 1024)).min(65536 / (Self::REGISTERS * self.threads())).max(1);
        let columns = self.slabs() * self.pixels() * 64;
        let products = steps * share * (self.outputs() * columns * self.taps() * 32) as f64 / 1024.0;
        let copies = steps * self.stage() as f64 / 28.0;
        // Warps that share a reduction end with a sum over shared memory.
        let shared = 250.0 * (self.parts().warps[2] - 1) as f64;
        let wave = |resident: usize| {
            let reached = match resident * self.threads() / 32 {
                8.. => 0.9,
                4.. => 0.75,
                warps => 0.75 * warps as f64 / 4.0,
            };
            let (products, copies) = (resident as f64 * products / reached, resident as f64 * copies);
            products.max(copies) + products.min(copies) / 6.0 + 2000.0 / resident.min(2) as f64 + shared
        };
        let (at_once, multiprocessors) = (resident * launch.multiprocessors, launch.multiprocessors);
        let tail = blocks % at_once;
        (blocks / at_once) as f64 * wave(resident)
            + if tail == 0 { 0.0 } else { wave(tail.div_ceil(multiprocessors)) }
    }
}

/// Strips of four pixels that a convolution's result falls into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strips {
    /// How many.
    pub count: usize,
    /// Steps of one, on average.
    pub steps: f64,
    /// Share of the products of a step that are needed.
    pub share: f64,
}

/// What a choice depends on.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// Outputs per pixel.
    pub outputs: usize,
    /// Pixels of the result.
    pub pixels: usize,
    /// Slabs of 64 images.
    pub slabs: usize,
    /// Steps of 32 in the reduction of a pixel, on average.
    pub steps: f64,
    /// Strips of pixels, where they can be computed together.
    pub strips: Option<Strips>,
    /// Multiprocessors of the device.
    pub multiprocessors: usize,
}

impl Launch {
    /// Columns of 64 images.
    fn columns(self) -> usize {
        self.pixels * self.slabs
    }

    /// Launches of a class of the table.
    fn of_class(class: usize, steps: usize, load: usize, multiprocessors: usize) -> Vec<Self> {
        let units = [1, 2, 3, 4][class];
        let range =
            |classes: &[usize], i: usize| (classes[i], *classes.get(i + 1).unwrap_or(&(classes[i] * 2)));
        let (least, end) = range(&STEPS, steps);
        let (low, high) = range(&LOADS, load);
        let launch = |sample: usize| {
            let eighths = low as f64 + (high - low) as f64 * (sample as f64 + 0.5) / SAMPLES as f64;
            let columns = eighths / 8.0 * multiprocessors as f64 / units as f64;
            let pixels = (columns as usize).div_ceil(4).max(1);
            let steps = (least + end) as f64 / 2.0;
            Launch { outputs: 64 * units, pixels, slabs: 4, steps, strips: None, multiprocessors }
        };
        (0..SAMPLES).map(launch).collect()
    }
}

/// The last class that is not above `value`.
fn index(classes: &[usize], value: usize) -> usize {
    classes.iter().rposition(|&least| least <= value).unwrap_or(0)
}

/// The table's text, from what tiles cost; on a class the cheapest is that with the least sum of costs per column.
pub fn tabulate(cost: impl Fn(Tile, Launch) -> f64, multiprocessors: usize) -> Vec<Vec<String>> {
    let letter = |class, steps, load| {
        let launches = Launch::of_class(class, steps, load, multiprocessors);
        let sum = |tile: Tile| -> f64 { launches.iter().map(|&l| cost(tile, l) / l.columns() as f64).sum() };
        let fits = |tile: &usize| TILES[*tile].outputs() <= launches[0].outputs;
        let sums: Vec<f64> = TILES.iter().map(|&tile| sum(tile)).collect();
        let best = (0..TILES.len()).filter(fits).min_by(|&a, &b| sums[a].total_cmp(&sums[b]));
        char::from(b"abcde"[best.expect("some tile fits")])
    };
    let row = |class, steps| (0..LOADS.len()).map(|load| letter(class, steps, load)).collect();
    (0..TABLE.len()).map(|class| (0..STEPS.len()).map(|steps| row(class, steps)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_model() {
        assert_eq!(tabulate(Tile::cost, 108), TABLE);
    }

    #[test]
    fn no_tile_is_much_wider_than_the_batch() {
        for slabs in 1..40 {
            for outputs in [24, 64, 128, 512] {
                let launch =
                    Launch { outputs, pixels: 64, slabs, steps: 18.0, strips: None, multiprocessors: 108 };
                let width = Tile::choose(launch).slabs();
                assert!(5 * slabs >= 4 * slabs.next_multiple_of(width), "{slabs} slabs, {width} at a time");
            }
        }
    }
}
