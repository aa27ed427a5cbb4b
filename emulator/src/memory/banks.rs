//! Banks of shared memory: 32 of 4 bytes, each of which gives one word at a time.

use crate::state::registers::{LANES, Mask};

const BANKS: u64 = 32;

/// How often the banks must be asked for one access of a warp, and how often at best: lanes that want the same word share
/// it. Accesses of 8 bytes are done by half warps, those of 16 by quarters.
pub fn wavefronts(addresses: &[u64; LANES], bytes: usize, mask: Mask) -> (u64, u64) {
    let lanes = (LANES * 4 / bytes.max(4)).max(1);
    let (mut taken, mut ideal) = (0, 0);
    for part in 0..LANES / lanes {
        let mask = mask & ((((1u64 << lanes) - 1) as Mask) << (part * lanes));
        if mask != 0 {
            taken += wavefronts_of_part(addresses, bytes, mask);
            ideal += 1;
        }
    }
    (taken, ideal)
}

fn wavefronts_of_part(addresses: &[u64; LANES], bytes: usize, mask: Mask) -> u64 {
    // Lanes whose word is the first of its kind, by the bank of that word.
    let mut first = [0; BANKS as usize];
    let mut most = 0;
    let mut rest = mask;
    while rest != 0 {
        let lane = rest.trailing_zeros() as usize;
        rest &= rest - 1;
        let word = addresses[lane] / 4;
        // Wider accesses are aligned: if the first words differ, none are shared.
        let bank = &mut first[(word % BANKS) as usize];
        let mut others: Mask = *bank;
        let mut shared = false;
        while others != 0 {
            shared |= addresses[others.trailing_zeros() as usize] / 4 == word;
            others &= others - 1;
        }
        if !shared {
            *bank |= 1 << lane;
            most = most.max(bank.count_ones());
        }
    }
    u64::from(most) * (bytes as u64).div_ceil(128).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strided(stride: u64) -> [u64; LANES] {
        let mut out = [0; LANES];
        for (i, address) in out.iter_mut().enumerate() {
            *address = 64 + i as u64 * stride;
        }
        out
    }

    #[test]
    fn words() {
        assert_eq!(wavefronts(&strided(4), 4, Mask::MAX), (1, 1));
        assert_eq!(wavefronts(&strided(0), 4, Mask::MAX), (1, 1));
        assert_eq!(wavefronts(&strided(8), 4, Mask::MAX), (2, 1));
        assert_eq!(wavefronts(&strided(128), 4, Mask::MAX), (32, 1));
        assert_eq!(wavefronts(&strided(128), 4, 0b111), (3, 1));
        assert_eq!(wavefronts(&strided(132), 4, Mask::MAX), (1, 1));
    }

    #[test]
    fn parts_of_words_are_shared() {
        assert_eq!(wavefronts(&strided(1), 1, Mask::MAX), (1, 1));
        assert_eq!(wavefronts(&strided(2), 2, Mask::MAX), (1, 1));
        assert_eq!(wavefronts(&strided(130), 2, Mask::MAX), (2, 1));
    }

    #[test]
    fn wide_accesses_go_by_parts() {
        assert_eq!(wavefronts(&strided(8), 8, Mask::MAX), (2, 2));
        assert_eq!(wavefronts(&strided(16), 8, Mask::MAX), (4, 2));
        assert_eq!(wavefronts(&strided(16), 16, Mask::MAX), (4, 4));
        assert_eq!(wavefronts(&strided(128), 16, Mask::MAX), (32, 4));
        assert_eq!(wavefronts(&strided(64), 16, Mask::MAX), (16, 4));
        assert_eq!(wavefronts(&strided(16), 16, 0xff), (1, 1));
        assert_eq!(wavefronts(&strided(0), 16, Mask::MAX), (4, 4));
        assert_eq!(wavefronts(&strided(32), 32, Mask::MAX), (8, 8));
    }
}
