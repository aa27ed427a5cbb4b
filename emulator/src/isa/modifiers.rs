//! Modifiers: what stands behind an opcode's dots.

use super::lower::{Lowering, Refusal};
use crate::ptx::ast::Instruction;
use crate::ptx::types::Type;

/// The modifiers of an instruction, taken one by one.
///
/// What is asked for is taken wherever it stands: ptxas does not mind the order either, and libraries make use of that
/// (`red.add.global.relaxed.gpu.f64`). Only types keep their order among themselves.
pub struct Modifiers<'a> {
    rest: Vec<&'a str>,
}

impl<'a> Modifiers<'a> {
    pub fn new(instruction: &'a Instruction) -> Self {
        Modifiers { rest: instruction.modifiers.iter().map(String::as_str).collect() }
    }

    /// The first that is left, left in place.
    pub fn peek(&self) -> Option<&'a str> {
        self.rest.first().copied()
    }

    /// Takes `word` if it is there.
    pub fn flag(&mut self, word: &str) -> bool {
        let place = self.rest.iter().position(|w| *w == word);
        place.map(|place| self.rest.remove(place)).is_some()
    }

    /// Takes the first that is in the list.
    pub fn one_of<T: Copy>(&mut self, choices: &[(&str, T)]) -> Option<T> {
        let choice = |word: &&str| choices.iter().find(|c| c.0 == *word).map(|c| c.1);
        let (place, found) = self.rest.iter().enumerate().find_map(|(i, word)| Some((i, choice(word)?)))?;
        self.rest.remove(place);
        Some(found)
    }

    /// Takes the first that is one of these.
    pub fn word_of(&mut self, words: &[&str]) -> Option<&'a str> {
        let place = self.rest.iter().position(|word| words.contains(word))?;
        Some(self.rest.remove(place))
    }

    /// Takes the first that is a type.
    pub fn ty(&mut self) -> Lowering<Type> {
        let found = self.rest.iter().enumerate().find_map(|(i, word)| Some((i, Type::parse(word)?)));
        let (place, ty) = found.ok_or_else(|| Refusal("a type is missing".to_string()))?;
        self.rest.remove(place);
        Ok(ty)
    }

    /// Takes the first that is left.
    pub fn word(&mut self) -> Option<&'a str> {
        (!self.rest.is_empty()).then(|| self.rest.remove(0))
    }

    /// All must have been taken.
    pub fn finish(self) -> Lowering<()> {
        match self.rest.first() {
            None => Ok(()),
            Some(word) => Err(Refusal(format!("unknown modifier .{word}"))),
        }
    }
}
