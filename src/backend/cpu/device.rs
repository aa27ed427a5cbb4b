//! The CPU as a [`Backend`](crate::backend::Backend): splits every operation into slabs and map rows, and hands those to
//! the kernels.

use super::convolve::Convolve;
use super::image;
use super::layout::{Aligned, Layout};
use super::select::ConvMode;
use super::simd::Level;
use super::value::{Act, Epilogue, Source, Target};
use crate::backend::{Batch, Device, ImageBatch, Input, Output, SLAB, Sign, Slab, Then, Verdicts};
use crate::error::Result;
use crate::graph::place::Place;
use rayon::prelude::*;
use std::ops::Range;

/// The CPU.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// The instruction set.
    pub level: Level,
    /// How convolutions are computed.
    pub conv: ConvMode,
    /// Whether one operation spreads over the threads of the current rayon pool (training), or runs on the calling
    /// thread because many runs go on at once (sweeps).
    pub spread: bool,
}

/// A convolution's weights, packed for both directions.
pub struct CpuFilter {
    pub(super) forward: Box<dyn Convolve>,
    pub(super) backward: Option<Box<dyn Convolve>>,
}

/// Some map rows of one slab of a value that is written.
pub(super) struct Part<'a> {
    pub slab: Slab,
    pub layout: Layout,
    pub rows: Range<usize>,
    pub data: &'a mut [f32],
    /// Sign bits to be saved.
    pub save: Option<&'a mut [u16]>,
    /// Winners to be remembered, or nothing.
    pub winners: Option<&'a mut [u8]>,
}

/// What the parts of a value that is written are cut from.
pub(super) struct Whole<'a> {
    pub place: Place,
    pub data: &'a mut [f32],
    pub save: Option<&'a mut Vec<u16>>,
    pub winners: Option<&'a mut Vec<u8>>,
}

impl Cpu {
    /// At the [`Level::best`].
    pub fn new(conv: ConvMode, spread: bool) -> Self {
        Cpu { level: Level::best(), conv, spread }
    }

    /// The same, spread or not.
    pub(crate) fn at(self, spread: bool) -> Self {
        Cpu { spread, ..self }
    }

    /// Calls `work` for every part of `out`, each a range of map rows that starts at a multiple of `granularity`.
    pub(super) fn parts(
        &self,
        batch: Batch,
        granularity: usize,
        whole: Whole,
        work: impl Fn(Part) + Sync + Send,
    ) {
        let Whole { place, data, save, winners } = whole;
        let slabs = batch.slabs().len();
        let groups = place.h.div_ceil(granularity);
        let per_slab =
            if self.spread { (4 * rayon::current_num_threads()).div_ceil(slabs).min(groups) } else { 1 };
        let height = groups.div_ceil(per_slab) * granularity;
        let mut parts = Vec::with_capacity(slabs * per_slab);
        let mut data = Remaining(data);
        let mut save = save.map(|s| Remaining(&mut s[..]));
        let mut winners = winners.map(|w| Remaining(&mut w[..]));
        for slab in batch.slabs() {
            let layout = layout(place, slab);
            let mut row = 0;
            while row < place.h {
                let rows = row..(row + height).min(place.h);
                let len = layout.rows(rows.clone()).len();
                let dense = rows.len() * place.w * place.c * slab.lanes;
                parts.push(Part {
                    slab,
                    layout,
                    data: data.take(len),
                    save: save.as_mut().map(|s| s.take(len / 16)),
                    winners: winners.as_mut().map(|w| w.take(dense)),
                    rows,
                });
                row += height;
            }
        }
        if self.spread && parts.len() > 1 {
            parts.into_par_iter().for_each(work);
        } else {
            parts.into_iter().for_each(work);
        }
    }

    /// As [`Cpu::parts`], with an output that is a value and what happens to it.
    pub(super) fn write(
        &self,
        batch: Batch,
        granularity: usize,
        out: Output<Self>,
        then: Then<Self>,
        work: impl Fn(Slab, Target, Epilogue) + Sync + Send,
    ) {
        let Then { scale, shift, add, accumulate, sign } = then;
        let (save, rectifier, mask) = match sign {
            Sign::None => (None, None, None),
            Sign::Rectify(rectifier) => (None, Some(rectifier), None),
            Sign::RectifySave(rectifier, bits) => (Some(bits), Some(rectifier), None),
            Sign::Mask(bits, below) => (None, None, Some((bits, below))),
        };
        let pixel = out.place.pixel;
        let whole = Whole { place: out.place, data: out.data, save, winners: None };
        self.parts(batch, granularity, whole, |part| {
            let act = match (rectifier, part.save, mask) {
                (Some(rectifier), Some(bits), _) => Act::RectifySave(rectifier, bits),
                (Some(rectifier), None, _) => Act::Rectify(rectifier),
                (None, _, Some((bits, below))) => {
                    let first =
                        (out.place.rows() * part.slab.start + part.layout.rows(part.rows.clone()).start) / 16;
                    Act::Mask(&bits[first..first + part.data.len() / 16], below)
                }
                (None, _, None) => Act::None,
            };
            debug_assert_eq!(part.layout.pixel, pixel);
            let epilogue = Epilogue {
                scale: scale.map(|s| &s[..]),
                shift: shift.map(|s| &s[..]),
                add: add.as_ref().map(|a| source(a, part.slab)),
                accumulate,
                act,
            };
            let target = Target { data: part.data, layout: part.layout, rows: part.rows };
            work(part.slab, target, epilogue);
        });
    }

