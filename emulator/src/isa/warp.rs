//! Collectives of a warp: `shfl.sync vote.sync match.sync redux.sync activemask`.
//!
//! `exec` runs them when all lanes of the member mask that have not exited stand at the instruction, or when those that
//! are missing can never come. Lanes that come together with different member masks are different groups.

use super::integer::{operands, wrong_type};
use super::logic::{Truth, written_predicate};
use super::simd::{Body, compute, mask_of};
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination, source};
use crate::fault::{FaultKind, Stop};
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Type;
use crate::state::cx::{Compute, Cx};
use crate::state::registers::{LANES, Lane, Mask, PredicateSlot, Slot};

/// Lowers what is this family's.
pub fn lower(i: &Instruction, cx: &mut dyn Lower) -> Option<Lowering<Lowered>> {
    let (run, class) = match i.opcode.as_str() {
        "shfl" => (shuffle(i, cx), Class::Shuffle),
        "vote" => (vote(i, cx), Class::Vote),
        "match" => (matching(i, cx), Class::Vote),
        "redux" => (reduce(i, cx), Class::Vote),
        "activemask" => (active_mask(i, cx), Class::Vote),
        "elect" => (Err(Refusal("elect.sync is for sm_90 and above".to_string())), Class::Vote),
        _ => return None,
    };
    Some(run.map(|run| Lowered { run, class, macs: 0 }))
}

fn require_sync(m: &mut Modifiers) -> Lowering<()> {
    if m.flag("sync") {
        return Ok(());
    }
    Err(Refusal("the form without .sync is not for sm_70 and above".to_string()))
}

