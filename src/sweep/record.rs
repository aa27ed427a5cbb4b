//! What a sweep was asked to do ([`SweepSettings`]) and what it found ([`Cell`], [`Record`]).

use super::sampling::Sampling;
use crate::attack::{Method, Pgd};
use crate::bits::Bits;
use crate::columnar::{Field, Kind, Value};
use crate::data::{Picked, Prepare};
use crate::filter::FilterKind;
use crate::model::CheckpointId;
use crate::models::Stem;
use crate::named_choice::named_choice;
use crate::network::BnMode;
use crate::text::hex;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

named_choice!(
    /// What is filtered at once.
    Scope, "scope" {
        /// One tensor, over its own range: the local analysis.
        Layer = "layer",
        /// The weights of one output channel of a tensor, over their own range.
        Channel = "channel",
        /// All tensors, over their common range: the global analysis.
        Network = "network"
    }
);

named_choice!(
    /// Against which network the adversarial images are made.
    AttackMode, "attack" {
        /// Anew against every filtered network.
        Adaptive = "adaptive",
        /// Once, against the unfiltered network.
        Fixed = "fixed"
    }
);

/// Everything that the cells of a sweep depend on. Two runs with equal settings have equal results; results with
/// different settings are never mixed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepSettings {
    /// The checkpoints, in the order in which they are swept.
    pub checkpoints: Vec<CheckpointId>,
    /// The architecture of all of them.
    pub arch: String,
    /// The stem of all of them.
    // Left out for torchvision's, as in cells: run folders of versions that knew no other keep their hash.
    #[serde(default, skip_serializing_if = "Stem::is_imagenet")]
    pub stem: Stem,
    /// Hash of the graph, hexadecimal.
    pub graph: String,
    /// The data set.
    pub dataset: String,
    /// SHA-256 of its test images, hexadecimal.
    pub dataset_digest: String,
    /// The images that are measured: first, and one past the last, of those that were taken.
    pub images: [usize; 2],
    /// How these were chosen; `None` for all and for the first in file order.
    // Left out for them: so run folders of versions without a choice keep their hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pick: Option<Picked>,
    /// How they were prepared, beyond an image size of a folder; `None` for images as they are.
    // Likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<Prepare>,
    /// What is filtered at once.
    pub scope: Scope,
    /// The filtered tensors in network order; empty in network scope, which filters all of them.
    pub layers: Vec<String>,
    /// The filters.
    pub filters: Vec<FilterKind>,
    /// Number of thresholds of each filter.
    pub thresholds: usize,
    /// The most that the attack moves a pixel, in pixel units, images being in [0, 1]: the size of FGSM's step.
    pub eps: f64,
    /// Against which network it is made.
    pub attack: AttackMode,
    /// How PGD makes adversarial images; `None` for FGSM.
    // Left out for FGSM: so run folders of versions without PGD keep their hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pgd: Option<Pgd>,
    /// Whether adversarial images are clipped to [0, 1].
    pub clamp: bool,
    /// Which statistics batch norm uses.
    pub bn: BnMode,
    /// Which images each network is measured on; `None` for all.
    // Left out for all: so run folders of versions that knew no other keep their hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// The number format of the computation.
    pub dtype: String,
    /// The kind of backend that computes.
    pub backend: String,
    /// The version of this program.
    pub version: String,
}

impl SweepSettings {
    /// The network in words: "resnet18", "resnet18 (3x3 stem)".
    pub fn network(&self) -> String {
        self.stem.named(&self.arch)
    }

    /// How adversarial images are made.
    pub fn method(&self) -> Method {
        self.pgd.map_or(Method::Fgsm, Method::Pgd)
    }

    /// The settings as one line of JSON, keys in the order of the fields.
    pub fn canonical_json(&self) -> String {
        // Text keys, finite numbers, no maps: there is nothing that serde_json could refuse.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// SHA-256 of the canonical JSON, hexadecimal: the name of this configuration.
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.canonical_json().as_bytes()))
    }

    /// The first setting in which `found` differs, as "name: expected …, found …".
    pub fn first_difference(&self, found: &SweepSettings) -> Option<String> {
        let json = |settings: &SweepSettings| serde_json::to_value(settings).unwrap_or_default();
        difference("", &json(self), &json(found))
    }
}

