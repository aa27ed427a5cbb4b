//! The embedded digits.

use crate::support::histogram;
use synfilter::data::{DatasetKind::Digits, Split, load};

#[test]
fn the_embedded_digits_are_the_first_of_mnist() {
    let train = load(Digits, None, Split::Train, None).unwrap();
    let test = load(Digits, None, Split::Test, None).unwrap();
    assert_eq!((train.len(), test.len()), (8000, 2000));
    assert_eq!((train.shape, test.shape), ([1, 28, 28], [1, 28, 28]));
    // As assets/digits/README.md says.
    assert_eq!(histogram(&train), [795, 906, 788, 811, 799, 702, 798, 853, 753, 795]);
    assert_eq!(histogram(&test), [175, 234, 219, 207, 217, 179, 178, 205, 192, 194]);
    assert_eq!(train.labels[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    assert_eq!(test.labels[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    // MNIST's published mean and deviation of the training pixels, which the first 8,000 come near.
    let values = train.pixels.iter().map(|&v| f64::from(v) / 255.0);
    let mean = values.clone().sum::<f64>() / train.pixels.len() as f64;
    let deviation = (values.map(|v| (v - mean).powi(2)).sum::<f64>() / train.pixels.len() as f64).sqrt();
    assert!((mean - 0.1307).abs() < 0.002 && (deviation - 0.3081).abs() < 0.002, "{mean} {deviation}");
    // The same bytes hashed by Python's hashlib give these.
    assert_eq!(train.digest, "8bab6eb053bab839f75e86c786349dc8f4d6b25cc0d3dd00ebb321be97e439c1");
    assert_eq!(test.digest, "bd8d34631a27c004dda3880859a70d505528f75cf8573062a1140d1b33680548");
}
