//! What a network said of each image, as a file.

use super::Evaluation;
use crate::atomic_file::AtomicFile;
use crate::data::Images;
use crate::error::{Error, Result};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::io::Write;
use std::path::Path;

/// Writes `logits` `[N, classes]`, `input_grad` `[N, C, H, W]` (of the summed cross-entropy, in pixel units) and `labels` `[N]` as
/// safetensors. `path` is the file's, to be named in errors.
///
/// # Errors
/// [`Error::Write`].
pub fn write_outputs(
    mut file: AtomicFile,
    path: &Path,
    evaluation: &Evaluation,
    images: &Images,
) -> Result<()> {
    let n = images.len();
    let [c, h, w] = images.shape;
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let (logits, gradient) = (bytes(&evaluation.logits), bytes(&evaluation.input_gradient));
    let labels: Vec<u8> = images.labels.iter().flat_map(|&label| i64::from(label).to_le_bytes()).collect();
    let tensors = [
        ("logits", Dtype::F32, vec![n, images.classes.len()], &logits),
        ("input_grad", Dtype::F32, vec![n, c, h, w], &gradient),
        ("labels", Dtype::I64, vec![n], &labels),
    ];
    let failed = |error: safetensors::SafeTensorError| Error::Failed(format!("{}: {error}", path.display()));
    let views = tensors
        .into_iter()
        .map(|(name, dtype, shape, data)| Ok((name, TensorView::new(dtype, shape, data).map_err(failed)?)))
        .collect::<Result<Vec<_>>>()?;
    let content = safetensors::serialize(views, None).map_err(failed)?;
    file.write_all(&content).map_err(Error::write(path))?;
    file.commit()
}
