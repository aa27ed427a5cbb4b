//! `mma.sync` and `mma.sp.sync`: what is written, and which product that is.

use super::accumulator::{Accumulator, Format};
use super::element::Element;
use super::fragment::{Multiplicand, PANEL, a_order, b_order, vector};
use super::multiply::{Operands, multiply};
use super::shape::Shape;
use super::sparse::Metadata;
use super::{bits, double, quads};
use crate::isa::rounding::Rounding;
use crate::isa::{Class, Lower, Lowered, Lowering, Modifiers, Refusal};
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Type;

/// How `.sp` is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sparsity {
    Any,
    Ordered,
}

/// Lowers `mma`.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Lowered> {
    let mut m = Modifiers::new(i);
    let sparsity = m.one_of(&[("sp", Sparsity::Any), ("sp::ordered_metadata", Sparsity::Ordered)]);
    if !m.flag("sync") || !m.flag("aligned") {
        return Err(Refusal("mma must be .sync.aligned".to_string()));
    }
    let shape = Shape::parse(m.word())?;
    let layouts = [layout(&mut m)?, layout(&mut m)?];
    let saturate = m.flag("satfinite");
    let rounding = rounding(&mut m);
    let [d_type, a_type, b_type, c_type] = [m.ty()?, m.ty()?, m.ty()?, m.ty()?];
    let operation = bits::operation(&mut m)?;
    m.finish()?;

    let types = (d_type, a_type, b_type, c_type);
    let unknown = || {
        Err(Refusal(format!(
            "no matrix multiplication m{}n{}k{} of {a_type:?} and {b_type:?} from {c_type:?} to {d_type:?}",
            shape.m, shape.n, shape.k
        )))
    };
    let old = shape.mnk() == (8, 8, 4) && a_type == Type::F16 && b_type == Type::F16;
    if layouts != [Layout::Row, Layout::Column] && !old {
        return Err(Refusal("A must be .row and B .col".to_string()));
    }
    if rounding.is_some() && a_type != Type::F64 || operation.is_some() != (a_type == Type::B1) {
        return unknown();
    }
    let element = Element::of(a_type);
    if saturate && !element.as_ref().is_ok_and(|e| e.is_integer()) {
        return Err(Refusal(".satfinite is for integers".to_string()));
    }
    if sparsity.is_none() {
        match (types, shape.mnk()) {
            ((_, Type::F16, Type::F16, _), (8, 8, 4)) => {
                let [d, a, b, c] = operands(i)?;
                return quads::lower(cx, layouts, (d_type, c_type), [d, a, b, c]);
            }
            ((Type::F64, Type::F64, Type::F64, Type::F64), (8, 8, 4) | (16, 8, 4 | 8 | 16)) => {
                return double::lower(cx, shape, rounding.unwrap_or(Rounding::Nearest), operands(i)?);
            }
            ((Type::S32, Type::B1, Type::B1, Type::S32), (8, 8, 128) | (16, 8, 128 | 256)) => {
                let operation = operation.ok_or_else(|| Refusal("b1 needs .xor or .and".to_string()))?;
                return bits::lower(cx, shape, operation, operands(i)?);
            }
            _ => {}
        }
    }
    let (a, b) = (element?, Element::of(b_type)?);
    if !accumulates(a, d_type, c_type) || !together(a, b) || !has_shape(a, shape, sparsity.is_some()) {
        return unknown();
    }
    let run = multiply(of_mma(cx, i, shape, (a, b), Format::of(d_type)?, saturate, sparsity)?)?;
    let macs = shape.macs() / if sparsity.is_some() { 2 } else { 1 };
    Ok(Lowered { run, class: Class::Matrix, macs })
}

/// Row-major or column-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Row,
    Column,
}

/// `.row` or `.col`.
pub fn layout(m: &mut Modifiers) -> Lowering<Layout> {
    m.one_of(&[("row", Layout::Row), ("col", Layout::Column)])
        .ok_or_else(|| Refusal("a layout, .row or .col, is missing".to_string()))
}

