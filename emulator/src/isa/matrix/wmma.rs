//! `wmma.mma`: products of fragments that `wmma.load` has filled.

use super::accumulator::{Accumulator, Format};
use super::element::Element;
use super::fragment::{Multiplicand, PANEL, a_order, b_order, vector};
use super::mma::{Layout, layout, operands, rounding};
use super::multiply::{Operands, multiply};
use super::shape::Shape;
use super::{bits, double};
use crate::isa::rounding::Rounding;
use crate::isa::{Class, Lower, Lowered, Lowering, Modifiers, Refusal};
use crate::ptx::ast::Instruction;
use crate::ptx::types::Type;

/// Lowers `wmma.mma`, whose first modifier is taken.
pub fn lower(i: &Instruction, mut m: Modifiers<'_>, cx: &mut dyn Lower) -> Lowering<Lowered> {
    let operation = bits::operation(&mut m)?;
    if !m.flag("sync") || !m.flag("aligned") {
        return Err(Refusal("wmma.mma must be .sync.aligned".to_string()));
    }
    let layouts = [layout(&mut m)?, layout(&mut m)?];
    let shape = Shape::parse(m.word())?;
    let rounding = rounding(&mut m);
    // Of halves only the accumulators are named.
    let (first, second) = (m.ty()?, m.ty()?);
    let (d_type, a_type, b_type, c_type) = match m.peek().and_then(Type::parse) {
        None => (first, Type::F16, Type::F16, second),
        Some(third) => {
            m.word();
            (first, second, third, m.ty()?)
        }
    };
    let saturate = m.flag("satfinite");
    m.finish()?;

    let unknown = || {
        Err(Refusal(format!(
            "no wmma m{}n{}k{} of {a_type:?} and {b_type:?} from {c_type:?} to {d_type:?}",
            shape.m, shape.n, shape.k
        )))
    };
    if a_type != b_type || !has_shape(a_type, shape) || operation.is_some() != (a_type == Type::B1) {
        return unknown();
    }
    if rounding.is_some() && a_type != Type::F64 {
        return Err(Refusal("only doubles are rounded as one says".to_string()));
    }
    if !matches!(a_type, Type::S8 | Type::U8 | Type::S4 | Type::U4) && saturate {
        return Err(Refusal(".satfinite is for integers".to_string()));
    }
    if matches!(a_type, Type::S4 | Type::U4 | Type::B1) && layouts != [Layout::Row, Layout::Column] {
        return Err(Refusal("A must be .row and B .col".to_string()));
    }
    if let (Type::B1, Some(operation)) = (a_type, operation) {
        return match (d_type, c_type) {
            (Type::S32, Type::S32) => bits::lower(cx, shape, operation, operands(i)?),
            _ => unknown(),
        };
    }
    if a_type == Type::F64 {
        return match (d_type, c_type) {
            (Type::F64, Type::F64) => {
                double::lower(cx, shape, rounding.unwrap_or(Rounding::Nearest), operands(i)?)
            }
            _ => unknown(),
        };
    }
    let element = Element::of(a_type)?;
    let suits = |ty| match element {
        Element::F16 => matches!(ty, Type::F16 | Type::F32),
        Element::Bf16 | Element::Tf32 => ty == Type::F32,
        _ => ty == Type::S32,
    };
    if !suits(d_type) || !suits(c_type) {
        return unknown();
    }
    let [d, a, b, c] = operands(i)?;
    let (m, n, k) = shape.mnk();
    let groups = k / (4 * element.per_word());
    let (a_panels, b_panels) = (m / PANEL, n / PANEL);
    let a = vector(a, registers(element, a_panels * groups))?;
    let b = vector(b, registers(element, b_panels * groups))?;
    let accumulator = |cx: &mut dyn Lower, operand, ty, writes| {
        let format = Format::of(ty)?;
        let registers = vector(operand, a_panels * b_panels * format.per_tile())?;
        Accumulator::new(cx, registers, format, (m, n), writes)
    };
    let run = multiply(Operands {
        a: Multiplicand::new(cx, a, element, (a_panels, groups), a_order(m, groups))?,
        b: Multiplicand::new(cx, b, element, (b_panels, groups), b_order(groups))?,
        c: accumulator(cx, c, c_type, false)?,
        d: accumulator(cx, d, d_type, true)?,
        m,
        n,
        k,
        saturate,
        metadata: None,
    })?;
    Ok(Lowered { run, class: Class::Matrix, macs: shape.macs() })
}

/// Registers of a fragment that needs so many: of halves always eight.
pub fn registers(element: Element, needed: usize) -> usize {
    if element == Element::F16 { 8 } else { needed }
}

/// Whether there are fragments of a shape for elements of A and B.
pub fn has_shape(ty: Type, shape: Shape) -> bool {
    let shapes: &[(usize, usize, usize)] = match ty {
        Type::F16 | Type::Bf16 | Type::S8 | Type::U8 => &[(16, 16, 16), (8, 32, 16), (32, 8, 16)],
        Type::Tf32 => &[(16, 16, 8)],
        Type::F64 => &[(8, 8, 4)],
        Type::S4 | Type::U4 => &[(8, 8, 32)],
        Type::B1 => &[(8, 8, 128)],
        _ => &[],
    };
    shapes.contains(&shape.mnk())
}
