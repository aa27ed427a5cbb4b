//! In what compared checkpoints differ.

use crate::named_choice::named_choice;

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
