//! `wmma.load` and `wmma.store`: fragments from and to memory.
//!
//! Every fragment is a list of registers whose elements lie alike: of register r, lane 4i + t holds the elements of
//! line u0(r) + i from v0(r) + t·step on (a line is a row of A, C or D, or a column of B). If the layout puts neighbours
//! of a line next to each other, a lane moves its register at once, else one element after the other.

use super::element::Element;
use super::fragment::{PANEL, a_order, b_order, tile_order, vector};
use super::mma::{Layout, layout};
use super::shape::{Shape, whole_warp};
use super::wmma::{has_shape, registers};
use crate::fault::Stop;
use crate::isa::memory_operand::{AddressSlot, address, space};
use crate::isa::simd::{Body, compute};
use crate::isa::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination, source};
use crate::memory::{Staged, Way};
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::{Space, Type};
use crate::state::cx::{Compute, Cx};
use crate::state::registers::{LANES, Mask, Slot};

/// A matrix that fragments are of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Matrix {
    A,
    B,
    Accumulator,
}

/// Lowers `wmma.load` or `wmma.store`, whose first modifier is taken.
pub fn lower(i: &Instruction, mut m: Modifiers<'_>, stores: bool, cx: &mut dyn Lower) -> Lowering<Lowered> {
    let matrices: &[_] = match stores {
        true => &[("d", Matrix::Accumulator)],
        false => &[("a", Matrix::A), ("b", Matrix::B), ("c", Matrix::Accumulator)],
    };
    let matrix = m.one_of(matrices).ok_or_else(|| Refusal("which matrix is missing".to_string()))?;
    if !m.flag("sync") || !m.flag("aligned") {
        return Err(Refusal("wmma must be .sync.aligned".to_string()));
    }
    let layout = layout(&mut m)?;
    let shape = Shape::parse(m.word())?;
    let space = space(&mut m)?;
    let ty = m.ty()?;
    m.finish()?;

    let geometry = Geometry::new(matrix, shape, ty)?;
    let lines_are_rows = matrix != Matrix::B;
    let along = (layout == Layout::Row) == lines_are_rows;
    if geometry.bits < 8 && !along {
        return Err(Refusal("elements of less than a byte must be neighbours along k".to_string()));
    }
    let (registers, p, stride) = match (&i.operands[..], stores) {
        ([r, p], false) | ([p, r], true) => (r, p, None),
        ([r, p, stride], false) | ([p, r, stride], true) => (r, p, Some(stride)),
        (all, _) => return Err(Refusal(format!("{} operands", all.len()))),
    };
    let registers = vector(registers, geometry.count)?;
    let mut places = Vec::with_capacity(geometry.count);
    for (n, register) in registers.iter().enumerate() {
        let (u0, v0) = geometry.places[n % geometry.places.len()];
        let row = match (geometry.bits, stores) {
            (64, true) => source::<f64>(cx, register)?.row,
            (64, false) => destination::<f64>(cx, register)?.row,
            (_, true) => source::<u32>(cx, register)?.row,
            (_, false) => destination::<u32>(cx, register)?.row,
        };
        places.push(Place { row, u0, v0 });
    }
    let stride = match stride {
        Some(operand) => source(cx, operand)?,
        None => {
            let length = geometry.length(matrix, shape, along);
            source(cx, &Operand::Integer(length as u64))?
        }
    };
    let (base, space) = address(cx, p, space)?;
    if !matches!(space, Space::Global | Space::Shared | Space::Generic) {
        return Err(Refusal(format!("fragments do not lie in {} memory", space.name())));
    }
    let part = Transfer { places, geometry, base, stride, along, space };
    let (shared, run): (bool, Compute) = (
        space == Space::Shared,
        match stores {
            true => compute(Store(part)),
            false => compute(Load(part)),
        },
    );
    let class = match (stores, shared) {
        (true, true) => Class::StoreShared,
        (true, false) => Class::StoreGlobal,
        (false, true) => Class::LoadShared,
        (false, false) => Class::LoadGlobal,
    };
    Ok(Lowered { run, class, macs: 0 })
}

