//! Reads the golden files of tests/golden (generate.py there says what is in them and how it was made).
//!
//! Test code: a golden file that cannot be read is a panic that names it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::formula;

/// manifest.json.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    /// Version of generate.py's output.
    pub generator_version: u64,
    /// Version of the formula ([`formula::FORMULA_VERSION`]).
    pub formula_version: u64,
    /// PyTorch's version.
    pub torch: String,
    /// torchvision's version.
    pub torchvision: String,
    /// Every how many elements the input gradient was sampled.
    pub input_grad_stride: usize,
    /// Learning rate of the Adam step.
    pub adam_lr: f64,
    /// A few elements of the formula.
    pub formula_samples: Vec<FormulaSample>,
    /// Sums over whole tensors of the formula.
    pub tensor_samples: Vec<TensorSample>,
    /// Networks and input shapes.
    pub cases: Vec<Case>,
    /// Single operations.
    pub ops: Vec<Op>,
}

/// One element of the formula, as the generator computed it.
#[derive(Debug, Deserialize)]
pub struct FormulaSample {
    /// Name of the sequence.
    pub name: String,
    /// Which element.
    pub index: usize,
    /// Its hash, hexadecimal.
    pub hash: String,
    /// Its value in [-1, 1).
    pub u: f32,
}

/// A tensor of the formula, as the generator computed it.
#[derive(Debug, Deserialize)]
pub struct TensorSample {
    /// `images` or `parameter`.
    pub kind: String,
    /// Name of the parameter.
    pub name: String,
    /// Which images.
    pub salt: u64,
    /// PyTorch's shape.
    pub shape: Vec<usize>,
    /// Centre of the batch-norm weights.
    pub bn_gain: f32,
    /// Dot products with the check vectors.
    pub sums: [f64; 4],
}

/// A network with one input shape.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Architecture, as `--arch` spells it.
    pub arch: String,
    /// The stem of a ResNet, as `--stem` spells it; none for torchvision's.
    pub stem: Option<String>,
    /// Image channels, 1 or 3.
    pub channels: usize,
    /// Image height and width.
    pub side: usize,
    /// Class count.
    pub classes: usize,
    /// Per channel, subtracted from the pixels.
    pub mean: Vec<f64>,
    /// Per channel, what the difference is divided by.
    pub std: Vec<f64>,
    /// Number of images under running statistics.
    pub batch: usize,
    /// Number of images of the training step.
    pub train_batch: usize,
    /// Centre of the batch-norm weights.
    pub bn_gain: f32,
    /// Which images of the formula, under running statistics.
    pub salt: u64,
    /// The same for the training step.
    pub train_salt: u64,
    /// How far from 0 the nearest ReLU input is, in units of PyTorch's own largest float32 error of its tensor.
    pub margin: f64,
    /// The same in the training step.
    pub train_margin: f64,
    /// Why torchvision does not take this input size, if it does not; then there are no results.
    pub refused: Option<String>,
}

impl Case {
    /// The network in a word: `resnet18`, `resnet18-3x3`; also the name of its file.
    pub fn network(&self) -> String {
        self.stem.as_ref().map_or(self.arch.clone(), |stem| format!("{}-{stem}", self.arch))
    }

    /// The images under running statistics, `[batch, channels, side, side]`, and their labels.
    pub fn images(&self) -> (Vec<f32>, Vec<u16>) {
        self.draw(self.salt, self.batch)
    }

    /// The images of the training step, `[train_batch, channels, side, side]`, and their labels.
    pub fn train_images(&self) -> (Vec<f32>, Vec<u16>) {
        self.draw(self.train_salt, self.train_batch)
    }

    fn draw(&self, salt: u64, count: usize) -> (Vec<f32>, Vec<u16>) {
        (formula::images(salt, count, self.channels, self.side), formula::labels(count, self.classes))
    }

    /// What PyTorch computed.
    pub fn results(&self) -> Results {
        let file = GoldenFile::open(&format!("{}.safetensors", self.network()));
        let tensor = |key: &str| file.tensor(&format!("{}.{key}", self.side));
        let values =
            |key: &str| Values { data: tensor(key).data, error: tensor(&format!("{key}.error")).data[0] };
        let rows = |key: &str| match file.contains(&format!("{}.{key}", self.side)) {
            true => tensor(key).data.chunks_exact(6).map(Check::from_row).collect(),
            false => Vec::new(),
        };
        Results {
            eval_logits: values("eval.logits"),
            eval_loss: values("eval.loss"),
            input_grad_sample: Values {
                data: tensor("eval.input_grad.sample").data,
                error: tensor("eval.input_grad.error").data[0],
            },
            input_grad: rows("eval.input_grad.check"),
            train_logits: values("train.logits"),
            train_loss: values("train.loss"),
            train_grads: rows("train.grads"),
            running: rows("train.running"),
            adam_change: rows("adam.change"),
        }
    }
}

