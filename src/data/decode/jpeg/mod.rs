//! JPEG files to the pixels of Pillow, that is of libjpeg-turbo: the exact ("slow") integer transform, smoothly enlarged
//! colour planes, its conversion of colours, and its way with broken data. Published accuracies rest on these pixels.
//!
//! Bit for bit Pillow 13.0's (libjpeg-turbo 3.2.0): baseline, extended and progressive Huffman files of 8 bits; grey,
//! YCbCr, RGB, CMYK and YCCK; any sampling factors that divide each other; restart markers. Refused by name although Pillow
//! reads them: arithmetic coding and the lossless process, which hardly any file has. Refused as in Pillow: 12 bits.
//!
//! The decoder is the program's own and safe Rust throughout, for no library was found that would do (tried on 2,376
//! files of every kind, 6,000 broken ones, and 7,000 of Tiny ImageNet): jpeg-decoder and zune-jpeg round differently and
//! don't give out coefficients; libjpeg-turbo-rs is equal on whole files, but of the broken ones it decodes a sixth to
//! other pixels and refuses a tenth that Pillow reads, and brings 58,000 lines with 300 unsafe places that take a minute
//! to compile; mozjpeg is C that unwinds through C, and decodes 350 of the broken ones to other pixels. This one: none, and
//! it refuses none that Pillow reads but for the limits on sides and on scans.

mod block;
mod colour;
mod frame;
mod huffman;
mod scan;
mod smooth;
mod stream;
mod transform;

use super::decoded::{Decoded, Outcome, Remark};
use frame::{Colours, Frame, Tables};
use scan::Scan;
use smooth::{Known, Smoothing};
use stream::Stream;

/// Decodes a whole file.
pub(super) fn decode(bytes: &[u8]) -> Outcome<Decoded> {
    let mut stream = Stream::new(bytes);
    if stream.next_marker()? != 0xd8 {
        return Err("no start marker".into());
    }
    let mut tables = Tables::default();
    let mut frame: Option<Frame> = None;
    let mut scans = Scans::default();
    loop {
        match stream.next_marker()? {
            marker @ 0xc0..=0xc2 => {
                if frame.is_some() {
                    return Err("a second frame".into());
                }
                frame = Some(Frame::new(stream.segment()?, marker == 0xc2, bytes.len())?);
            }
            0xc4 => tables.huffman(stream.segment()?)?,
            0xdb => tables.quantisation(stream.segment()?)?,
            0xdd => tables.restart_interval(stream.segment()?)?,
            marker @ 0xe0..=0xef => tables.application(marker, stream.segment()?),
            // A comment, a number of lines, settings of arithmetic coding.
            0xfe | 0xdc | 0xcc => drop(stream.segment()?),
            // Markers without a segment.
            0x01 | 0xd0..=0xd7 => {}
            0xda => {
                let frame = frame.as_mut().ok_or("image data without a frame")?;
                let scan = Scan::new(stream.segment()?, frame, &tables)?;
                if scans.count == 0 {
                    scans.colours = tables.colours(frame);
                    if scan.is_all_of(frame) {
                        decode_at_once(&mut stream, scan, frame)?;
                        return Ok(decoded(frame, scans.colours, &stream));
                    }
                }
                scans.add(&mut stream, scan, frame)?;
            }
            0xd9 => break,
            0xd8 => return Err("a second start marker".into()),
            0xc9..=0xcb | 0xcd..=0xcf => return Err("arithmetic coding, which is not read".into()),
            0xc3 | 0xc5..=0xc8 => return Err("a lossless or hierarchical file, which is not read".into()),
            other => return Err(format!("an unknown marker ff {other:02x}")),
        }
    }
    let mut frame = frame.filter(|_| scans.count > 0).ok_or("no image data")?;
    scans.finish(&mut frame);
    if scans.known.iter().any(|known| !known.is_all()) {
        stream.note("the last scans of a progressive file are missing");
    }
    Ok(decoded(&frame, scans.colours, &stream))
}

fn decoded(frame: &Frame, colours: Colours, stream: &Stream) -> Decoded {
    let pixels = colour::pixels(frame, colours);
    let remark = stream.oddity.map(Remark::Oddity);
    Decoded { width: frame.width, height: frame.height, pixels, remark }
}

/// The only scan of a file, row by row of its MCUs, so that few coefficients are kept.
fn decode_at_once(stream: &mut Stream, mut scan: Scan, frame: &mut Frame) -> Outcome<()> {
    for component in &mut frame.components {
        component.blocks = vec![[0; 64]; component.stride * component.down];
        component.allocate_samples();
    }
    stream.begin_scan();
    for row in 0..frame.rows() {
        scan.decode_row(stream, frame, row, row)?;
        for component in &mut frame.components {
            for line in 0..component.down {
                component.write_row(row * component.down + line, |component, column| {
                    component.blocks[line * component.stride + column]
                });
            }
            component.blocks.fill([0; 64]);
        }
    }
    stream.end_scan()
}

/// Scans of a file at most. Each costs a walk over the whole image, however few its bytes; real files have a dozen.
const MAX_SCANS: usize = 500;

/// The scans of a file that has several, whose coefficients are kept until the last has come.
#[derive(Default)]
struct Scans {
    count: usize,
    colours: Colours,
    /// By component, for a progressive file.
    known: Vec<Known>,
    last_good_row: usize,
}

impl Scans {
    fn add(&mut self, stream: &mut Stream, mut scan: Scan, frame: &mut Frame) -> Outcome<()> {
        if self.count == 0 {
            for component in &mut frame.components {
                component.blocks = vec![[0; 64]; component.stride * component.rows()];
            }
            if frame.progressive {
                self.known = vec![Known::nothing(); frame.components.len()];
            }
        }
        self.count += 1;
        if self.count > MAX_SCANS {
            return Err(format!("more than {MAX_SCANS} scans"));
        }
        for component in scan.components() {
            if let Some(known) = self.known.get_mut(component)
                && !known.add(&scan, self.count)
            {
                stream.note("scans that do not follow from each other");
            }
        }
        stream.begin_scan();
        for row in 0..frame.rows() {
            scan.decode_row(stream, frame, row, 0)?;
        }
        self.last_good_row = scan.last_good_row;
        stream.end_scan()
    }

    fn finish(&self, frame: &mut Frame) {
        let rows = frame.rows();
        let smoothing = Smoothing::new(&self.known, &frame.components, self.count, self.last_good_row, rows);
        for (index, component) in frame.components.iter_mut().enumerate() {
            component.allocate_samples();
            for row in 0..component.blocks_down {
                component.write_row(row, |component, column| match &smoothing {
                    Some(smoothing) => smoothing.block(index, component, row, column),
                    None => component.blocks[row * component.stride + column],
                });
            }
        }
    }
}