/// The first difference of two JSON values below `path`.
fn difference(path: &str, expected: &Json, found: &Json) -> Option<String> {
    if expected == found {
        return None;
    }
    if let (Json::Object(expected), Json::Object(found)) = (expected, found) {
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let only_found = found.iter().filter(|(key, _)| !expected.contains_key(*key));
        return expected
            .iter()
            .map(|(key, expected)| (key, expected, found.get(key).unwrap_or(&Json::Null)))
            .chain(only_found.map(|(key, found)| (key, &Json::Null, found)))
            .find_map(|(key, expected, found)| difference(&below(key), expected, found));
    }
    if let (Json::Array(expected), Json::Array(found)) = (expected, found)
        && expected.len() == found.len()
    {
        let mut pairs = expected.iter().zip(found).enumerate();
        return pairs
            .find_map(|(at, (expected, found))| difference(&format!("{path}[{at}]"), expected, found));
    }
    Some(format!("{path}: expected {expected}, found {found}"))
}

/// One measured network: a filter at one threshold on one layer of one checkpoint, or the unfiltered network
/// (filter "none"; layer, layer_index, channel, k and alpha null). In network scope layer and layer_index are null, and channel
/// is null but in channel scope.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// SHA-256 of the checkpoint.
    pub checkpoint: String,
    /// The architecture.
    pub arch: String,
    /// Its stem; left out, and null in tables, for torchvision's.
    #[serde(skip_serializing_if = "Stem::is_imagenet")]
    pub stem: Stem,
    /// The data set.
    pub dataset: String,
    /// The epoch of the checkpoint.
    pub epoch: Option<u32>,
    /// The seed of its training.
    pub seed: Option<u64>,
    /// What was filtered at once.
    pub scope: Scope,
    /// The filtered tensor.
    pub layer: Option<String>,
    /// Its position among the filterable tensors.
    pub layer_index: Option<usize>,
    /// The output channel whose weights are filtered, in channel scope.
    pub channel: Option<usize>,
    /// The filter; `None` for the unfiltered network.
    #[serde(serialize_with = "filter_or_none")]
    pub filter: Option<FilterKind>,
    /// The number of the threshold.
    pub k: Option<usize>,
    /// The threshold.
    pub alpha: Option<f32>,
    /// How many weights of the target are kept.
    pub kept: u64,
    /// How many there are (for the unfiltered network: all filterable weights).
    pub total: u64,
    /// Number of images.
    pub images: usize,
    /// How many there are in all, of which a sampled sweep measures each filtered network on some; null where all are measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<usize>,
    /// One in how many of them; null where all are measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thin: Option<usize>,
    /// The seed of the order in which they were visited, on which it depends which; null where all are measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_seed: Option<u64>,
    /// How many clean images were classified correctly.
    pub correct_clean: usize,
    /// How many adversarial images were classified correctly.
    pub correct_adv: usize,
    /// Mean cross-entropy of the clean images; null where it is not finite.
    pub loss_clean: Option<f64>,
    /// Mean cross-entropy of the adversarial images; null where it is not finite.
    pub loss_adv: Option<f64>,
    /// The most that the attack moves a pixel, in pixel units: the size of FGSM's step.
    pub eps: f64,
    /// Against which network it was made.
    pub attack: AttackMode,
    /// Steps of PGD; null for FGSM.
    pub pgd_steps: Option<u32>,
    /// Size of each in pixel units.
    pub pgd_step_size: Option<f64>,
    /// Seed of PGD's random start; null where it starts at the image.
    pub pgd_seed: Option<u64>,
    /// The number format of the computation.
    pub dtype: String,
}

/// The filter's name in a record: "none" for the unfiltered network.
pub fn filter_name(filter: Option<FilterKind>) -> &'static str {
    filter.map_or("none", FilterKind::name)
}

fn filter_or_none<S: Serializer>(filter: &Option<FilterKind>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(filter_name(*filter))
}

/// A cell with its bits, one per image: what the scores and their standard errors are made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The cell.
    pub cell: Cell,
    /// 1 for each clean image that was classified correctly.
    pub clean: Bits,
    /// 1 for each adversarial image that was classified correctly.
    pub adv: Bits,
    /// In a sampled sweep, 1 for each image of the pool, in file order, that the network was measured on.
    pub seen: Option<Bits>,
}

