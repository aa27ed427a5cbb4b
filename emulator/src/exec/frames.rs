//! The call stack of a warp. Lanes that called from the same place are in the same frame, whether they came together or
//! one after the other: so they can meet again inside the function.

use crate::state::registers::LANES;

/// Calls may nest this deep.
pub const MAX_DEPTH: u32 = 1 << 12;

/// A function that some lanes are in.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The caller's frame and the call in it; of the kernel, itself.
    pub parent: usize,
    pub call: usize,
    pub function: usize,
    /// Its first row, first predicate, and first byte of local memory.
    pub base: usize,
    pub predicate_base: usize,
    pub local_base: u64,
    pub depth: u32,
    /// Where the stacks of the lanes stood when they called, if the function uses it.
    pub stack: Option<Box<[u64; LANES]>>,
    /// Groups in it and frames called from it; 0 is a free entry.
    users: u32,
}

/// All frames of a warp; number 0 is the kernel's.
pub struct Frames {
    all: Vec<Frame>,
    free: Vec<usize>,
}

impl std::ops::Index<usize> for Frames {
    type Output = Frame;
    fn index(&self, frame: usize) -> &Frame {
        &self.all[frame]
    }
}

impl Frames {
    /// That of a kernel, with one group in it.
    pub fn new(kernel: usize) -> Self {
        let frame = Frame {
            parent: 0,
            call: 0,
            function: kernel,
            base: 0,
            predicate_base: 0,
            local_base: 0,
            depth: 0,
            stack: None,
            users: 1,
        };
        Frames { all: vec![frame], free: Vec::new() }
    }

    /// The frame for a call that lanes have already made, if any are still in it.
    pub fn find(&self, parent: usize, call: usize, function: usize) -> Option<usize> {
        self.all.iter().position(|f| {
            f.users != 0 && f.depth != 0 && (f.parent, f.call, f.function) == (parent, call, function)
        })
    }

    /// A new frame, with one group in it.
    pub fn push(&mut self, mut frame: Frame) -> usize {
        frame.users = 1;
        self.all[frame.parent].users += 1;
        match self.free.pop() {
            Some(free) => {
                self.all[free] = frame;
                free
            }
            None => {
                self.all.push(frame);
                self.all.len() - 1
            }
        }
    }

    /// The frame, to change it.
    pub fn get_mut(&mut self, frame: usize) -> &mut Frame {
        &mut self.all[frame]
    }

    /// One more group is in a frame.
    pub fn enter(&mut self, frame: usize) {
        self.all[frame].users += 1;
    }

    /// A group has left.
    pub fn leave(&mut self, mut frame: usize) {
        loop {
            let f = &mut self.all[frame];
            f.users -= 1;
            if f.users != 0 || frame == 0 {
                return;
            }
            let parent = f.parent;
            self.free.push(frame);
            frame = parent;
        }
    }
}

impl Frame {
    /// The frame of a function called from this one.
    pub fn callee(
        &self,
        own: usize,
        call: usize,
        function: usize,
        caller: &super::code::FunctionCode,
    ) -> Frame {
        Frame {
            parent: own,
            call,
            function,
            base: self.base + caller.rows,
            predicate_base: self.predicate_base + caller.predicates,
            local_base: self.local_base + caller.frame_bytes,
            depth: self.depth + 1,
            stack: None,
            users: 0,
        }
    }
}
