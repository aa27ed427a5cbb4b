//! Loads and stores: `ld ldu st`.

use super::memory_operand::{
    AddressSlot, Element, address, cache_hints, check_policy, elements, scope, space, vector,
};
use super::simd::{Body, compute};
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal};
use crate::fault::Stop;
use crate::memory::Way;
use crate::ptx::ast::Instruction;
use crate::ptx::types::{Space, Type};
use crate::state::cx::{Compute, Cx};
use crate::state::registers::{LANES, Mask};

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    match i.opcode.as_str() {
        "ld" | "ldu" => Some(load(i, cx)),
        "st" => Some(store(i, cx)),
        _ => None,
    }
}

/// How strong an access is, by the word in front of its scope.
enum Order {
    Weak,
    Strong { acquires: bool, releases: bool },
}

/// `.weak`, `.volatile`, `.relaxed.gpu`, `.acquire.cta`, `.release.sys`, `.mmio.relaxed.sys`.
fn order(m: &mut Modifiers<'_>) -> Lowering<Order> {
    m.flag("mmio");
    let strong = |acquires, releases| Order::Strong { acquires, releases };
    match m.peek() {
        Some("weak") => {
            m.word();
            Ok(Order::Weak)
        }
        Some("volatile") => {
            m.word();
            Ok(strong(false, false))
        }
        Some(word @ ("relaxed" | "acquire" | "release")) => {
            m.word();
            if !scope(m) {
                return Err(Refusal(format!(".{word} needs a scope")));
            }
            Ok(strong(word == "acquire", word == "release"))
        }
        _ => Ok(Order::Weak),
    }
}

/// The type, and how many values of it.
fn shape(m: &mut Modifiers<'_>) -> Lowering<(usize, Type)> {
    let count = vector(m);
    let ty = m.ty()?;
    let bytes = ty.bytes();
    if bytes == 0 || !bytes.is_power_of_two() || ty == Type::Pred || bytes * count > 32 {
        return Err(Refusal(format!("{count} values of {ty:?} cannot be accessed at once")));
    }
    Ok((count, ty))
}

fn load(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Lowered> {
    let mut m = Modifiers::new(i);
    let mut order = order(&mut m)?;
    let named = space(&mut m)?;
    // `ld.global.relaxed` and `ld.volatile.global` are both in use.
    if matches!(order, Order::Weak) {
        order = self::order(&mut m)?;
    }
    m.one_of(&[("ca", ()), ("cg", ()), ("cs", ()), ("lu", ()), ("cv", ()), ("nc", ())]);
    m.flag("nc");
    let policy = cache_hints(&mut m);
    let (count, ty) = shape(&mut m)?;
    m.finish()?;
    let (out, from, rest) = match i.operands.as_slice() {
        [out, from, rest @ ..] => (out, from, rest),
        operands => return Err(Refusal(format!("{} operands", operands.len()))),
    };
    match (policy, rest) {
        (false, []) => {}
        (true, [operand]) => check_policy(cx, operand)?,
        _ => return Err(Refusal(format!("{} operands", i.operands.len()))),
    }
    let (address, space) = address(cx, from, named)?;
    let mut outs = Vec::new();
    for operand in elements(out, count)? {
        outs.push(Element::destination(cx, operand, ty)?);
    }
    let (strong, acquires) = match order {
        Order::Weak => (false, false),
        Order::Strong { acquires, .. } => (true, acquires),
    };
    let way = Way { space, strong };
    let class = match space {
        Space::Generic | Space::Global => Class::LoadGlobal,
        Space::Shared => Class::LoadShared,
        Space::Local if named == Space::Param => Class::LoadParameter,
        Space::Local => Class::LoadLocal,
        Space::Const => Class::LoadConstant,
        Space::Param => Class::LoadParameter,
    };
    let outs = outs.into_boxed_slice();
    macro_rules! of_width {
        ($($w:literal),*) => {
            match ty.bytes() * count {
                $($w => compute(Load::<$w> { address, way, acquires, bytes: ty.bytes(), outs }),)*
                other => return Err(Refusal(format!("{other} bytes cannot be loaded at once"))),
            }
        };
    }
    let run: Compute = of_width!(1, 2, 4, 8, 16, 32);
    Ok(Lowered { run, class, macs: 0 })
}

struct Load<const W: usize> {
    address: AddressSlot,
    way: Way,
    acquires: bool,
    /// Of one value.
    bytes: usize,
    outs: Box<[Element]>,
}

impl<const W: usize> Body for Load<W> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let addresses = self.address.read(cx.registers);
        let mut staged = [[0; W]; LANES];
        if self.way.strong {
            cx.warp.polls += 1;
            if self.acquires {
                std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
                cx.block.memory.fence();
            }
        }
        cx.load(self.way, &addresses, mask, &mut staged)?;
        if self.acquires {
            std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
        }
        for (k, out) in self.outs.iter().enumerate() {
            out.unpack(cx, &staged, k * self.bytes, mask);
        }
        Ok(())
    }
}

fn store(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Lowered> {
    let mut m = Modifiers::new(i);
    let mut order = order(&mut m)?;
    let named = space(&mut m)?;
    if matches!(order, Order::Weak) {
        order = self::order(&mut m)?;
    }
    m.one_of(&[("wb", ()), ("cg", ()), ("cs", ()), ("wt", ())]);
    let policy = cache_hints(&mut m);
    let (count, ty) = shape(&mut m)?;
    m.finish()?;
    let (to, value, rest) = match i.operands.as_slice() {
        [to, value, rest @ ..] => (to, value, rest),
        operands => return Err(Refusal(format!("{} operands", operands.len()))),
    };
    match (policy, rest) {
        (false, []) => {}
        (true, [operand]) => check_policy(cx, operand)?,
        _ => return Err(Refusal(format!("{} operands", i.operands.len()))),
    }
    let (address, space) = address(cx, to, named)?;
    if space == Space::Const {
        return Err(Refusal("constant memory cannot be written".to_string()));
    }
    let mut values = Vec::new();
    for operand in elements(value, count)? {
        values.push(Element::source(cx, operand, ty)?);
    }
    let (strong, releases) = match order {
        Order::Weak => (false, false),
        Order::Strong { releases, .. } => (true, releases),
    };
    let way = Way { space, strong };
    let class = match space {
        Space::Shared => Class::StoreShared,
        Space::Local if named == Space::Param => Class::StoreParameter,
        Space::Local => Class::StoreLocal,
        Space::Param => Class::StoreParameter,
        _ => Class::StoreGlobal,
    };
    let values = values.into_boxed_slice();
    macro_rules! of_width {
        ($($w:literal),*) => {
            match ty.bytes() * count {
                $($w => compute(Store::<$w> { address, way, releases, bytes: ty.bytes(), values }),)*
                other => return Err(Refusal(format!("{other} bytes cannot be stored at once"))),
            }
        };
    }
    let run: Compute = of_width!(1, 2, 4, 8, 16, 32);
    Ok(Lowered { run, class, macs: 0 })
}

struct Store<const W: usize> {
    address: AddressSlot,
    way: Way,
    releases: bool,
    /// Of one value.
    bytes: usize,
    values: Box<[Element]>,
}

impl<const W: usize> Body for Store<W> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let addresses = self.address.read(cx.registers);
        let mut staged = [[0; W]; LANES];
        for (k, value) in self.values.iter().enumerate() {
            value.pack(cx.registers, &mut staged, k * self.bytes);
        }
        if self.releases {
            std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
            cx.block.memory.fence();
        }
        cx.store(self.way, &addresses, mask, &staged)
    }
}
