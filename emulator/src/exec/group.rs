//! Lanes of a warp that run together, and what keeps them from going on.

use crate::state::registers::Mask;

/// What keeps a group from going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    Ready,
    /// Other lanes of its warp, for the instruction that it stands at.
    Lanes,
    /// A barrier, whose instruction it stands at.
    Barrier(usize),
}

/// Lanes that run together.
#[derive(Clone, Debug)]
pub struct Group {
    pub mask: Mask,
    pub pc: usize,
    pub frame: usize,
    pub wait: Wait,
    /// Goes ahead without the lanes that it waited for.
    pub forced: bool,
    /// When it last ran.
    pub ran: u64,
}
