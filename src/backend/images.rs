//! Images as a device takes them, and what a network says of them.

/// Images of the host and what they show.
#[derive(Clone, Copy, Debug)]
pub struct ImageBatch<'a> {
    /// `[images, C, H, W]`.
    pub pixels: PixelData<'a>,
    /// The true class of each image.
    pub labels: &'a [u16],
}

/// The values of images.
#[derive(Clone, Copy, Debug)]
pub enum PixelData<'a> {
    /// 0..=255, of which pixel units are the 255th part.
    Bytes(&'a [u8]),
    /// Pixel units.
    Floats(&'a [f32]),
}

/// What softmax cross-entropy says of each image of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts {
    /// −log softmax of the true class.
    pub loss: Vec<f32>,
    /// Whether the true class is the arg-max (lowest index on ties).
    pub correct: Vec<bool>,
}

impl Verdicts {
    /// Adds those of the images that follow.
    pub fn append(&mut self, next: Verdicts) {
        self.loss.extend(next.loss);
        self.correct.extend(next.correct);
    }

    /// Per image: whether it was classified correctly, and its cross-entropy.
    pub fn per_image(&self) -> impl Iterator<Item = (bool, f32)> {
        self.correct.iter().copied().zip(self.loss.iter().copied())
    }
}