/// The columns of `cells.parquet`. A seed is u64 in the bits of a signed number.
pub const CELL_COLUMNS: &[Field] = &[
    Field { name: "checkpoint", kind: Kind::Text, optional: false },
    Field { name: "arch", kind: Kind::Text, optional: false },
    Field { name: "stem", kind: Kind::Text, optional: true },
    Field { name: "dataset", kind: Kind::Text, optional: false },
    Field { name: "epoch", kind: Kind::Int, optional: true },
    Field { name: "seed", kind: Kind::Int, optional: true },
    Field { name: "scope", kind: Kind::Text, optional: false },
    Field { name: "layer", kind: Kind::Text, optional: true },
    Field { name: "layer_index", kind: Kind::Int, optional: true },
    Field { name: "channel", kind: Kind::Int, optional: true },
    Field { name: "filter", kind: Kind::Text, optional: false },
    Field { name: "k", kind: Kind::Int, optional: true },
    Field { name: "alpha", kind: Kind::Float, optional: true },
    Field { name: "kept", kind: Kind::Int, optional: false },
    Field { name: "total", kind: Kind::Int, optional: false },
    Field { name: "images", kind: Kind::Int, optional: false },
    Field { name: "correct_clean", kind: Kind::Int, optional: false },
    Field { name: "correct_adv", kind: Kind::Int, optional: false },
    Field { name: "loss_clean", kind: Kind::Double, optional: true },
    Field { name: "loss_adv", kind: Kind::Double, optional: true },
    Field { name: "eps", kind: Kind::Double, optional: false },
    Field { name: "attack", kind: Kind::Text, optional: false },
    Field { name: "pgd_steps", kind: Kind::Int, optional: true },
    Field { name: "pgd_step_size", kind: Kind::Double, optional: true },
    Field { name: "pgd_seed", kind: Kind::Int, optional: true },
    Field { name: "dtype", kind: Kind::Text, optional: false },
    Field { name: "bits_clean", kind: Kind::Bytes, optional: false },
    Field { name: "bits_adv", kind: Kind::Bytes, optional: false },
    Field { name: "pool", kind: Kind::Int, optional: true },
    Field { name: "thin", kind: Kind::Int, optional: true },
    Field { name: "order_seed", kind: Kind::Int, optional: true },
    Field { name: "bits_seen", kind: Kind::Bytes, optional: true },
];

/// The columns of a sweep that measures all images: without the last four, as before there were others.
pub const WHOLE_CELL_COLUMNS: &[Field] = CELL_COLUMNS.split_at(CELL_COLUMNS.len() - 4).0;

impl Record {
    /// The row of `cells.parquet`, in the order of [`CELL_COLUMNS`].
    pub fn to_row(&self) -> Vec<Value> {
        let cell = &self.cell;
        vec![
            cell.checkpoint.as_str().into(),
            cell.arch.as_str().into(),
            cell.stem.told().into(),
            cell.dataset.as_str().into(),
            cell.epoch.into(),
            cell.seed.map(|seed| seed as i64).into(),
            cell.scope.to_string().into(),
            cell.layer.as_deref().into(),
            cell.layer_index.map(|index| index as i64).into(),
            cell.channel.map(|channel| channel as i64).into(),
            filter_name(cell.filter).into(),
            cell.k.map(|k| k as i64).into(),
            cell.alpha.into(),
            (cell.kept as i64).into(),
            (cell.total as i64).into(),
            (cell.images as i64).into(),
            (cell.correct_clean as i64).into(),
            (cell.correct_adv as i64).into(),
            cell.loss_clean.into(),
            cell.loss_adv.into(),
            cell.eps.into(),
            cell.attack.to_string().into(),
            cell.pgd_steps.into(),
            cell.pgd_step_size.into(),
            cell.pgd_seed.map(|seed| seed as i64).into(),
            cell.dtype.as_str().into(),
            self.clean.as_bytes().to_vec().into(),
            self.adv.as_bytes().to_vec().into(),
            cell.pool.map(|pool| pool as i64).into(),
            cell.thin.map(|thin| thin as i64).into(),
            cell.order_seed.map(|seed| seed as i64).into(),
            self.seen.as_ref().map_or(Value::Null, |seen| seen.as_bytes().to_vec().into()),
        ]
    }

