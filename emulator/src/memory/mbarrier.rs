//! mbarrier objects: 8 bytes of shared memory that count arrivals, phase after phase.

/// The most threads that an mbarrier can wait for.
pub const MAX_COUNT: u32 = (1 << 20) - 1;

/// A state of an mbarrier. A copy of it is what `arrive` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Arrivals of a phase, and those that this phase still waits for.
    pub expected: u32,
    pub pending: u32,
    /// Phases that are complete, modulo 2²³.
    pub phase: u32,
}

const VALID: u64 = 1 << 63;
const PHASES: u32 = 1 << 23;

impl State {
    pub fn new(count: u32) -> Self {
        State { expected: count, pending: count, phase: 0 }
    }

    /// Of its 8 bytes; `None` for what is no mbarrier.
    pub fn decode(bits: u64) -> Option<State> {
        let field = |at: u32| (bits >> at) as u32 & MAX_COUNT;
        let phase = (bits >> 40) as u32 % PHASES;
        (bits & VALID != 0).then_some(State { pending: field(0), expected: field(20), phase })
    }

    pub fn encode(self) -> u64 {
        VALID | u64::from(self.pending) | u64::from(self.expected) << 20 | u64::from(self.phase) << 40
    }

    /// So many arrivals, of which the dropped ones are not awaited in later phases. `None`: more than were awaited, or,
    /// if it must not complete the phase, as many.
    pub fn arrive(self, count: u32, drop: bool, completes: bool) -> Option<State> {
        let pending = self.pending.checked_sub(count)?;
        let expected = if drop { self.expected.checked_sub(count)? } else { self.expected };
        if pending != 0 {
            return Some(State { expected, pending, ..self });
        }
        completes.then_some(State { expected, pending: expected, phase: (self.phase + 1) % PHASES })
    }

    /// More arrivals are awaited in this phase.
    pub fn expect_more(self, count: u32) -> Option<State> {
        let pending = self.pending.checked_add(count).filter(|&p| p <= MAX_COUNT)?;
        Some(State { pending, ..self })
    }

    /// Whether the phase that an earlier state belongs to is complete.
    pub fn has_passed(self, earlier: State) -> bool {
        earlier.phase != self.phase
    }

    /// Whether the last phase of this parity is complete.
    pub fn has_passed_parity(self, parity: u32) -> bool {
        self.phase % 2 != parity & 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases() {
        let first = State::new(3);
        assert_eq!(State::decode(first.encode()), Some(first));
        let second = first.arrive(2, false, true).unwrap();
        assert_eq!((second.pending, second.has_passed(first)), (1, false));
        assert_eq!(second.arrive(1, false, false), None, "noComplete must not complete");
        assert_eq!(second.arrive(2, false, true), None);
        let third = second.arrive(1, true, true).unwrap();
        assert_eq!(third, State { expected: 2, pending: 2, phase: 1 });
        assert!(third.has_passed(first) && third.has_passed_parity(0) && !third.has_passed_parity(1));
        assert_eq!(State::decode(0), None);
        assert_eq!(State::decode(third.encode()), Some(third));
        assert_eq!(third.expect_more(MAX_COUNT), None);
    }
}
