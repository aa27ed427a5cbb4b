//! The bytes of a pickle, taken from front to back.

use super::fault::{Step, cut_off};

pub(super) struct Input<'a> {
    pub(super) bytes: &'a [u8],
    /// What is taken next.
    pub(super) at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn take(&mut self, count: u64) -> Step<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(count).ok().and_then(|count| rest.get(..count)).ok_or_else(|| {
            cut_off(format!("{count} more bytes of pickle"), format!("{} before its end", rest.len()))
        })?;
        self.at += taken.len();
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    pub(super) fn byte(&mut self) -> Step<u8> {
        Ok(self.array::<1>()?[0])
    }
}
