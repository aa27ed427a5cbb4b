//! The convolutions of the four networks on a GPU's matrix units, with every tile that can compute them:
//!
//! ```text
//! cargo bench --features cuda --bench cuda_conv -- [NAME]   cases whose name has that part, or all: microseconds per tile
//! cargo bench --features cuda --bench cuda_conv -- --table  the table of src/backend/cuda/tiles.rs, measured
//! ```
//!
//! Times are those of the device, between events; f16, 2048 images (`SYNFILTER_IMAGES`), each with the epilogue that it has
//! in a network. On the software device they mean nothing.

mod shapes;

use std::error::Error;
use std::sync::Arc;
use synfilter::backend::SLAB;
use synfilter::backend::cuda::abi;
use synfilter::backend::cuda::buffer::Buffer;
use synfilter::backend::cuda::context::Context;
use synfilter::backend::cuda::conv_mma::{ConvMma, Half};
use synfilter::backend::cuda::conv_plan::ConvPlan;
use synfilter::backend::cuda::tiles::{self, Launch, Tile};
use synfilter::backend::cuda::value::PLAIN;
use synfilter::graph::conv::{ConvShape, Direction};
use synfilter::graph::place::Place;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Launches of which the mean is taken, after one that warms up.
const LAUNCHES: usize = 8;

/// A convolution with its values on the device.
struct Bench {
    context: Arc<Context>,
    conv: ConvMma,
    x: (Buffer, Place),
    y: (Buffer, Place),
    bits: Buffer,
    floats: Buffer,
    slabs: usize,
    sign: u8,
}

/// Halves of either sign, none far from 1: zeros would take less power, and so less time.
fn halves(context: &Arc<Context>, len: usize) -> Buffer {
    let values: Vec<u16> =
        (0..len as u32).map(|i| 0x3800 | (i.wrapping_mul(0x9e37_79b9) >> 16 & 0x87ff) as u16).collect();
    Buffer::of(context, &values)
}

impl Bench {
    fn new(context: &Arc<Context>, shape: ConvShape, direction: Direction, slabs: usize) -> Option<Self> {
        let plan = ConvPlan::new(shape, direction)?;
        let (oh, ow) = shape.output();
        let place = |h, w, c| Place { h, w, c, pixel: c, offset: 0, step: 1 };
        let (input, output) = (place(shape.h, shape.w, shape.c), place(oh, ow, shape.k));
        let (from, to, sign) = match direction {
            Direction::Forward => (input, output, 2),
            Direction::BackwardInput => (output, input, 3),
        };
        let mut conv = ConvMma::new(context, plan);
        conv.weights = halves(context, conv.plan().len());
        Some(Bench {
            context: context.clone(),
            conv,
            x: (halves(context, slabs * from.rows() * SLAB), from),
            y: (Buffer::zeros(context, 2 * slabs * to.rows() * SLAB), to),
            bits: Buffer::zeros(context, 8 * slabs * to.rows()),
            floats: Buffer::zeros(context, 4 * to.c),
            slabs,
            sign,
        })
    }

    /// Seconds of one launch.
    fn time(&self, tile: Tile) -> Result<f64> {
        let ((x, from), (y, to)) = (&self.x, &self.y);
        let backward = self.sign == 3;
        let floats = if backward { 0 } else { self.floats.address() };
        let then =
            abi::Then { scale: floats, shift: floats, bits: self.bits.address(), sign: self.sign, ..PLAIN };
        let launch = || {
            let (x, y) = ((x.address(), *from), (y.address(), *to));
            // SAFETY: the buffers are of the sizes of the places.
            unsafe { self.conv.launch_with(&self.context, tile, Half::F16, x, y, self.slabs, then) };
        };
        launch();
        Ok(self.context.timed(|| (0..LAUNCHES).for_each(|_| launch()))? / LAUNCHES as f64)
    }
}

fn cases(context: &Arc<Context>, part: &str, images: usize) -> Result<()> {
    println!("| convolution | direction | TMAC/s | chosen | best | all |\n|---|---|---|---|---|---|");
    let (mut chosen_sum, mut best_sum) = (0.0, 0.0);
    for case in shapes::cases().iter().filter(|case| case.name().contains(part)) {
        for direction in [Direction::Forward, Direction::BackwardInput] {
            let slabs = images.div_ceil(SLAB);
            let Some(bench) = Bench::new(context, case.shape, direction, slabs) else { continue };
            let (plan, from) = (bench.conv.plan(), bench.x.1);
            let chosen = plan.tile(from, slabs, context.multiprocessors());
            let times = plan.tiles(from).into_iter().map(|tile| Ok((tile, bench.time(tile)?)));
            let times = times.collect::<Result<Vec<_>>>()?;
            let of = |tile: Tile| times.iter().find(|(t, _)| *t == tile).map_or(f64::NAN, |(_, time)| *time);
            let best = times.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(chosen, |(tile, _)| *tile);
            let macs = (case.shape.multiply_adds() * slabs * SLAB) as f64 / of(best);
            let all: Vec<_> = times.iter().map(|(tile, s)| format!("{tile:?} {:.1}", s * 1e6)).collect();
            println!(
                "| {} | {direction:?} | {:.1} | {chosen:?} {:.1} | {best:?} {:.1} | {} |",
                case.name(),
                macs / 1e12,
                of(chosen) * 1e6,
                of(best) * 1e6,
                all.join(", ")
            );
            chosen_sum += of(chosen);
            best_sum += of(best);
        }
    }
    println!("\nchosen {:.3} ms, best {:.3} ms", chosen_sum * 1e3, best_sum * 1e3);
    Ok(())
}

fn table(context: &Arc<Context>) -> Result<()> {
    let facts = context.facts()?;
    let cost = |tile: Tile, launch: Launch| {
        let c = 32 * launch.steps as usize;
        let shape = ConvShape {
            c,
            k: launch.outputs,
            h: 1,
            w: launch.pixels,
            r: 1,
            s: 1,
            stride: 1,
            pad: 0,
            groups: 1,
        };
        let bench = Bench::new(context, shape, Direction::Forward, launch.slabs).expect("it has no groups");
        bench.time(tile).unwrap_or(f64::NAN)
    };
    let table = tiles::tabulate(cost, facts.multiprocessors);
    context.synchronize()?;
    println!(
        "pub const SOURCE: &str = \"measured on {}, {} multiprocessors\";",
        facts.name, facts.multiprocessors
    );
    println!("const TABLE: [[&str; STEPS.len()]; 4] = [");
    for class in table {
        println!("    [");
        class.iter().for_each(|row| println!("        \"{row}\","));
        println!("    ],");
    }
    println!("];");
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let images = std::env::var("SYNFILTER_IMAGES").map_or(Ok(2048), |n| n.parse())?;
    let context = Context::open(0)?;
    match arguments.first().map(String::as_str) {
        Some("--table") => table(&context),
        part => cases(&context, part.unwrap_or_default(), images),
    }
}