    /// Calls `work` for ranges of `0..n`, and puts what it returns one after the other.
    pub(super) fn ranges<T: Send>(&self, n: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
        if !self.spread {
            return vec![work(0..n)];
        }
        let size = n.div_ceil(4 * rayon::current_num_threads()).max(1);
        let starts: Vec<usize> = (0..n).step_by(size).collect();
        starts.into_par_iter().map(|start| work(start..(start + size).min(n))).collect()
    }
}

impl Device for Cpu {
    type Values = Aligned;
    type Floats = Aligned;
    type Bits = Vec<u16>;
    type Bytes = Vec<u8>;
    type Filter = CpuFilter;
    type Images<'a> = ImageBatch<'a>;
    type DeviceVerdicts = Verdicts;
    type Pending = Verdicts;
    type Recording = ();

    const VALUE_BYTES: usize = size_of::<f32>();
    const CONCURRENT: bool = true;
    const IN_FLIGHT: usize = 1;
    const GRADIENT_SCALE: f32 = 1.0;

    fn images_per_run(&self) -> usize {
        SLAB
    }

    fn memory(&self) -> Option<usize> {
        None
    }

    fn queue(&self) -> Option<Self> {
        None
    }

    fn after(&self, _: &Self) {}

    fn queues_to_fill(&self, (): &()) -> usize {
        1
    }

    fn values(&self, rows: usize, batch: Batch) -> Aligned {
        Aligned::zeros(rows * batch.lanes())
    }

    fn bits(&self, rows: usize, batch: Batch) -> Vec<u16> {
        vec![0; rows * batch.lanes() / 16]
    }

    fn bytes(&self, rows: usize, batch: Batch) -> Vec<u8> {
        vec![0; rows * batch.lanes()]
    }

    fn floats(&self, len: usize) -> Aligned {
        Aligned::zeros(len)
    }

    fn pixels(&self, rows: usize, batch: Batch) -> Aligned {
        Aligned::zeros(rows * batch.lanes())
    }

    fn upload(&self, data: &[f32]) -> Aligned {
        let mut buffer = Aligned::zeros(data.len());
        buffer.copy_from_slice(data);
        buffer
    }

    fn write(&self, buffer: &mut Aligned, data: &[f32]) {
        buffer.copy_from_slice(data);
    }

    fn copy(&self, from: &Aligned, to: &mut Aligned) {
        to.copy_from_slice(from);
    }

    fn zero(&self, buffer: &mut Aligned) {
        buffer.fill(0.0);
    }

    fn download(&self, buffer: &Aligned) -> Result<Vec<f32>> {
        Ok(buffer.to_vec())
    }

    fn download_nchw(&self, batch: Batch, x: Input<Self>) -> Result<Vec<f32>> {
        Ok(batch.slabs().flat_map(|slab| image::to_nchw(source(&x, slab), slab.images)).collect())
    }

    fn images<'a>(&self, images: ImageBatch<'a>) -> ImageBatch<'a> {
        images
    }

    fn verdicts(&self, batch: Batch) -> Verdicts {
        Verdicts { loss: vec![0.0; batch.images], correct: vec![false; batch.images] }
    }

    fn fetch(&self, verdicts: &mut Verdicts) -> Verdicts {
        verdicts.clone()
    }

    fn wait(&self, pending: Verdicts) -> Result<Verdicts> {
        Ok(pending)
    }

    fn replayable(&self, _: &mut Option<()>, work: impl FnOnce()) {
        work();
    }
}

/// What is left of a buffer that is handed out from the front.
pub(super) struct Remaining<'a, T>(pub &'a mut [T]);

impl<'a, T> Remaining<'a, T> {
    pub fn take(&mut self, len: usize) -> &'a mut [T] {
        self.0.split_off_mut(..len).expect("a buffer holds all slabs of its batch")
    }
}

/// A place in one slab.
pub(super) fn layout(place: Place, slab: Slab) -> Layout {
    let Place { h, w, c, pixel, offset, step } = place;
    Layout { h, w, c, pixel, offset, step, lanes: slab.lanes }
}

/// One slab of a value.
pub(super) fn source<'a>(x: &Input<'a, Cpu>, slab: Slab) -> Source<'a> {
    let rows = x.place.rows();
    let data = &x.data[rows * slab.start..rows * (slab.start + slab.lanes)];
    Source { data, layout: layout(x.place, slab) }
}
