//! What instructions on memory have in common: addresses, spaces, vectors of registers, and hints about caches.

use super::{Lower, Lowering, Modifiers, Refusal, source};
use crate::memory::Staged;
use crate::ptx::ast::{Base, Operand, Symbol};
use crate::ptx::types::{Space, Type};
use crate::state::cx::Cx;
use crate::state::registers::{LANES, Mask, Registers, Slot};

/// An address in a row, plus a distance.
#[derive(Clone, Copy)]
pub struct AddressSlot {
    row: u32,
    /// 64 bits, not 32.
    wide: bool,
    offset: i64,
}

impl AddressSlot {
    /// The addresses of all lanes.
    #[inline(always)]
    pub fn read(&self, registers: &Registers) -> [u64; LANES] {
        let mut out = [0; LANES];
        if self.wide {
            let row = registers.read(Slot::<u64>::new(self.row));
            for i in 0..LANES {
                out[i] = row[i].wrapping_add_signed(self.offset);
            }
        } else {
            let row = registers.read(Slot::<u32>::new(self.row));
            for i in 0..LANES {
                out[i] = u64::from(row[i].wrapping_add(self.offset as u32));
            }
        }
        out
    }
}

/// The state space that an instruction names, if any; `::cta`, `::entry` and `::func` are what is meant anyway.
pub fn space(m: &mut Modifiers<'_>) -> Lowering<Space> {
    if matches!(m.peek(), Some("shared::cluster")) {
        // A cluster is one block here, so that its shared memory is the block's.
        m.word();
        return Ok(Space::Shared);
    }
    Ok(m.one_of(&[
        ("global", Space::Global),
        ("shared", Space::Shared),
        ("shared::cta", Space::Shared),
        ("const", Space::Const),
        ("local", Space::Local),
        ("param", Space::Param),
        ("param::entry", Space::Param),
        ("param::func", Space::Param),
    ])
    .unwrap_or(Space::Generic))
}

/// The address operand of an instruction on a space, and the space that is really meant: `.param` of functions is local
/// memory, and a variable that is named without its space is still in it.
pub fn address(cx: &mut dyn Lower, operand: &Operand, space: Space) -> Lowering<(AddressSlot, Space)> {
    let (base, offset) = match operand {
        Operand::Address { base, offset } => (base.clone(), *offset),
        Operand::Register(r) => (Base::Register(*r), 0),
        Operand::Symbol { symbol, offset } => (Base::Symbol(symbol.clone()), *offset),
        other => return Err(Refusal(format!("{other:?} is not an address"))),
    };
    match base {
        Base::Register(r) => {
            let wide = match cx.body().registers.get(r).map(|info| info.ty.bits()) {
                Some(64) => true,
                Some(32) => false,
                _ => return Err(Refusal("an address has 32 or 64 bits".to_string())),
            };
            let row = cx.register(r)?;
            let space = if space == Space::Param { parameter_space(cx) } else { space };
            Ok((AddressSlot { row, wide, offset }, space))
        }
        Base::Symbol(symbol) => {
            let (start, found) = cx.symbol(&symbol)?;
            let fits =
                space == found || space == Space::Generic || (space, found) == (Space::Param, Space::Local);
            if !fits {
                return Err(Refusal(format!(
                    "a variable in {} memory, where one in {} memory is meant",
                    found.name(),
                    space.name()
                )));
            }
            Ok((AddressSlot { row: cx.address(start, offset, 2), wide: true, offset: 0 }, found))
        }
        Base::Zero => {
            let row = cx.constant(u128::from(offset as u64), 2);
            Ok((AddressSlot { row, wide: true, offset: 0 }, space))
        }
    }
}

/// Where parameters lie that are addressed through registers: those of functions are in their local frame.
fn parameter_space(cx: &mut dyn Lower) -> Space {
    match cx.symbol(&Symbol::Parameter(0)) {
        Ok((_, space)) => space,
        Err(_) => Space::Local,
    }
}

