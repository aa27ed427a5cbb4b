//! `movmatrix`, and what is refused.

use crate::kit::{Reg, Snippet, refusal};

#[test]
fn transpose() {
    // Element (row, column) of warp w is 1000·w + 10·row + column.
    let column: Vec<u128> = (0..128)
        .map(|thread| {
            let (w, row, column) = (thread / 32, thread % 32 / 4, thread % 4 * 2);
            let first = 1000 * w + 10 * row + column;
            first | (first + 1) << 16
        })
        .collect();
    let got = Snippet::new("movmatrix.sync.aligned.m8n8.trans.b16 d0, a0;", &[Reg::B32], &[Reg::B32])
        .run(&[column])
        .unwrap();
    for thread in 0..128 {
        let (w, column, row) = (thread / 32, thread % 32 / 4, thread % 4 * 2);
        let first = 1000 * w + 10 * row + column;
        let want = first | (first + 10) << 16;
        assert_eq!(got[0][thread as usize], want, "thread {thread}");
    }
}

#[test]
fn refused() {
    let text = "stmatrix.sync.aligned.m8n8.x1.shared.b16 [a0], {a1};";
    assert!(refusal(text, &[Reg::B32; 2], &[]).contains("sm_90"));
    let text = "movmatrix.sync.aligned.m8n8.b16 d0, a0;";
    assert!(refusal(text, &[Reg::B32], &[Reg::B32]).contains("trans"));
}
