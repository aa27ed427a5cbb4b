//! Functions that every device has: `printf`, `assert`, `malloc`, `free`.

use super::code::{Builtin, Call, Op};
use super::frames::Frame;
use super::print::{Arguments, format};
use super::warp::{Environment, Warp};
use crate::fault::{FaultKind, Stop};
use crate::state::cx::Cx;
use crate::state::registers::{LANES, Mask};

/// Longest string that a kernel prints in one piece.
const MAX_STRING: usize = 1 << 16;

/// Bytes that a block may print.
const MAX_PRINTED: usize = 1 << 20;

/// Calls one, lane by lane.
pub fn call(
    builtin: Builtin,
    warp: &mut Warp,
    frame: &Frame,
    mask: Mask,
    call: &Call,
    op: &Op,
    e: &mut Environment<'_>,
) -> Result<(), Stop> {
    for lane in (0..LANES).filter(|&l| mask >> l & 1 != 0) {
        let mut arguments = [0u64; 5];
        for (value, &formal) in arguments.iter_mut().zip(&call.arguments) {
            *value = warp.parameter(formal, frame, lane) as u64;
        }
        let cx = warp.cx(e, op);
        let result = match builtin {
            Builtin::Printf => print(cx, lane, arguments[0], arguments[1])?,
            Builtin::AssertFail => assert_fail(cx, lane, arguments)?,
            Builtin::Malloc => cx.launch.memory.global.allocate(arguments[0]).unwrap_or(0),
            Builtin::Free => {
                if arguments[0] != 0 && !cx.launch.memory.global.free(arguments[0]) {
                    let detail = "free of what malloc did not give".to_string();
                    cx.report(FaultKind::OutOfBounds, lane, Some(arguments[0]), detail)?;
                }
                0
            }
        };
        if let Some(&to) = call.returns.first() {
            warp.set_parameter(to, frame, lane, u128::from(result));
        }
    }
    Ok(())
}

fn print(cx: Cx<'_>, lane: usize, text: u64, buffer: u64) -> Result<u64, Stop> {
    // A kernel that prints without end must not take all of the host's memory.
    if cx.block.printed.len() >= MAX_PRINTED {
        return Ok(0);
    }
    let Some(text) = string(&cx, lane, text) else {
        let detail = "the format is not a string".to_string();
        cx.report(FaultKind::OutOfBounds, lane, Some(text), detail)?;
        return Ok(u64::from(u32::MAX));
    };
    let mut arguments = Buffer { cx: &cx, lane, next: buffer };
    let (printed, taken) = format(&text, &mut arguments);
    cx.block.printed.push_str(&printed);
    if cx.block.printed.len() >= MAX_PRINTED {
        cx.block.printed.push_str("\n(the rest of what this block prints is dropped)\n");
    }
    Ok(u64::from(taken))
}

fn assert_fail(cx: Cx<'_>, lane: usize, arguments: [u64; 5]) -> Result<u64, Stop> {
    let text = |address| string(&cx, lane, address).unwrap_or_else(|| "?".to_string());
    let (message, file, line, function) =
        (text(arguments[0]), text(arguments[1]), arguments[2], text(arguments[3]));
    let detail = format!("{file}:{}: {function}: assertion `{message}` failed", line as u32);
    cx.report(FaultKind::Trap, lane, None, detail)?;
    Ok(0)
}

/// The string at a generic address.
fn string(cx: &Cx<'_>, lane: usize, address: u64) -> Option<String> {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_STRING {
        let mut byte = [0];
        if !cx.peek(lane, address.checked_add(bytes.len() as u64)?, &mut byte) {
            return None;
        }
        if byte[0] == 0 {
            break;
        }
        bytes.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The arguments of `vprintf`: each aligned to its size.
struct Buffer<'a> {
    cx: &'a Cx<'a>,
    lane: usize,
    next: u64,
}

impl Arguments for Buffer<'_> {
    fn next(&mut self, bytes: usize) -> Option<u64> {
        let at = self.next.checked_next_multiple_of(bytes as u64)?;
        let mut value = [0; 8];
        if self.next == 0 || !self.cx.peek(self.lane, at, &mut value[..bytes]) {
            return None;
        }
        self.next = at + bytes as u64;
        Some(u64::from_le_bytes(value))
    }

    fn string(&mut self, address: u64) -> Option<String> {
        string(self.cx, self.lane, address)
    }
}