/// PyTorch's float64 results of a case. "Eval" means running statistics, "train" the batch's statistics and dropout off.
#[derive(Debug)]
pub struct Results {
    /// `[batch, classes]`.
    pub eval_logits: Values,
    /// Mean cross-entropy.
    pub eval_loss: Values,
    /// Gradient of the summed cross-entropy by the pixels: every [`Manifest::input_grad_stride`]-th element.
    pub input_grad_sample: Values,
    /// The same gradient, one check per image.
    pub input_grad: Vec<Check>,
    /// `[train_batch, classes]`.
    pub train_logits: Values,
    /// Mean cross-entropy.
    pub train_loss: Values,
    /// Gradients of the mean cross-entropy by the parameters, in torchvision's order.
    pub train_grads: Vec<Check>,
    /// Running means and variances after one training batch, in the order of [`Network::statistics`].
    pub running: Vec<Check>,
    /// Each parameter's change in the Adam step that follows, in torchvision's order.
    pub adam_change: Vec<Check>,
}

/// Stored values.
#[derive(Debug)]
pub struct Values {
    /// The float64 truth (a sampled input gradient is rounded to f32).
    pub data: Vec<f64>,
    /// Largest deviation of PyTorch's float32 run from it.
    pub error: f64,
}

/// What stands for a tensor that is not stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Check {
    /// Euclidean norm.
    pub norm: f64,
    /// Dot products with the four check vectors.
    pub sums: [f64; 4],
    /// Euclidean norm of the error of PyTorch's float32 result.
    pub error: f64,
}

/// How far a tensor may be from its [`Check`]: norm and dot products may each differ by
/// `errors · error + relative · norm + absolute`.
#[derive(Clone, Copy, Debug)]
pub struct Slack {
    /// Multiples of PyTorch's own float32 error.
    pub errors: f64,
    /// Share of the tensor's norm.
    pub relative: f64,
    /// For tensors that are zero but for rounding.
    pub absolute: f64,
}

impl Check {
    fn from_row(row: &[f64]) -> Self {
        Check { norm: row[0], sums: [row[1], row[2], row[3], row[4]], error: row[5] }
    }

    /// Norm and dot products of a tensor, to be compared with a stored check.
    pub fn of<T: Copy + Into<f64>>(tensor: &[T]) -> Self {
        let norm = tensor.iter().map(|&v| v.into().powi(2)).sum::<f64>().sqrt();
        let sum = |j| {
            let sign = formula::signs(j);
            tensor.iter().enumerate().map(|(i, &v)| sign(i) * v.into()).sum()
        };
        Check { norm, sums: [0, 1, 2, 3].map(sum), error: 0.0 }
    }

    /// Whether a tensor is within the slack.
    ///
    /// # Errors
    /// Which number is off, both values, the limit.
    pub fn verify<T: Copy + Into<f64>>(&self, tensor: &[T], slack: Slack) -> Result<(), String> {
        let actual = Check::of(tensor);
        let limit = slack.errors * self.error + slack.relative * self.norm + slack.absolute;
        let sums = actual.sums.into_iter().zip(self.sums).enumerate();
        let named = sums.map(|(j, (a, e))| (format!("dot product with check{j}"), a, e));
        for (what, a, e) in [("norm".to_owned(), actual.norm, self.norm)].into_iter().chain(named) {
            let difference = (a - e).abs();
            if difference.is_nan() || difference > limit {
                return Err(format!(
                    "{what}: {a:e}, expected {e:e}, difference {difference:e}, limit {limit:e}"
                ));
            }
        }
        Ok(())
    }
}

/// attacks.json: what torchattacks makes of images.
#[derive(Debug, Deserialize)]
pub struct Attacks {
    /// torchattacks' version.
    pub torchattacks: String,
    /// Every how many pixels adversarial images were sampled.
    pub stride: usize,
    /// Networks and attacks.
    pub cases: Vec<AttackCase>,
}

/// An attack on a network.
#[derive(Clone, Debug, Deserialize)]
pub struct AttackCase {
    /// Its tensors are `<key>.pixels` and `<key>.logits` in [`GoldenFile::attacks`].
    pub key: String,
    /// Architecture, as `--arch` spells it.
    pub arch: String,
    /// Image channels.
    pub channels: usize,
    /// Image height and width.
    pub side: usize,
    /// Class count.
    pub classes: usize,
    /// Per channel, subtracted from the pixels.
    pub mean: Vec<f32>,
    /// Per channel, what the difference is divided by.
    pub std: Vec<f32>,
    /// Centre of the batch-norm weights.
    pub bn_gain: f32,
    /// Number of images.
    pub images: usize,
    /// Their labels.
    pub labels: Vec<u16>,
    /// `FGSM` or `PGD`.
    pub method: String,
    /// ε, in pixel units.
    pub eps: f64,
    /// Size of a step of PGD.
    pub alpha: Option<f64>,
    /// Steps of PGD.
    pub steps: Option<u32>,
    /// How many adversarial images are classified as their labels say.
    pub correct: usize,
    /// Share of pixels in which torchattacks in float32 differs from itself in float64.
    pub float32_flips: f64,
}