/// Runs `each` for every group of lanes with the same member mask, after checking it. The lanes it gets are those that
/// are named and have come.
#[inline(always)]
fn for_groups(
    cx: &mut Cx<'_>,
    members: Slot<u32>,
    mask: Mask,
    mut each: impl FnMut(&mut Cx<'_>, Mask) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let masks = cx.registers.read(members);
    let mut rest = mask;
    while rest != 0 {
        let named = masks[rest.trailing_zeros() as usize & 31];
        let mut same = [false; LANES];
        for lane in 0..LANES {
            same[lane] = masks[lane] == named;
        }
        let group = mask_of(&same) & rest;
        rest &= !group;
        for lane in lanes(group & !named) {
            let detail =
                format!("the member mask {named:#010x} does not name lane {lane}, which executes this");
            cx.report(FaultKind::InactiveLane, lane, None, detail)?;
        }
        let missing = named & cx.warp.live & !group;
        if missing != 0 {
            let detail =
                format!("lanes {missing:#010x} of the member mask {named:#010x} do not execute this with it");
            cx.report(FaultKind::InactiveLane, group.trailing_zeros() as usize, None, detail)?;
        }
        if group & named != 0 {
            each(cx, group & named)?;
        }
    }
    Ok(())
}

/// The lanes of a mask.
fn lanes(mask: Mask) -> impl Iterator<Item = usize> {
    (0..LANES).filter(move |&lane| mask & 1 << lane != 0)
}

/// `d|p` or `d`; either may be `_`.
fn pair(cx: &mut dyn Lower, d: &Operand) -> Lowering<(Option<Slot<u32>>, Option<PredicateSlot>)> {
    let (d, p) = match d {
        Operand::Pair(d, p) => (&**d, Some(&**p)),
        _ => (d, None),
    };
    let d = match d {
        Operand::Sink => None,
        _ => Some(destination(cx, d)?),
    };
    let p = match p {
        None | Some(Operand::Sink) => None,
        Some(p) => Some(written_predicate(cx, p)?),
    };
    Ok((d, p))
}

fn shuffle(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    require_sync(&mut m)?;
    let mode = m
        .word_of(&["up", "down", "bfly", "idx"])
        .ok_or_else(|| Refusal(".up, .down, .bfly or .idx is missing".to_string()))?;
    let ty = m.ty()?;
    m.finish()?;
    if ty.bits() != 32 {
        return Err(wrong_type(ty));
    }
    let [d, a, b, c, members] = operands(i)?;
    let (d, p) = pair(cx, d)?;
    let o = ShuffleOperands {
        d,
        p,
        a: source(cx, a)?,
        b: source(cx, b)?,
        c: source(cx, c)?,
        members: source(cx, members)?,
    };
    match mode {
        "up" => Ok(compute(Shuffle { o, op: |r: Reader| (r.lane - r.b, r.lane - r.b >= r.limit) })),
        "down" => Ok(compute(Shuffle { o, op: |r: Reader| (r.lane + r.b, r.lane + r.b <= r.limit) })),
        "bfly" => Ok(compute(Shuffle { o, op: |r: Reader| (r.lane ^ r.b, r.lane ^ r.b <= r.limit) })),
        _ => Ok(compute(Shuffle {
            o,
            op: |r: Reader| {
                let source = r.lane & r.segment | r.b & !r.segment;
                (source, source <= r.limit)
            },
        })),
    }
}

struct ShuffleOperands {
    d: Option<Slot<u32>>,
    p: Option<PredicateSlot>,
    a: Slot<u32>,
    b: Slot<u32>,
    c: Slot<u32>,
    members: Slot<u32>,
}

/// A lane that reads another.
#[derive(Clone, Copy)]
struct Reader {
    lane: i32,
    /// The lane that it names, or how far away it is.
    b: i32,
    /// The bits of a lane number that tell segments apart.
    segment: i32,
    /// The last (`up`: the first) lane of its segment that may be read.
    limit: i32,
}

/// `op` gives the lane that is read, and whether it is in range.
struct Shuffle<F> {
    o: ShuffleOperands,
    op: F,
}

impl<F: Fn(Reader) -> (i32, bool) + Send + Sync + 'static> Body for Shuffle<F> {
    #[inline(always)]
    fn run(&self, cx: &mut Cx<'_>, mask: Mask) -> Result<(), Stop> {
        let o = &self.o;
        let (a, b, c) = (cx.registers.read(o.a), cx.registers.read(o.b), cx.registers.read(o.c));
        let (mut from, mut valid) = ([0; LANES], [false; LANES]);
        for i in 0..LANES {
            let (lane, segment) = (i as i32, (c[i] >> 8 & 31) as i32);
            let limit = lane & segment | (c[i] & 31) as i32 & !segment;
            let source;
            (source, valid[i]) = (self.op)(Reader { lane, b: (b[i] & 31) as i32, segment, limit });
            from[i] = if valid[i] { source & 31 } else { lane };
        }
        let valid = mask_of(&valid);
        let mut value = [0; LANES];
        for i in 0..LANES {
            value[i] = a[from[i] as usize & 31];
        }
        for_groups(cx, o.members, mask, |cx, group| {
            let mut present = [false; LANES];
            for i in 0..LANES {
                present[i] = group >> (from[i] & 31) & 1 != 0;
            }
            let absent = group & valid & !mask_of(&present);
            if absent != 0 {
                for lane in lanes(absent) {
                    value[lane] = 0;
                    let detail = format!("lane {lane} reads lane {}, which does not take part", from[lane]);
                    cx.report(FaultKind::InactiveLane, lane, None, detail)?;
                }
            }
            if let Some(d) = o.d {
                cx.registers.write(d, &value, group);
            }
            if let Some(p) = o.p {
                cx.registers.set_predicate(p, valid, group);
            }
            Ok(())
        })
    }
}

#[derive(Clone, Copy)]
enum Vote {
    All,
    Any,
    Uniform,
}

fn vote(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    require_sync(&mut m)?;
    let ballot = m.flag("ballot");
    let mode = m.one_of(&[("all", Vote::All), ("any", Vote::Any), ("uni", Vote::Uniform)]);
    let ty = m.ty()?;
    m.finish()?;
    let [d, a, members] = operands(i)?;
    let (a, members) = (Truth::lower(cx, a)?, source::<u32>(cx, members)?);
    match (ballot, mode, ty) {
        (true, None, Type::B32) => {
            let d = destination::<u32>(cx, d)?;
            Ok(Box::new(move |cx, mask| {
                for_groups(cx, members, mask, |cx, group| {
                    let ballot = a.read(cx) & group;
                    cx.registers.write(d, &[ballot; LANES], group);
                    Ok(())
                })
            }))
        }
        (false, Some(mode), Type::Pred) => {
            let d = written_predicate(cx, d)?;
            Ok(Box::new(move |cx, mask| {
                for_groups(cx, members, mask, |cx, group| {
                    let ballot = a.read(cx) & group;
                    let outcome = match mode {
                        Vote::All => ballot == group,
                        Vote::Any => ballot != 0,
                        Vote::Uniform => ballot == 0 || ballot == group,
                    };
                    cx.registers.set_predicate(d, Mask::from(outcome).wrapping_neg(), group);
                    Ok(())
                })
            }))
        }
        _ => Err(Refusal("vote has .all.pred, .any.pred, .uni.pred and .ballot.b32".to_string())),
    }
}

