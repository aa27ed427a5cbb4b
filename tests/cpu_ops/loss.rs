//! Verdicts where logits are equal, or no numbers.

use crate::value::{Value, layouts};
use synfilter::backend::cpu::loss::softmax_cross_entropy;
use synfilter::backend::cpu::simd::Level;

#[test]
fn ties_go_to_the_lowest_index_and_nan_is_wrong() {
    let layout = layouts(3, 1, 1, 16)[0];
    for level in Level::available() {
        let mut z = Value::empty(layout);
        for (c, column) in
            [[1.0, 5.0, 5.0, 0.0], [1.0, f32::NAN, 7.0, 0.0], [1.0, 4.0, f32::NAN, 8.0]].iter().enumerate()
        {
            z.data[16 * c..16 * c + 16].fill(0.0);
            z.data[16 * c..16 * c + 4].copy_from_slice(column);
        }
        let mut losses = vec![0.0; 6];
        let correct = softmax_cross_entropy(level, z.source(), &[0, 0, 1, 2, 1, 0], &mut losses, None);
        assert_eq!(correct, 0b101001);
        assert!(losses[1].is_nan() && losses[2].is_nan());
        assert!((losses[0] - 3f32.ln()).abs() < 1e-6);
    }
}