    /// A record from its row; the name of the first column that does not hold what it should, if one does not.
    pub fn from_row(row: Vec<Value>) -> Result<Record, &'static str> {
        let mut row = Row { values: row.into_iter(), column: 0 };
        let mut cell = Cell {
            checkpoint: row.text()?,
            arch: row.text()?,
            stem: row.optional(|value| value.text()?.parse().ok())?.unwrap_or_default(),
            dataset: row.text()?,
            epoch: row.optional(|value| value.int())?,
            seed: row.optional(|value| value.int::<i64>())?.map(|seed| seed as u64),
            scope: row.parsed()?,
            layer: row.optional(|value| value.text())?,
            layer_index: row.optional(|value| value.int())?,
            channel: row.optional(|value| value.int())?,
            filter: match row.text()?.as_str() {
                "none" => None,
                name => Some(name.parse().map_err(|_| row.name())?),
            },
            k: row.optional(|value| value.int())?,
            alpha: row.optional(|value| value.float())?,
            kept: row.int()?,
            total: row.int()?,
            images: row.int()?,
            pool: None,
            thin: None,
            order_seed: None,
            correct_clean: row.int()?,
            correct_adv: row.int()?,
            loss_clean: row.optional(|value| value.double())?,
            loss_adv: row.optional(|value| value.double())?,
            eps: row.take(|value| value.double())?,
            attack: row.parsed()?,
            pgd_steps: row.optional(|value| value.int())?,
            pgd_step_size: row.optional(|value| value.double())?,
            pgd_seed: row.optional(|value| value.int::<i64>())?.map(|seed| seed as u64),
            dtype: row.text()?,
        };
        let images = cell.images;
        let bits = |value: Value| Bits::from_bytes(images, value.bytes()?);
        let clean = row.take(bits).and_then(|bits| row.counted(bits, cell.correct_clean))?;
        let adv = row.take(bits).and_then(|bits| row.counted(bits, cell.correct_adv))?;
        cell.pool = row.optional(|value| value.int())?;
        cell.thin = row.optional(|value| value.int())?;
        cell.order_seed = row.optional(|value| value.int::<i64>())?.map(|seed| seed as u64);
        let pool = cell.pool;
        let seen = row.optional(|value| Bits::from_bytes(pool?, value.bytes()?))?;
        let sound = match (&seen, cell.thin, cell.order_seed) {
            (None, None, None) => pool.is_none(),
            (Some(seen), Some(_), Some(_)) => seen.count_ones() == images,
            _ => false,
        };
        if sound { Ok(Record { cell, clean, adv, seen }) } else { Err(row.name()) }
    }
}

/// The values of a row of `cells.parquet`, taken in order.
struct Row<I> {
    values: I,
    column: usize,
}