/// Takes modifiers that say how caches should be used; they change nothing here. Whether a cache policy is an operand.
pub fn cache_hints(m: &mut Modifiers<'_>) -> bool {
    let mut policy = false;
    while let Some(word) = m.peek() {
        let eviction = ["L1::", "L2::"].iter().find_map(|level| word.strip_prefix(level));
        match eviction {
            Some("cache_hint") => policy = true,
            Some(
                "evict_normal" | "evict_unchanged" | "evict_first" | "evict_last" | "no_allocate" | "64B"
                | "128B" | "256B",
            ) => {}
            _ => break,
        }
        m.word();
    }
    policy
}

/// Takes a scope, if one stands there.
pub fn scope(m: &mut Modifiers<'_>) -> bool {
    m.one_of(&[("cta", ()), ("cluster", ()), ("gpu", ()), ("sys", ())]).is_some()
}

/// `.v2`, `.v4`, `.v8`, or one value.
pub fn vector(m: &mut Modifiers<'_>) -> usize {
    m.one_of(&[("v2", 2), ("v4", 4), ("v8", 8)]).unwrap_or(1)
}

/// The operands of a vector; one value is a vector of one.
pub fn elements(operand: &Operand, count: usize) -> Lowering<Vec<&Operand>> {
    let all: Vec<&Operand> = match operand {
        Operand::Vector(all) => all.iter().collect(),
        one => vec![one],
    };
    if all.len() != count {
        return Err(Refusal(format!("{} values where {count} should stand", all.len())));
    }
    Ok(all)
}

/// A cache policy is a value of 64 bits.
pub fn check_policy(cx: &mut dyn Lower, operand: &Operand) -> Lowering<()> {
    source::<u64>(cx, operand).map(|_| ())
}

/// A value of memory in a register: which bytes, and how they fill it.
#[derive(Clone, Copy)]
pub struct Element {
    row: u32,
    /// Rows of the register: 1, 2 or 4.
    rows: usize,
    /// Bits of the register.
    bits: u32,
    /// Bytes in memory.
    bytes: usize,
    signed: bool,
    /// `_`: the value is not wanted.
    ignored: bool,
}

impl Element {
    /// A register that is loaded into. It may be wider than the value, which is extended then.
    pub fn destination(cx: &mut dyn Lower, operand: &Operand, ty: Type) -> Lowering<Element> {
        let Operand::Register(r) = operand else {
            if *operand == Operand::Sink {
                let (bytes, signed) = (ty.bytes(), false);
                return Ok(Element { row: 0, rows: 1, bits: 32, bytes, signed, ignored: true });
            }
            return Err(Refusal(format!("{operand:?} is not a register to write")));
        };
        let bits = Self::register_bits(cx, *r, ty)?;
        Ok(Element {
            row: cx.register(*r)?,
            rows: bits.div_ceil(32) as usize,
            bits,
            bytes: ty.bytes(),
            signed: ty.is_signed(),
            ignored: false,
        })
    }

    /// A value that is stored: of a register, which may be wider, the low bytes.
    pub fn source(cx: &mut dyn Lower, operand: &Operand, ty: Type) -> Lowering<Element> {
        if let Operand::Register(r) = operand {
            let bits = Self::register_bits(cx, *r, ty)?;
            let (row, rows) = (cx.register(*r)?, bits.div_ceil(32) as usize);
            return Ok(Element { row, rows, bits, bytes: ty.bytes(), signed: false, ignored: false });
        }
        let row = match ty.bytes() {
            16 => source::<u128>(cx, operand)?.row,
            8 => source::<u64>(cx, operand)?.row,
            _ => source::<u32>(cx, operand)?.row,
        };
        let rows = (ty.bytes() / 4).max(1);
        Ok(Element { row, rows, bits: 32 * rows as u32, bytes: ty.bytes(), signed: false, ignored: false })
    }

    fn register_bits(cx: &mut dyn Lower, register: usize, ty: Type) -> Lowering<u32> {
        let Some(info) = cx.body().registers.get(register) else {
            return Err(Refusal("a register that does not exist".to_string()));
        };
        let bits = info.ty.bits();
        let is_float = matches!(ty, Type::F32 | Type::F64);
        if info.ty == Type::Pred || bits < ty.bits() || is_float && bits != ty.bits() {
            return Err(Refusal(format!("register {} of type {:?} for {ty:?}", info.name, info.ty)));
        }
        Ok(bits)
    }

