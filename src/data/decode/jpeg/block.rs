//! A block of 8×8 coefficients, and the order in which a file has them.

/// 64 coefficients or quantisation steps, by rows.
pub(super) type Block = [i16; 64];

/// Where the coefficients of a block go that come in zigzag order. Broken data can count up to 15 past the last.
pub(super) const ZIGZAG: [u8; 80] = {
    let mut order = [63; 80];
    let (mut x, mut y, mut place) = (0i32, 0i32, 0);
    while place < 64 {
        order[place] = (8 * y + x) as u8;
        // Up and to the right on even diagonals, down and to the left on odd ones, along the edge where it ends.
        let step = if (x + y) % 2 == 0 { 1 } else { -1 };
        let (right, down) = (x + step, y - step);
        if right > 7 {
            y += 1;
        } else if down > 7 {
            x += 1;
        } else if right < 0 {
            y += 1;
            x = 0;
        } else if down < 0 {
            x += 1;
            y = 0;
        } else {
            (x, y) = (right, down);
        }
        place += 1;
    }
    order
};