impl<I: Iterator<Item = Value>> Row<I> {
    /// The column that was taken last.
    fn name(&self) -> &'static str {
        CELL_COLUMNS.get(self.column.wrapping_sub(1)).map_or("columns", |field| field.name)
    }

    fn take<T>(&mut self, convert: impl FnOnce(Value) -> Option<T>) -> Result<T, &'static str> {
        self.column += 1;
        self.values.next().and_then(convert).ok_or_else(|| self.name())
    }

    fn optional<T>(&mut self, convert: impl FnOnce(Value) -> Option<T>) -> Result<Option<T>, &'static str> {
        self.take(|value| if value == Value::Null { Some(None) } else { convert(value).map(Some) })
    }

    fn text(&mut self) -> Result<String, &'static str> {
        self.take(Value::text)
    }

    fn int<T: TryFrom<i64>>(&mut self) -> Result<T, &'static str> {
        self.take(|value| value.int())
    }

    fn parsed<T: std::str::FromStr>(&mut self) -> Result<T, &'static str> {
        self.take(|value| value.text()?.parse().ok())
    }

    /// The bits, if as many are set as the count of the same row says.
    fn counted(&self, bits: Bits, ones: usize) -> Result<Bits, &'static str> {
        if bits.count_ones() == ones { Ok(bits) } else { Err(self.name()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SweepSettings {
        SweepSettings {
            checkpoints: vec![CheckpointId {
                sha256: "ab".into(),
                key: None,
                epoch: Some(10),
                seed: None,
                mean: vec![0.1307],
                std: vec![0.3081],
            }],
            arch: "resnet18".into(),
            stem: Stem::Imagenet,
            graph: "cd".into(),
            dataset: "digits".into(),
            dataset_digest: "ef".into(),
            images: [0, 1000],
            pick: None,
            prepare: None,
            scope: Scope::Layer,
            layers: vec!["conv1.weight".into(), "fc.weight".into()],
            filters: FilterKind::ALL.to_vec(),
            thresholds: 25,
            eps: 8.0 / 255.0,
            attack: AttackMode::Adaptive,
            pgd: None,
            clamp: true,
            bn: BnMode::Running,
            sampling: None,
            dtype: "f32".into(),
            backend: "cpu".into(),
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn settings_have_one_spelling_and_one_hash() {
        let text = settings().canonical_json();
        assert!(
            text.starts_with(r#"{"checkpoints":[{"sha256":"ab","epoch":10,"mean":[0.1307],"std":[0.3081]}],"arch":"resnet18","#),
            "{text}"
        );
        assert!(text.contains(r#""filters":["high-pass","low-pass","pulse"]"#), "{text}");
        let back: SweepSettings = serde_json::from_str(&text).unwrap();
        assert_eq!(back, settings());
        assert_eq!(back.hash(), settings().hash());
        assert_eq!(settings().hash().len(), 64);
    }

    #[test]
    fn every_setting_changes_the_hash_and_is_named() {
        type Change = fn(&mut SweepSettings);
        let changes: [(Change, &str); 20] = [
            (
                |s| s.checkpoints[0].sha256 = "00".into(),
                r#"checkpoints[0].sha256: expected "ab", found "00""#,
            ),
            (|s| s.checkpoints[0].seed = Some(1), "checkpoints[0].seed: expected null, found 1"),
            (|s| s.arch = "x".into(), r#"arch: expected "resnet18", found "x""#),
            (|s| s.stem = Stem::Small, r#"stem: expected null, found "3x3""#),
            (|s| s.graph = "x".into(), "graph: "),
            (|s| s.dataset = "x".into(), "dataset: "),
            (|s| s.dataset_digest = "x".into(), "dataset_digest: "),
            (|s| s.images[1] = 10, "images[1]: expected 1000, found 10"),
            (|s| s.scope = Scope::Network, r#"scope: expected "layer", found "network""#),
            (
                |s| s.layers.truncate(1),
                r#"layers: expected ["conv1.weight","fc.weight"], found ["conv1.weight"]"#,
            ),
            (|s| s.filters.truncate(2), "filters: "),
            (|s| s.thresholds = 24, "thresholds: expected 25, found 24"),
            (|s| s.eps = 0.1, "eps: expected 0.03137254901960784, found 0.1"),
            (|s| s.attack = AttackMode::Fixed, "attack: "),
            (|s| s.clamp = false, "clamp: expected true, found false"),
            (|s| s.bn = BnMode::Batch, "bn: "),
            (|s| s.pgd = Some(Pgd { steps: 3, step_size: None, seed: None }), "pgd: expected null"),
            (|s| s.dtype = "f16".into(), "dtype: "),
            (|s| s.backend = "cuda".into(), "backend: "),
            (|s| s.version = "0.2.0".into(), "version: "),
        ];
        assert_eq!(settings().first_difference(&settings()), None);
        for (change, expected) in changes {
            let mut other = settings();
            change(&mut other);
            assert_ne!(other.hash(), settings().hash(), "{expected}");
            let found = settings().first_difference(&other).unwrap();
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn fgsm_leaves_no_trace_of_pgd_and_pgd_differs_by_its_settings() {
        assert!(
            !["pgd", "seed"].iter().any(|key| settings().canonical_json().contains(key)),
            "the hash of runs without them stays what it was"
        );
        let pgd =
            |steps, seed| SweepSettings { pgd: Some(Pgd { steps, step_size: None, seed }), ..settings() };
        let differs = |a: SweepSettings, b: SweepSettings| a.first_difference(&b).unwrap();
        assert_eq!(differs(pgd(3, None), pgd(4, None)), "pgd.steps: expected 3, found 4");
        assert_eq!(differs(pgd(3, None), pgd(3, Some(1))), "pgd.seed: expected null, found 1");
        assert!(differs(pgd(3, None), settings()).starts_with("pgd: expected {"));
        let back: SweepSettings = serde_json::from_str(&pgd(3, Some(u64::MAX)).canonical_json()).unwrap();
        assert_eq!(back, pgd(3, Some(u64::MAX)));
    }

    #[test]
    fn records_survive_their_row() {
        let bits = |ones| (0..9).map(|at| at < ones).collect::<Bits>();
        let cell = Cell {
            checkpoint: "ab".into(),
            arch: "resnet18".into(),
            stem: Stem::Imagenet,
            dataset: "digits".into(),
            epoch: None,
            seed: Some(u64::MAX),
            scope: Scope::Layer,
            layer: Some("fc.weight".into()),
            layer_index: Some(20),
            channel: Some(7),
            filter: Some(FilterKind::Pulse),
            k: Some(3),
            alpha: Some(-0.1),
            kept: 5,
            total: 9,
            images: 9,
            pool: None,
            thin: None,
            order_seed: None,
            correct_clean: 4,
            correct_adv: 2,
            loss_clean: Some(0.5),
            loss_adv: None,
            eps: 0.1,
            attack: AttackMode::Fixed,
            pgd_steps: Some(10),
            pgd_step_size: Some(0.01),
            pgd_seed: Some(u64::MAX),
            dtype: "f32".into(),
        };
        let record = Record { cell, clean: bits(4), adv: bits(2), seen: None };
        assert_eq!(record.to_row().len(), CELL_COLUMNS.len());
        assert_eq!(Record::from_row(record.to_row()), Ok(record.clone()));
        let mut small = record.clone();
        small.cell.stem = Stem::Small;
        assert_eq!(Record::from_row(small.to_row()), Ok(small.clone()));
        let mut sampled = record.clone();
        sampled.seen = Some((0..20).map(|at| at % 2 == 0 && at < 18).collect());
        (sampled.cell.pool, sampled.cell.thin, sampled.cell.order_seed) = (Some(20), Some(2), Some(u64::MAX));
        assert_eq!(Record::from_row(sampled.to_row()), Ok(sampled.clone()));
        let json = |record: &Record| serde_json::to_string(&record.cell).unwrap();
        assert!(
            json(&small).contains(r#""arch":"resnet18","stem":"3x3","dataset""#)
                && !json(&record).contains("stem")
        );
        let mut none = record.clone();
        none.cell = Cell {
            layer: None,
            layer_index: None,
            channel: None,
            filter: None,
            k: None,
            alpha: None,
            pgd_steps: None,
            pgd_step_size: None,
            pgd_seed: None,
            ..none.cell
        };
        assert_eq!(Record::from_row(none.to_row()), Ok(none.clone()));
        assert!(
            serde_json::to_string(&none.cell).unwrap().contains(r#""filter":"none","k":null,"alpha":null"#)
        );

        let column = |name| CELL_COLUMNS.iter().position(|field| field.name == name).unwrap();
        let damaged = |name, value: Value| {
            let mut row = record.to_row();
            row[column(name)] = value;
            Record::from_row(row).unwrap_err()
        };
        assert_eq!(damaged("stem", "5x5".into()), "stem");
        assert_eq!(damaged("scope", "tensor".into()), "scope");
        assert_eq!(damaged("filter", "band".into()), "filter");
        assert_eq!(damaged("kept", Value::Int(-1)), "kept");
        assert_eq!(damaged("correct_clean", Value::Int(5)), "bits_clean");
        assert_eq!(damaged("bits_adv", vec![0u8; 3].into()), "bits_adv");
        assert_eq!(Record::from_row(record.to_row()[..column("bits_adv")].to_vec()), Err("bits_adv"));
        // Other images than were measured, or seen ones of no pool.
        sampled.cell.pool = Some(16);
        assert_eq!(Record::from_row(sampled.to_row()), Err("bits_seen"));
        sampled.cell.pool = None;
        assert_eq!(Record::from_row(sampled.to_row()), Err("bits_seen"));
    }
}