fn matching(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    require_sync(&mut m)?;
    let all = m.one_of(&[("all", true), ("any", false)]);
    let all = all.ok_or_else(|| Refusal(".all or .any is missing".to_string()))?;
    let ty = m.ty()?;
    m.finish()?;
    match ty {
        Type::B32 => match_values::<u32>(i, cx, all),
        Type::B64 => match_values::<u64>(i, cx, all),
        _ => Err(wrong_type(ty)),
    }
}

fn match_values<T: Lane + PartialEq>(i: &Instruction, cx: &mut dyn Lower, all: bool) -> Lowering<Compute> {
    let [d, a, members] = operands(i)?;
    if !all && matches!(d, Operand::Pair(..)) {
        return Err(Refusal("only match.all has a predicate".to_string()));
    }
    let (d, p) = pair(cx, d)?;
    let (a, members) = (source::<T>(cx, a)?, source::<u32>(cx, members)?);
    Ok(Box::new(move |cx, mask| {
        for_groups(cx, members, mask, |cx, group| {
            let a = cx.registers.read(a);
            let mut same = [0; LANES];
            for lane in lanes(group) {
                for other in lanes(group) {
                    same[lane] |= Mask::from(a[other] == a[lane]) << other;
                }
                if all && same[lane] != group {
                    same[lane] = 0;
                }
            }
            if let Some(d) = d {
                cx.registers.write(d, &same, group);
            }
            if let Some(p) = p {
                let agree = same[group.trailing_zeros() as usize & 31] != 0;
                cx.registers.set_predicate(p, Mask::from(agree).wrapping_neg(), group);
            }
            Ok(())
        })
    }))
}

fn reduce(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    require_sync(&mut m)?;
    let ty = m.ty()?;
    let operation = m.word().unwrap_or_default();
    m.finish()?;
    if cx.target() < 80 {
        return Err(Refusal("redux.sync is for sm_80 and above".to_string()));
    }
    let operation: fn(u32, u32) -> u32 = match (operation, ty) {
        ("add", Type::U32 | Type::S32) => u32::wrapping_add,
        ("min", Type::U32) => u32::min,
        ("max", Type::U32) => u32::max,
        ("min", Type::S32) => |a, b| (a as i32).min(b as i32) as u32,
        ("max", Type::S32) => |a, b| (a as i32).max(b as i32) as u32,
        ("and", Type::B32) => |a, b| a & b,
        ("or", Type::B32) => |a, b| a | b,
        ("xor", Type::B32) => |a, b| a ^ b,
        (_, Type::F32) => return Err(Refusal("redux.sync of .f32 is for sm_100a".to_string())),
        (word, _) => return Err(Refusal(format!("redux.sync has no .{word} for type {ty:?}"))),
    };
    let [d, a, members] = operands(i)?;
    let (d, a) = (destination::<u32>(cx, d)?, source::<u32>(cx, a)?);
    let members = source::<u32>(cx, members)?;
    Ok(Box::new(move |cx, mask| {
        for_groups(cx, members, mask, |cx, group| {
            let a = cx.registers.read(a);
            let value = lanes(group).map(|lane| a[lane]).reduce(operation).unwrap_or_default();
            cx.registers.write(d, &[value; LANES], group);
            Ok(())
        })
    }))
}

fn active_mask(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    let ty = m.ty()?;
    m.finish()?;
    if ty != Type::B32 {
        return Err(wrong_type(ty));
    }
    let [d] = operands(i)?;
    let d = destination::<u32>(cx, d)?;
    Ok(Box::new(move |cx, mask| {
        cx.registers.write(d, &[mask; LANES], mask);
        Ok(())
    }))
}
