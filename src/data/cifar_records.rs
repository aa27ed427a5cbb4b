//! What CIFAR's files hold, of either version: images of 3×32×32 bytes, `[C, H, W]`, and a label of each.

/// Channels, height, width of an image.
pub(super) const SHAPE: [usize; 3] = [3, 32, 32];
/// Bytes of an image.
pub(super) const PIXELS: usize = 3 * 32 * 32;

/// What was read of a split so far.
#[derive(Default)]
pub(super) struct Records {
    /// `[N, 3, 32, 32]`.
    pub pixels: Vec<u8>,
    /// Class index of each.
    pub labels: Vec<u16>,
}