impl AttackCase {
    /// The images, `[images, channels, side, side]`, as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let images = formula::images(0, self.images, self.channels, self.side);
        images.into_iter().map(|v| (v * 256.0) as u8).collect()
    }
}

/// functions.json: PyTorch's activations, means and products.
#[derive(Debug, Deserialize)]
pub struct Functions {
    /// PyTorch's version.
    pub torch: String,
    /// What was computed.
    pub cases: Vec<Op>,
}

/// A case of a single operation: its tensors are `<name>.x`, `<name>.y` and so on in [`GoldenFile::ops`].
#[derive(Debug, Deserialize)]
pub struct Op {
    /// Which operation.
    pub op: String,
    /// The case's name.
    pub name: String,
    /// Arguments, by operation.
    #[serde(flatten)]
    arguments: BTreeMap<String, Value>,
}

impl Op {
    /// A numeric argument.
    pub fn number(&self, key: &str) -> f64 {
        self.argument(key).as_f64().unwrap_or_else(|| panic!("{}: {key} is not a number", self.name))
    }

    /// A size.
    pub fn size(&self, key: &str) -> usize {
        let size =
            self.argument(key).as_u64().unwrap_or_else(|| panic!("{}: {key} is not a size", self.name));
        size as usize
    }

    /// A yes or no.
    pub fn flag(&self, key: &str) -> bool {
        self.argument(key).as_bool().unwrap_or_else(|| panic!("{}: {key} is not true or false", self.name))
    }

    fn argument(&self, key: &str) -> &Value {
        self.arguments.get(key).unwrap_or_else(|| panic!("{}: no argument {key}", self.name))
    }
}

/// torchvision's tensors of one architecture at 1,000 classes and 3 channels, in module order.
#[derive(Debug, Deserialize)]
pub struct Network {
    /// Number of filterable tensors.
    pub filterable_count: usize,
    /// Weights of convolutions and linear layers.
    pub filterable: Vec<String>,
    /// Everything that is trained.
    pub parameters: Vec<Entry>,
    /// Batch norm's state, `num_batches_tracked` included.
    pub buffers: Vec<Entry>,
}

impl Network {
    /// Running means and variances.
    pub fn statistics(&self) -> impl Iterator<Item = &Entry> {
        self.buffers.iter().filter(|entry| !entry.name.ends_with("num_batches_tracked"))
    }
}

/// Name and shape of a tensor.
#[derive(Debug, Deserialize)]
pub struct Entry {
    /// torchvision's name.
    pub name: String,
    /// PyTorch's shape; empty for a single number.
    pub shape: Vec<usize>,
}

/// Reads manifest.json.
pub fn manifest() -> Manifest {
    read_json("manifest.json")
}

/// Reads functions.json.
pub fn functions() -> Functions {
    read_json("functions.json")
}

/// Reads attacks.json.
pub fn attacks() -> Attacks {
    read_json("attacks.json")
}

/// Reads parameters.json: networks by architecture.
pub fn networks() -> BTreeMap<String, Network> {
    read_json("parameters.json")
}

/// A tensor of a golden file.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenTensor {
    /// PyTorch's shape.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    pub data: Vec<f64>,
}

/// A safetensors file of F32 and F64 tensors.
pub struct GoldenFile {
    name: String,
    bytes: Vec<u8>,
}

impl GoldenFile {
    /// ops.safetensors.
    pub fn ops() -> Self {
        GoldenFile::open("ops.safetensors")
    }

    /// functions.safetensors.
    pub fn functions() -> Self {
        GoldenFile::open("functions.safetensors")
    }

    /// attacks.safetensors.
    pub fn attacks() -> Self {
        GoldenFile::open("attacks.safetensors")
    }

    fn open(name: &str) -> Self {
        GoldenFile { name: name.to_owned(), bytes: read(name) }
    }

    fn parse(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap_or_else(|why| panic!("{}: {why}", self.name))
    }

    /// Whether there is such a tensor.
    pub fn contains(&self, key: &str) -> bool {
        self.parse().tensor(key).is_ok()
    }

    /// A tensor.
    pub fn tensor(&self, key: &str) -> GoldenTensor {
        let file = self.parse();
        let view = file.tensor(key).unwrap_or_else(|why| panic!("{}: {key}: {why}", self.name));
        let bytes = view.data();
        let data = match view.dtype() {
            Dtype::F32 => {
                bytes.as_chunks().0.iter().map(|&value| f64::from(f32::from_le_bytes(value))).collect()
            }
            Dtype::F64 => bytes.as_chunks().0.iter().map(|&value| f64::from_le_bytes(value)).collect(),
            other => panic!("{}: {key}: expected F32 or F64, found {other:?}", self.name),
        };
        GoldenTensor { shape: view.shape().to_vec(), data }
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../golden").join(name)
}

fn read(name: &str) -> Vec<u8> {
    let path = path(name);
    fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

fn read_json<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&read(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
}
