//! Collectives of a warp: `shfl.sync vote.sync match.sync redux.sync activemask`.
//!
//! `exec` runs them when all lanes of the member mask that have not exited stand at the instruction, or when those that
//! are missing can never come. Lanes that come together with different member masks are different groups.

use super::integer::{operands, wrong_type};
use super::logic::{Truth, written_predicate};
use super::{Class, Lower, Lowered, Lowering, Modifiers, Refusal, destination, source};
use crate::exec::cx::{Compute, Cx};
use crate::exec::registers::{LANES, Lane, Mask, PredicateSlot, Slot};
use crate::fault::{FaultKind, Stop};
use crate::ptx::ast::{Instruction, Operand};
use crate::ptx::types::Type;

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
fn for_groups(
    cx: &mut Cx<'_>,
    members: Slot<u32>,
    mask: Mask,
    mut each: impl FnMut(&mut Cx<'_>, Mask) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let masks = cx.registers.read(members);
    let mut rest = mask;
    while rest != 0 {
        let named = masks[rest.trailing_zeros() as usize];
        let mut group = 0;
        for lane in lanes(rest) {
            if masks[lane] == named {
                group |= 1 << lane;
            }
        }
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

/// How a lane finds the lane that it reads.
#[derive(Clone, Copy)]
enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

impl Shuffle {
    /// The lane that `lane` reads, or `None` if it is out of range.
    #[inline(always)]
    fn source(self, lane: usize, b: u32, c: u32) -> Option<usize> {
        let (lane, b) = (lane as i32, (b & 31) as i32);
        let (clamp, segment) = ((c & 31) as i32, (c >> 8 & 31) as i32);
        let first = lane & segment;
        let limit = first | clamp & !segment;
        let (source, in_range) = match self {
            Shuffle::Up => (lane - b, lane - b >= limit),
            Shuffle::Down => (lane + b, lane + b <= limit),
            Shuffle::Butterfly => (lane ^ b, lane ^ b <= limit),
            Shuffle::Index => {
                let source = first | b & !segment;
                (source, source <= limit)
            }
        };
        // A lane number, because limits are.
        in_range.then_some(source as usize & 31)
    }
}

fn shuffle(i: &Instruction, cx: &mut dyn Lower) -> Lowering<Compute> {
    let mut m = Modifiers::new(i);
    require_sync(&mut m)?;
    let mode = m
        .one_of(&[
            ("up", Shuffle::Up),
            ("down", Shuffle::Down),
            ("bfly", Shuffle::Butterfly),
            ("idx", Shuffle::Index),
        ])
        .ok_or_else(|| Refusal(".up, .down, .bfly or .idx is missing".to_string()))?;
    let ty = m.ty()?;
    m.finish()?;
    if ty.bits() != 32 {
        return Err(wrong_type(ty));
    }
    let [d, a, b, c, members] = operands(i)?;
    let (d, p) = pair(cx, d)?;
    let (a, b, c) = (source::<u32>(cx, a)?, source::<u32>(cx, b)?, source::<u32>(cx, c)?);
    let members = source::<u32>(cx, members)?;
    Ok(Box::new(move |cx, mask| {
        for_groups(cx, members, mask, |cx, group| {
            let (a, b, c) = (cx.registers.read(a), cx.registers.read(b), cx.registers.read(c));
            let mut value = [0; LANES];
            let mut in_range = 0;
            for lane in lanes(group) {
                value[lane] = match mode.source(lane, b[lane], c[lane]) {
                    None => a[lane],
                    Some(source) => {
                        in_range |= 1 << lane;
                        if group & 1 << source != 0 {
                            a[source]
                        } else {
                            let detail = format!("lane {lane} reads lane {source}, which does not take part");
                            cx.report(FaultKind::InactiveLane, lane, None, detail)?;
                            0
                        }
                    }
                };
            }
            if let Some(d) = d {
                cx.registers.write(d, &value, group);
            }
            if let Some(p) = p {
                cx.registers.set_predicate(p, in_range, group);
            }
            Ok(())
        })
    }))
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
    const MODES: &[(&str, bool)] = &[("all", true), ("any", false)];
    // Both orders are in use.
    let mut all = m.one_of(MODES);
    require_sync(&mut m)?;
    all = all.or_else(|| m.one_of(MODES));
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
    let operation = m.word().unwrap_or_default();
    let ty = m.ty()?;
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
