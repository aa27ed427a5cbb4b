//! Names of a function: registers, variables, labels and tables, scope within scope.

use super::types::Type;
use std::collections::HashMap;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Entity {
    /// Index of the first register, and how many components it has.
    Register(usize, u32),
    Local(usize),
    Parameter(usize),
    Return(usize),
    Label(usize),
    BranchTargets(usize),
    CallTargets(usize),
    Prototype(usize),
}

/// `.reg .b32 %r<10>;`
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub count: u64,
    pub ty: Type,
    pub vector: u32,
}

/// The names that one pair of braces declares.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    /// Registers of ranges are here from their first use on.
    names: HashMap<&'a str, (Entity, u32)>,
    /// Ranges by prefix, with their lines.
    ranges: HashMap<&'a str, (Range, u32)>,
    /// For names that end in digits, by every prefix that leaves a number: the least number. A range of that prefix
    /// that contains it would declare the name twice.
    numbered: HashMap<&'a str, u64>,
    /// Uses that were not resolved when this scope began belong to those around it.
    pub unresolved_before: usize,
}

/// Digits that the number of a register can have.
const DIGITS: usize = 9;

/// All ways to read a name as a prefix and a number without leading zeros.
fn splits(name: &str) -> impl Iterator<Item = (&str, u64)> {
    let digits = name.bytes().rev().take(DIGITS).take_while(u8::is_ascii_digit).count();
    (1..=digits).filter_map(move |length| {
        let (prefix, number) = name.split_at(name.len() - length);
        let canonical = !prefix.is_empty() && (length == 1 || !number.starts_with('0'));
        canonical.then(|| number.parse().ok().map(|number| (prefix, number))).flatten()
    })
}

impl<'a> Scope<'a> {
    pub fn new(unresolved_before: usize) -> Self {
        Scope { unresolved_before, ..Scope::default() }
    }

    /// Declares a name. `Err` is the line on which it was declared before.
    pub fn declare(&mut self, name: &'a str, entity: Entity, line: u32) -> Result<(), u32> {
        if let Some((_, before)) = self.names.get(name) {
            return Err(*before);
        }
        if let Some((_, before)) = self.range_of(name) {
            return Err(before);
        }
        for (prefix, number) in splits(name) {
            let least = self.numbered.entry(prefix).or_insert(number);
            *least = number.min(*least);
        }
        self.names.insert(name, (entity, line));
        Ok(())
    }

    /// Declares `prefix0` to `prefix(count - 1)`. `Err` is the line of another declaration of one of them.
    pub fn declare_range(
        &mut self,
        prefix: &'a str,
        first: &str,
        range: Range,
        line: u32,
    ) -> Result<(), u32> {
        if let Some((_, before)) = self.ranges.get(prefix) {
            return Err(*before);
        }
        if self.numbered.get(prefix).is_some_and(|&least| least < range.count) {
            return Err(line);
        }
        // `%r1<5>` has `%r10`, as `%r<20>` does. The first of its registers is the least in every other reading.
        if range.count > 0 {
            if let Some((_, before)) = self.range_of(first) {
                return Err(before);
            }
            for (shorter, number) in splits(first).filter(|(shorter, _)| shorter.len() < prefix.len()) {
                // `shorter` begins both `first` and `prefix`.
                let least = self.numbered.entry(&prefix[..shorter.len()]).or_insert(number);
                *least = number.min(*least);
            }
        }
        self.ranges.insert(prefix, (range, line));
        Ok(())
    }

    /// The range that contains a name.
    fn range_of(&self, name: &str) -> Option<(Range, u32)> {
        if self.ranges.is_empty() {
            return None;
        }
        splits(name).find_map(|(prefix, number)| {
            self.ranges.get(prefix).copied().filter(|(range, _)| number < range.count)
        })
    }

    pub fn get(&self, name: &str) -> Option<Entity> {
        self.names.get(name).map(|(entity, _)| *entity)
    }

    /// A register of a range that has not been used yet, and the line of its declaration.
    pub fn unused(&self, name: &str) -> Option<(Range, u32)> {
        self.range_of(name)
    }

    /// Remembers the register that now stands for a name of a range.
    pub fn instantiate(&mut self, name: &'a str, entity: Entity, line: u32) {
        self.names.insert(name, (entity, line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(count: u64) -> Range {
        Range { count, ty: Type::B32, vector: 1 }
    }

    #[test]
    fn ranges_contain_their_numbers_only() {
        let mut scope = Scope::new(0);
        scope.declare_range("%r", "%r0", range(12), 1).unwrap();
        for name in ["%r0", "%r9", "%r11"] {
            assert!(scope.unused(name).is_some(), "{name}");
        }
        for name in ["%r12", "%r", "%r01", "%r00", "%r1x", "%rd1", "%r99999999999999999999", "1"] {
            assert!(scope.unused(name).is_none(), "{name}");
        }
    }

    #[test]
    fn no_name_twice() {
        let mut scope = Scope::new(0);
        scope.declare("%r5", Entity::Register(0, 1), 1).unwrap();
        assert_eq!(scope.declare("%r5", Entity::Register(1, 1), 2), Err(1));
        assert!(scope.declare_range("%r", "%r0", range(6), 3).is_err());
        scope.declare_range("%r", "%r0", range(5), 4).unwrap();
        assert_eq!(scope.declare_range("%r", "%r0", range(2), 5), Err(4));
        assert_eq!(scope.declare("%r4", Entity::Register(1, 1), 6), Err(4));

        let mut scope = Scope::new(0);
        scope.declare_range("%r", "%r0", range(20), 1).unwrap();
        assert_eq!(scope.declare_range("%r1", "%r10", range(5), 2), Err(1));
        scope.declare_range("%r2", "%r20", range(5), 3).unwrap();

        let mut scope = Scope::new(0);
        scope.declare_range("%r1", "%r10", range(5), 1).unwrap();
        assert!(scope.declare_range("%r", "%r0", range(11), 2).is_err());
        scope.declare_range("%r", "%r0", range(10), 3).unwrap();
    }
}
