//! What the floating-point families share: how their modifiers are read, and what they ask of the target.

use super::integer::operands;
use super::{Lower, Lowering, Modifiers, Refusal, destination, source};
use crate::isa::rounding::Rounding;
use crate::ptx::ast::Instruction;
use crate::state::registers::{Lane, Slot};

/// The modifiers in front of the type (or types) of a floating-point instruction.
pub(super) struct Form<'a> {
    flags: Vec<&'a str>,
}

impl<'a> Form<'a> {
    /// Reads `i`, whose last `types` modifiers are types; the others must be in the list, each at most once.
    pub fn read(i: &'a Instruction, types: usize, allowed: &[&str]) -> Lowering<Self> {
        let mut modifiers = Modifiers::new(i);
        let mut flags = Vec::new();
        for _ in 0..i.modifiers.len().saturating_sub(types) {
            let word = modifiers.word().unwrap_or_default();
            if !allowed.contains(&word) || flags.contains(&word) {
                return Err(Refusal(format!("modifier .{word} does not belong here")));
            }
            flags.push(word);
        }
        for _ in 0..types {
            modifiers.word();
        }
        modifiers.finish()?;
        Ok(Form { flags })
    }

    /// Whether a modifier is there.
    pub fn has(&self, word: &str) -> bool {
        self.flags.contains(&word)
    }

    /// `.rn .rz .rm .rp`, if one is there.
    pub fn rounding(&self) -> Lowering<Option<Rounding>> {
        use Rounding::*;
        self.one_of(&[("rn", Nearest), ("rz", Zero), ("rm", Down), ("rp", Up)])
    }

    /// `.rni .rzi .rmi .rpi`, if one is there.
    pub fn integer_rounding(&self) -> Lowering<Option<Rounding>> {
        use Rounding::*;
        self.one_of(&[("rni", Nearest), ("rzi", Zero), ("rmi", Down), ("rpi", Up)])
    }

    fn one_of<T: Copy>(&self, choices: &[(&str, T)]) -> Lowering<Option<T>> {
        let mut found = choices.iter().filter(|c| self.has(c.0));
        match (found.next(), found.next()) {
            (Some(a), Some(b)) => Err(Refusal(format!(".{} and .{} exclude each other", a.0, b.0))),
            (choice, _) => Ok(choice.map(|c| c.1)),
        }
    }

    /// Refuses two modifiers together.
    pub fn exclude(&self, a: &str, b: &str) -> Lowering<()> {
        if self.has(a) && self.has(b) {
            return Err(Refusal(format!(".{a} and .{b} exclude each other")));
        }
        Ok(())
    }
}

/// The type that an arithmetic instruction ends with.
pub(super) fn last_type(i: &Instruction) -> &str {
    i.modifiers.last().map_or("", String::as_str)
}

/// Refuses what the target does not have yet.
pub(super) fn require(cx: &dyn Lower, target: u32, what: &str) -> Lowering<()> {
    if cx.target() < target {
        return Err(Refusal(format!("{what} needs sm_{target}, the target is sm_{}", cx.target())));
    }
    Ok(())
}

/// `d, a`.
pub(super) fn slots1<D: Lane, A: Lane>(i: &Instruction, cx: &mut dyn Lower) -> Lowering<(Slot<D>, Slot<A>)> {
    let [d, a] = operands(i)?;
    Ok((destination(cx, d)?, source(cx, a)?))
}

/// `d, a, b`.
pub(super) fn slots2<T: Lane>(i: &Instruction, cx: &mut dyn Lower) -> Lowering<(Slot<T>, [Slot<T>; 2])> {
    let [d, a, b] = operands(i)?;
    Ok((destination(cx, d)?, [source(cx, a)?, source(cx, b)?]))
}

/// `d, a, b, c`.
pub(super) fn slots3<T: Lane>(i: &Instruction, cx: &mut dyn Lower) -> Lowering<(Slot<T>, [Slot<T>; 3])> {
    let [d, a, b, c] = operands(i)?;
    Ok((destination(cx, d)?, [source(cx, a)?, source(cx, b)?, source(cx, c)?]))
}