/// Where the elements of a fragment belong.
struct Geometry {
    /// Registers, of which those behind the last place repeat the first.
    count: usize,
    /// Line and position of the first element of each register.
    places: Vec<(usize, usize)>,
    /// Bits of an element, and how many are in a register.
    bits: usize,
    packed: usize,
    /// From one lane of a group of four to the next.
    step: usize,
}

impl Geometry {
    fn new(matrix: Matrix, shape: Shape, ty: Type) -> Lowering<Geometry> {
        let unknown = || {
            let Shape { m, n, k } = shape;
            Err(Refusal(format!("no fragments of {ty:?} for m{m}n{n}k{k}")))
        };
        let (m, n, k) = shape.mnk();
        let bits = ty.bits() as usize;
        let packed = (32 / bits.min(32)).max(1);
        if matrix != Matrix::Accumulator {
            if !has_shape(ty, shape) {
                return unknown();
            }
            let (panels, groups) = (if matrix == Matrix::A { m } else { n } / PANEL, k / (4 * packed));
            let mut places = vec![(0, 0); panels * groups];
            for p in 0..panels {
                for g in 0..groups {
                    let register = match matrix {
                        Matrix::A => a_order(m, groups)(p, g),
                        _ => b_order(groups)(p, g),
                    };
                    places[register] = (PANEL * p, 4 * g * packed);
                }
            }
            let count = match Element::of(ty) {
                Ok(element) => registers(element, places.len()),
                Err(_) => places.len(),
            };
            return Ok(Geometry { count, places, bits, packed, step: packed });
        }
        let multiplicands: &[Type] = match ty {
            Type::F16 => &[Type::F16],
            Type::F32 => &[Type::F16, Type::Bf16, Type::Tf32],
            Type::S32 => &[Type::S8, Type::S4, Type::B1],
            Type::F64 => &[Type::F64],
            _ => &[],
        };
        if !multiplicands.iter().any(|&t| has_shape(t, shape)) {
            return unknown();
        }
        let per_tile = 2 / packed;
        let mut places = vec![(0, 0); m / PANEL * (n / PANEL) * per_tile];
        for p in 0..m / PANEL {
            for q in 0..n / PANEL {
                for j in 0..per_tile {
                    places[tile_order(m, n)(p, q) * per_tile + j] = (PANEL * p, PANEL * q + j);
                }
            }
        }
        Ok(Geometry { count: places.len(), places, bits, packed, step: 2 })
    }

    /// Elements from one line (or, if lines lie across, from one position) to the next in a matrix of its own.
    fn length(&self, matrix: Matrix, shape: Shape, along: bool) -> usize {
        let (lines, positions) = match matrix {
            Matrix::A => (shape.m, shape.k),
            Matrix::B => (shape.n, shape.k),
            Matrix::Accumulator => (shape.m, shape.n),
        };
        if along { positions } else { lines }
    }
}

/// A register and its first element.
struct Place {
    row: u32,
    u0: usize,
    v0: usize,
}

struct Transfer {
    places: Vec<Place>,
    geometry: Geometry,
    base: AddressSlot,
    stride: Slot<u32>,
    /// Neighbours of a line are neighbours in memory.
    along: bool,
    space: Space,
}

impl Transfer {
    fn way(&self) -> Way {
        Way { space: self.space, strong: false }
    }

    /// Where each lane's element `j` of a register lies.
    #[inline(always)]
    fn addresses(&self, place: &Place, j: usize, base: &[u64; LANES], stride: &[u32; LANES]) -> [u64; LANES] {
        let mut out = [0; LANES];
        for lane in 0..LANES {
            let u = (place.u0 + lane / 4) as u64;
            let v = (place.v0 + lane % 4 * self.geometry.step + j) as u64;
            let stride = u64::from(stride[lane]);
            let element = if self.along { u * stride + v } else { v * stride + u };
            out[lane] = base[lane].wrapping_add(element.wrapping_mul(self.geometry.bits as u64) / 8);
        }
        out
    }