    /// Moves the value at `start` of what each lane has loaded into its register.
    #[inline(always)]
    pub fn unpack<const W: usize>(&self, cx: &mut Cx<'_>, staged: &Staged<W>, start: usize, mask: Mask) {
        if self.ignored {
            return;
        }
        if self.bytes == 4 && self.rows == 1 {
            let mut out = [0u32; LANES];
            for i in 0..LANES {
                out[i] = u32::from_le_bytes(take(&staged[i], start));
            }
            cx.registers.write(Slot::new(self.row), &out, mask);
        } else if self.bytes == 8 && self.rows == 2 {
            let mut out = [0u64; LANES];
            for i in 0..LANES {
                out[i] = u64::from_le_bytes(take(&staged[i], start));
            }
            cx.registers.write(Slot::new(self.row), &out, mask);
        } else if self.bytes <= 8 && self.rows <= 2 {
            let mut out = match self.bytes {
                1 => widen::<W, 1>(staged, start, self.signed),
                2 => widen::<W, 2>(staged, start, self.signed),
                4 => widen::<W, 4>(staged, start, self.signed),
                _ => widen::<W, 8>(staged, start, self.signed),
            };
            if self.rows == 2 {
                cx.registers.write(Slot::new(self.row), &out, mask);
                return;
            }
            let mut low = [0u32; LANES];
            for i in 0..LANES {
                out[i] &= u64::MAX >> (64 - self.bits);
                low[i] = out[i] as u32;
            }
            cx.registers.write(Slot::new(self.row), &low, mask);
        } else {
            let mut out = [0u128; LANES];
            let unused = 128 - 8 * self.bytes as u32;
            for i in 0..LANES {
                let mut bytes = [0; 16];
                bytes[..self.bytes].copy_from_slice(&staged[i][start..start + self.bytes]);
                let value = u128::from_le_bytes(bytes);
                let extended = ((value << unused) as i128 >> unused) as u128;
                out[i] = if self.signed { extended } else { value };
            }
            cx.registers.write(Slot::new(self.row), &out, mask);
        }
    }

    /// Moves the low bytes of the register to `start` of what each lane is to store.
    #[inline(always)]
    pub fn pack<const W: usize>(&self, registers: &Registers, staged: &mut Staged<W>, start: usize) {
        if self.rows == 1 {
            let value = registers.read(Slot::<u32>::new(self.row));
            for i in 0..LANES {
                let bytes = value[i].to_le_bytes();
                match self.bytes {
                    1 => put(&mut staged[i], start, [bytes[0]]),
                    2 => put(&mut staged[i], start, [bytes[0], bytes[1]]),
                    _ => put(&mut staged[i], start, bytes),
                }
            }
        } else if self.rows == 2 {
            let value = registers.read(Slot::<u64>::new(self.row));
            for i in 0..LANES {
                let bytes = value[i].to_le_bytes();
                match self.bytes {
                    8 => put(&mut staged[i], start, bytes),
                    n => staged[i][start..start + n].copy_from_slice(&bytes[..n]),
                }
            }
        } else {
            let value = registers.read(Slot::<u128>::new(self.row));
            for i in 0..LANES {
                let bytes = &value[i].to_le_bytes()[..self.bytes];
                staged[i][start..start + self.bytes].copy_from_slice(bytes);
            }
        }
    }
}

/// The values of `N` bytes at `start`, as 64 bits.
#[inline(always)]
fn widen<const W: usize, const N: usize>(staged: &Staged<W>, start: usize, signed: bool) -> [u64; LANES] {
    let mut out = [0; LANES];
    let unused = 64 - 8 * N as u32;
    for i in 0..LANES {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(&staged[i][start..start + N]);
        let value = u64::from_le_bytes(bytes);
        let extended = ((value << unused) as i64 >> unused) as u64;
        out[i] = if signed { extended } else { value };
    }
    out
}

#[inline(always)]
fn take<const W: usize, const N: usize>(bytes: &[u8; W], start: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[start..start + N]);
    out
}

#[inline(always)]
fn put<const W: usize, const N: usize>(bytes: &mut [u8; W], start: usize, value: [u8; N]) {
    bytes[start..start + N].copy_from_slice(&value);
}
