//! Where elements of fragments lie, by the formulas that the PTX ISA gives for each shape.

/// M, N, K.
pub type Shape = (usize, usize, usize);

fn group(lane: usize) -> (usize, usize) {
    (lane >> 2, lane % 4)
}

/// Row and column of element `i` of a lane's fragment of A, whose elements have `bits` bits.
pub fn a(shape: Shape, bits: usize, lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = group(lane);
    let below = |upper: bool| if upper { group } else { group + 8 };
    match (shape, bits) {
        ((8, 8, 4), 64) => (group, thread),
        ((8, 8, 16), 8) => (group, thread * 4 + i),
        ((8, 8, 32), 4) => (group, thread * 8 + i),
        ((8, 8, 128), 1) => (group, thread * 32 + i),
        ((16, 8, 4), 32 | 64) => (below(i == 0), thread),
        ((16, 8, 8), 16) => (below(i < 2), thread * 2 + (i & 1)),
        ((16, 8, 8), 32 | 64) => (below(i == 0 || i == 2), if i < 2 { thread } else { thread + 4 }),
        ((16, 8, 16), 16) => {
            (below(i < 2 || (4..6).contains(&i)), thread * 2 + (i & 1) + if i < 4 { 0 } else { 8 })
        }
        ((16, 8, 16), 64) => {
            (below(i & 1 == 0), if i & 1 == 0 { i * 2 + thread } else { i * 2 - 2 + thread })
        }
        ((16, 8, 16), 8) => (below(i < 4), thread * 4 + (i & 3)),
        ((16, 8, 32), 8) => {
            (below(i < 4 || (8..12).contains(&i)), thread * 4 + (i & 3) + if i < 8 { 0 } else { 16 })
        }
        ((16, 8, 32), 4) => (below(i < 8), thread * 8 + (i & 7)),
        ((16, 8, 64), 4) => {
            (below(i < 8 || (16..24).contains(&i)), thread * 8 + (i & 7) + if i < 16 { 0 } else { 32 })
        }
        ((16, 8, 128), 1) => (below(i < 32), thread * 32 + (i & 31)),
        ((16, 8, 256), 1) => {
            (below(i < 32 || (64..96).contains(&i)), thread * 32 + (i & 31) + if i < 64 { 0 } else { 128 })
        }
        other => panic!("no A of {other:?}"),
    }
}

/// Row and column of element `i` of a lane's fragment of B.
pub fn b(shape: Shape, bits: usize, lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = group(lane);
    let row = match (shape.2, bits) {
        (4, 32 | 64) => thread,
        (8, 16) => thread * 2 + i,
        (8 | 16, 32 | 64) => thread + 4 * i,
        (16, 16) => thread * 2 + (i & 1) + if i < 2 { 0 } else { 8 },
        (16, 8) => thread * 4 + i,
        (32, 8) => thread * 4 + (i & 3) + if i < 4 { 0 } else { 16 },
        (32, 4) => thread * 8 + i,
        (64, 4) => thread * 8 + (i & 7) + if i < 8 { 0 } else { 32 },
        (128, 1) => thread * 32 + i,
        (256, 1) => thread * 32 + (i & 31) + if i < 32 { 0 } else { 128 },
        // Of sparse products alone, where the ISA draws the layout: registers one below the other.
        (32, 16) => thread * 2 + (i & 1) + i / 2 * 8,
        (64, 8) => thread * 4 + (i & 3) + i / 4 * 16,
        (128, 4) => thread * 8 + (i & 7) + i / 8 * 32,
        other => panic!("no B of {other:?}"),
    };
    (row, group)
}

/// Row and column of element `i` of a lane's fragment of C or D.
pub fn c(lane: usize, i: usize) -> (usize, usize) {
    let (group, thread) = group(lane);
    (if i < 2 { group } else { group + 8 }, thread * 2 + (i & 1))
}