/// `.rn`, `.rz`, `.rm` or `.rp`, if that comes next.
pub fn rounding(m: &mut Modifiers) -> Option<Rounding> {
    use Rounding::*;
    m.one_of(&[("rn", Nearest), ("rz", Zero), ("rm", Down), ("rp", Up)])
}

/// D, A, B and C.
pub fn operands(i: &Instruction) -> Lowering<[&Operand; 4]> {
    match &i.operands[..] {
        [d, a, b, c] => Ok([d, a, b, c]),
        all => Err(Refusal(format!("{} operands instead of D, A, B and C", all.len()))),
    }
}

/// Whether an accumulator suits an element; D and C must be of one type.
pub fn accumulates(element: Element, d: Type, c: Type) -> bool {
    let suits = match element {
        Element::F16 | Element::E4m3 | Element::E5m2 => matches!(d, Type::F16 | Type::F32),
        Element::Bf16 | Element::Tf32 => d == Type::F32,
        _ => d == Type::S32,
    };
    suits && d == c
}

/// Whether an A and a B go together: bytes with bytes of any sign, and so on; other types only with themselves.
fn together(a: Element, b: Element) -> bool {
    let fp8 = |e| matches!(e, Element::E4m3 | Element::E5m2);
    a == b || a.is_integer() && b.is_integer() && a.per_word() == b.per_word() || fp8(a) && fp8(b)
}

fn has_shape(element: Element, shape: Shape, sparse: bool) -> bool {
    let depths: &[usize] = match (element, shape.m, sparse) {
        (Element::F16 | Element::Bf16, 16, false) => &[8, 16],
        (Element::F16 | Element::Bf16, 16, true) => &[16, 32],
        (Element::Tf32, 16, false) => &[4, 8],
        (Element::Tf32, 16, true) => &[8, 16],
        (Element::E4m3 | Element::E5m2, 16, false) => &[16, 32],
        (Element::E4m3 | Element::E5m2, 16, true) => &[64],
        (Element::S8 | Element::U8, 8, false) => &[16],
        (Element::S8 | Element::U8, 16, false) => &[16, 32],
        (Element::S8 | Element::U8, 16, true) => &[32, 64],
        (Element::S4 | Element::U4, 8, false) => &[32],
        (Element::S4 | Element::U4, 16, false) => &[32, 64],
        (Element::S4 | Element::U4, 16, true) => &[64, 128],
        _ => &[],
    };
    shape.n == PANEL && depths.contains(&shape.k)
}

fn of_mma(
    cx: &mut dyn Lower,
    i: &Instruction,
    shape: Shape,
    (a_element, b_element): (Element, Element),
    format: Format,
    saturate: bool,
    sparsity: Option<Sparsity>,
) -> Lowering<Operands> {
    let (m, n, k) = shape.mnk();
    let (d, a, b, c, metadata) = match (&i.operands[..], sparsity) {
        ([d, a, b, c], None) => (d, a, b, c, None),
        ([d, a, b, c, e, f], Some(sparsity)) => {
            let ordered = sparsity == Sparsity::Ordered;
            (d, a, b, c, Some(Metadata::new(cx, (e, f), a_element, k, ordered)?))
        }
        (all, _) => return Err(Refusal(format!("{} operands", all.len()))),
    };
    let groups = k / (4 * a_element.per_word());
    let a_groups = if metadata.is_some() { groups / 2 } else { groups };
    let panels = m / PANEL;
    let a = vector(a, panels * a_groups)?;
    let a = Multiplicand::new(cx, a, a_element, (panels, a_groups), a_order(m, a_groups))?;
    let b = Multiplicand::new(cx, vector(b, groups)?, b_element, (1, groups), b_order(groups))?;
    let count = panels * format.per_tile();
    let c = Accumulator::new(cx, vector(c, count)?, format, (m, n), false)?;
    let d = Accumulator::new(cx, vector(d, count)?, format, (m, n), true)?;
    Ok(Operands { a, b, c, d, m, n, saturate, k, metadata })
}
