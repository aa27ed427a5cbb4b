//! In what compared checkpoints differ.

use crate::named_choice::named_choice;

impl Axis {
    /// All of them, in the order in which they are told.
    pub const ALL: [Axis; 5] =
        [Axis::Epochs, Axis::Seeds, Axis::Datasets, Axis::Architectures, Axis::Checkpoints];
}

named_choice!(
    /// The one respect in which compared checkpoints differ.
    Axis, "axis" {
        /// The epoch: checkpoints of one training.
        Epochs = "epochs",
        /// The seed of training: what chance alone changes.
        Seeds = "seeds",
        /// The data set.
        Datasets = "datasets",
        /// The architecture.
        Architectures = "architectures",
        /// Something that is not recorded: files that are different, and alike in all that is known of them.
        Checkpoints = "checkpoints"
    }
);