    /// Bytes of an access, and how many of them a register takes.
    fn accesses(&self) -> (usize, usize) {
        let bits = self.geometry.bits;
        if self.along { (bits.max(32) / 8, 1) } else { (bits / 8, self.geometry.packed) }
    }
}

struct Load(Transfer);

impl Body for Load {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        if !whole_warp(cx, mask)? {
            return Ok(());
        }
        let t = &self.0;
        let (base, stride) = (t.base.read(cx.registers), cx.registers.read(t.stride));
        let (bytes, count) = t.accesses();
        let own = t.geometry.places.len();
        for (n, place) in t.places.iter().enumerate().take(own) {
            let mut bits = [0u64; LANES];
            for j in 0..count {
                let addresses = t.addresses(place, j, &base, &stride);
                let values = match bytes {
                    1 => load::<1>(cx, t.way(), &addresses)?,
                    2 => load::<2>(cx, t.way(), &addresses)?,
                    4 => load::<4>(cx, t.way(), &addresses)?,
                    _ => load::<8>(cx, t.way(), &addresses)?,
                };
                for lane in 0..LANES {
                    bits[lane] |= values[lane] << (8 * bytes * j);
                }
            }
            if t.geometry.bits == 64 {
                cx.registers.write(Slot::new(place.row), &bits, Mask::MAX);
                continue;
            }
            let mut words = [0u32; LANES];
            for lane in 0..LANES {
                words[lane] = bits[lane] as u32;
            }
            for place in t.places.iter().skip(n).step_by(own) {
                cx.registers.write(Slot::new(place.row), &words, Mask::MAX);
            }
        }
        Ok(())
    }
}

struct Store(Transfer);

impl Body for Store {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        if !whole_warp(cx, mask)? {
            return Ok(());
        }
        let t = &self.0;
        let (base, stride) = (t.base.read(cx.registers), cx.registers.read(t.stride));
        let (bytes, count) = t.accesses();
        for place in &t.places {
            let mut bits = [0u64; LANES];
            if t.geometry.bits == 64 {
                bits = cx.registers.read(Slot::new(place.row));
            } else {
                let words: [u32; LANES] = cx.registers.read(Slot::new(place.row));
                for lane in 0..LANES {
                    bits[lane] = u64::from(words[lane]);
                }
            }
            for j in 0..count {
                let addresses = t.addresses(place, j, &base, &stride);
                let mut values = bits;
                for value in &mut values {
                    *value >>= 8 * bytes * j;
                }
                match bytes {
                    2 => store::<2>(cx, t.way(), &addresses, &values)?,
                    4 => store::<4>(cx, t.way(), &addresses, &values)?,
                    _ => store::<8>(cx, t.way(), &addresses, &values)?,
                }
            }
        }
        Ok(())
    }
}

fn load<const W: usize>(cx: &mut Cx<'_>, way: Way, addresses: &[u64; LANES]) -> Result<[u64; LANES], Stop> {
    let mut staged: Staged<W> = [[0; W]; LANES];
    cx.load(way, addresses, Mask::MAX, &mut staged)?;
    let mut out = [0; LANES];
    for lane in 0..LANES {
        let mut bytes = [0; 8];
        bytes[..W].copy_from_slice(&staged[lane]);
        out[lane] = u64::from_le_bytes(bytes);
    }
    Ok(out)
}

fn store<const W: usize>(
    cx: &mut Cx<'_>,
    way: Way,
    addresses: &[u64; LANES],
    values: &[u64; LANES],
) -> Result<(), Stop> {
    let mut staged: Staged<W> = [[0; W]; LANES];
    for lane in 0..LANES {
        staged[lane].copy_from_slice(&values[lane].to_le_bytes()[..W]);
    }
    cx.store(way, addresses, Mask::MAX, &staged)
}
