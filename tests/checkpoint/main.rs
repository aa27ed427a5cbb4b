//! Checkpoints: PyTorch's own files (made by fixtures/pth/make.py) and safetensors both ways; find.rs looks for networks
//! in files of other programs, parts.rs for such in two parts and under conventions of their own, foreign.rs holds what
//! else other programs write, hostile.rs what must be refused.

mod families;
mod find;
mod foreign;
mod hostile;
mod layers;
mod parts;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use synfilter::Error;
use synfilter::checkpoint::{Checkpoint, File, Metadata, Tensor};
use tempfile::TempDir;

const COUNTER: &str = "bn1.num_batches_tracked";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pth").join(name)
}

fn load(name: &str) -> Checkpoint {
    Checkpoint::load(fixture(name)).unwrap_or_else(|error| panic!("{error}"))
}

/// The small network of `state_dict`, looked for in a fixture.
fn network_in(name: &str) -> Checkpoint {
    let file = File::open(fixture(name)).unwrap_or_else(|error| panic!("{error}"));
    let found = file.find("the network", &expected_shapes(), None).unwrap_or_else(|error| panic!("{error}"));
    file.read(&found, &expected_shapes()).unwrap_or_else(|error| panic!("{error}"))
}

fn load_bytes(bytes: &[u8]) -> Result<Checkpoint, Error> {
    Checkpoint::from_bytes(bytes, "file")
}

/// Place, expected and found of the [`Error::Input`] that `result` must be, which is one line.
fn input_error<T: std::fmt::Debug>(result: Result<T, Error>) -> (String, String, String) {
    let error = result.expect_err("an error");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    assert_eq!(error.exit_code(), 3);
    match error {
        Error::Input { place, expected, found, .. } => (place, expected, found),
        other => panic!("another kind of error: {other}"),
    }
}

/// make.py's `ramp`: element i is `start + step · i`.
fn ramp(shape: &[usize], start: f32, step: f32) -> Tensor {
    let data = (0..shape.iter().product()).map(|i: usize| start + step * i as f32).collect();
    Tensor { shape: shape.to_vec(), data }
}

/// make.py's `state_dict`, but for its counter.
fn state_dict() -> BTreeMap<String, Tensor> {
    [
        ("conv1.weight", ramp(&[2, 3, 3, 3], -4.0, 0.25)),
        ("bn1.running_var", ramp(&[2], 1.0, 0.25)),
        ("fc.weight", ramp(&[5, 2], 0.5, 0.25)),
        ("fc.bias", ramp(&[5], -1.0, 0.25)),
    ]
    .map(|(name, tensor)| (name.to_owned(), tensor))
    .into()
}

fn expected_shapes() -> Vec<(String, Vec<usize>)> {
    ["conv1.weight", "bn1.running_var", "fc.weight", "fc.bias"]
        .map(|name| (name.to_owned(), state_dict()[name].shape.clone()))
        .into()
}

fn example() -> Checkpoint {
    let mut checkpoint = Checkpoint { tensors: state_dict(), ..Checkpoint::default() };
    checkpoint.tensors.insert("optimizer.exp_avg.fc.bias".into(), ramp(&[5], 0.1, 0.3));
    checkpoint.tensors.insert("optimizer.lr".into(), Tensor { shape: vec![], data: vec![1e-3] });
    checkpoint.counters.insert(COUNTER.into(), i64::MAX);
    checkpoint.counters.insert("optimizer.step".into(), 17);
    checkpoint.meta = Metadata {
        arch: Some("resnet18".into()),
        stem: Some("3x3-pool".into()),
        dataset: Some("cifar10".into()),
        classes: Some(5),
        channels: Some(3),
        mean: Some(vec![0.485, 0.456, 0.1 + 0.2]),
        std: Some(vec![0.229, f32::MIN_POSITIVE, 1.0]),
        epoch: Some(0),
        seed: Some(u64::MAX),
        extra: BTreeMap::from([("note".into(), "two\nlines, \"quoted\", ε".into())]),
    };
    checkpoint
}

#[test]
fn every_form_of_the_same_state_dict_reads_alike() {
    for name in [
        "zip.pth",
        "legacy.pth",
        "data_parallel.pth",
        "wrapped_prefixes.pth",
        "f16.pth",
        "bf16.pth",
        "f64.pth",
        "training.pth",
        "model_state_dict.pth",
        "lightning.ckpt",
    ] {
        let checkpoint = network_in(name);
        assert_eq!(checkpoint.tensors, state_dict(), "{name}");
        assert_eq!(checkpoint.counters, BTreeMap::from([(COUNTER.into(), 1_234_567_890_123)]), "{name}");
    }
    let parameters = network_in("parameters.pth");
    assert_eq!(parameters.tensors, state_dict());
    assert!(parameters.counters.is_empty());
}

#[test]
fn a_module_state_dict_keeps_all_buffers() {
    let checkpoint = load("module_state.pth");
    let names: Vec<&str> = checkpoint.model_tensors().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["bn.bias", "bn.running_mean", "bn.running_var", "bn.weight", "conv.bias", "conv.weight"]
    );
    assert_eq!(checkpoint.tensors["conv.weight"], ramp(&[2, 1, 3, 3], 0.0, 0.25));
    assert_eq!(checkpoint.tensors["bn.running_var"], ramp(&[2], 5.0, 0.25));
    assert_eq!(checkpoint.counters, BTreeMap::from([("bn.num_batches_tracked".into(), 0)]));
}

#[test]
fn views_are_read_in_the_order_in_which_they_are_seen() {
    for name in ["views.pth", "views_legacy.pth"] {
        let tensors = load(name).tensors;
        let check = |key: &str, shape: &[usize], element: &dyn Fn(usize) -> usize| {
            let count: usize = shape.iter().product();
            let data: Vec<f32> = (0..count).map(|i| element(i) as f32).collect();
            assert_eq!(tensors[key], Tensor { shape: shape.to_vec(), data }, "{name}: {key}");
        };
        check("transposed", &[6, 4], &|i| (i % 4) * 6 + i / 4);
        check("rows", &[2, 6], &|i| 6 + i);
        check("columns", &[4, 2], &|i| (i / 2) * 6 + 2 + i % 2);
        check("every_other", &[2, 3], &|i| (i / 3) * 12 + 1 + (i % 3) * 2);
        check("permuted", &[4, 2, 3], &|i| (i / 3 % 2) * 12 + (i % 3) * 4 + i / 6);
        check("expanded", &[3, 4], &|i| 7 + i / 4);
        check("channels_last", &[2, 3, 2, 2], &|i| i);
        check("empty", &[0, 3], &|i| i);
        assert_eq!(tensors["scalar"], Tensor { shape: vec![], data: vec![2.5] });
        assert_eq!(tensors.len(), 9);
    }
}

#[test]
fn names_may_share_a_storage() {
    let tensors = load("shared.pth").tensors;
    assert_eq!(tensors["a"], ramp(&[3, 2], 1.0, 0.25));
    assert_eq!(tensors["b"], tensors["a"]);
    assert_eq!(tensors["first_row"], ramp(&[2], 1.0, 0.25));
}

#[test]
fn plain_values_beside_the_weights_become_metadata() {
    let meta = |name| File::open(fixture(name)).unwrap().metadata(3, 5).unwrap();
    let (training, told) = meta("training.pth");
    assert_eq!((training.epoch, training.arch.as_deref()), (Some(7), Some("resnet18")));
    assert_eq!(training.extra, BTreeMap::from([("lr".into(), "0.125".into())]));
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(meta("model_state_dict.pth").0, Metadata { epoch: Some(3), ..Metadata::default() });
    let (lightning, _) = meta("lightning.ckpt");
    assert_eq!(lightning.epoch, Some(4));
    assert_eq!(lightning.extra["global_step"], "500");
    assert_eq!(meta("zip.pth").0, Metadata::default());
}

#[test]
fn python_code_is_named_and_never_run() {
    for name in ["system_call.pth", "system_call_legacy.pth"] {
        let objects = [("note".to_owned(), "a `posix.system`".to_owned())];
        assert_eq!(File::open(fixture(name)).unwrap().objects(), objects, "{name}");
        assert_eq!(network_in(name).tensors, state_dict(), "{name}");
    }
    assert!(!Path::new("synfilter-executed-a-pickle").exists());
}

#[test]
fn files_without_usable_weights_are_refused() {
    let (place, expected, found) = input_error(Checkpoint::load(fixture("integers.pth")));
    assert_eq!((place.as_str(), found.as_str()), ("tensor `table`", "int64"));
    assert!(expected.contains("float32"));
    let (_, expected, found) = input_error(Checkpoint::load(fixture("no_tensors.pth")));
    assert_eq!(expected, "a state dict with tensors");
    assert_eq!(found, "a dict of 2 items {`epoch`: an int, `state_dict`: a dict}");
    let shapes = [("fc.weight".to_owned(), vec![2, 2])];
    let not_finite = load("nan.pth").check_shapes("nan.pth", &shapes).unwrap_err();
    assert_eq!(
        not_finite.to_string(),
        "nan.pth: tensor `fc.weight`, flat index 2: expected a finite number, found NaN"
    );

    let missing = Checkpoint::load(fixture("not-there.pth")).unwrap_err();
    assert!(matches!(missing, Error::Read { .. }), "{missing}");
}

#[test]
fn other_formats_are_told_apart() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    tar.append_data(&mut header, "storages", &b"abc"[..]).unwrap();
    let (_, _, found) = input_error(load_bytes(&tar.into_inner().unwrap()));
    assert!(found.starts_with("a tar archive"), "{found}");

    assert_eq!(input_error(load_bytes(b"")).2, "an empty file");
    assert_eq!(input_error(load_bytes(b"<!DOCTYPE html>")).0, "byte 0");
    let zip = zip_of(&[("readme.txt", b"hello", zip::CompressionMethod::Stored)]);
    assert_eq!(input_error(load_bytes(&zip)).2, "1 others: readme.txt");
    // A plain pickle: {}
    let (_, _, found) = input_error(load_bytes(b"\x80\x02}."));
    assert_eq!(found, "a pickle of a dict, as pickle.dump writes; save it with torch.save");
}

#[test]
fn saving_and_loading_gives_the_same_checkpoint_and_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    let original = example();
    original.save(&first).unwrap();
    let mut loaded = Checkpoint::load(&first).unwrap();
    loaded.save(&second).unwrap();
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    assert_eq!(loaded.sha256, Checkpoint::load(&second).unwrap().sha256);
    assert_eq!(loaded.sha256.len(), 64);
    loaded.sha256.clear();
    assert_eq!(loaded, original);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");

    // Over a file that is there already.
    load("zip.pth").save(&first).unwrap();
    assert_eq!(Checkpoint::load(&first).unwrap().tensors, state_dict());
}

#[test]
fn the_reference_implementation_reads_what_we_write() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    let original = example();
    original.save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(metadata["mean"], "0.485,0.456,0.3");
    assert_eq!(metadata["classes"], "5");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), original.tensors.len() + original.counters.len());
    for (name, tensor) in &original.tensors {
        let view = file.tensor(name).unwrap();
        let data: Vec<u8> = tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!((view.dtype(), view.shape(), view.data()), (Dtype::F32, &tensor.shape[..], &data[..]));
    }
    let counter = file.tensor(COUNTER).unwrap();
    assert_eq!((counter.dtype(), counter.shape()), (Dtype::I64, &[][..]));
    assert_eq!(counter.data(), i64::MAX.to_le_bytes());
}

#[test]
fn we_read_what_the_reference_implementation_writes() {
    let values = [1.5f32, -2.0, 0.0, 65504.0];
    let f16: Vec<u8> = values.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect();
    let bf16: Vec<u8> = values.iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect();
    let f64: Vec<u8> = values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
    let count = 9i64.to_le_bytes();
    let view = |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data).unwrap();
    let tensors = [
        ("half", view(Dtype::F16, &[4], &f16)),
        ("bfloat", view(Dtype::BF16, &[2, 2], &bf16)),
        ("double", view(Dtype::F64, &[1, 4], &f64)),
        (COUNTER, view(Dtype::I64, &[], &count)),
    ];
    let metadata = [("mean", "0.25, 1"), ("std", "0.5, 0.25"), ("epoch", "7")];
    let metadata = HashMap::from(metadata.map(|(name, text)| (name.to_owned(), text.to_owned())));
    let bytes = safetensors::serialize(tensors, Some(metadata)).unwrap();
    let checkpoint = load_bytes(&bytes).unwrap();
    let expect = |shape: &[usize], data: [f32; 4]| Tensor { shape: shape.to_vec(), data: data.into() };
    assert_eq!(checkpoint.tensors["half"], expect(&[4], values));
    assert_eq!(checkpoint.tensors["bfloat"], expect(&[2, 2], [1.5, -2.0, 0.0, 65536.0]));
    assert_eq!(checkpoint.tensors["double"], expect(&[1, 4], values));
    assert_eq!(checkpoint.counters[COUNTER], 9);
    let meta = checkpoint.meta;
    assert_eq!((meta.mean, meta.std, meta.epoch), (Some(vec![0.25, 1.0]), Some(vec![0.5, 0.25]), Some(7)));
}

#[test]
fn a_failed_save_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let in_the_way = folder.path().join("a-folder");
    fs::create_dir_all(in_the_way.join("inside")).unwrap();
    for path in [in_the_way, folder.path().join("no-such-folder/file"), PathBuf::from("..")] {
        let error = example().save(&path).unwrap_err();
        assert!(matches!(error, Error::Write { .. }), "{error}");
        assert_eq!(error.exit_code(), 1);
    }
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    type Change = fn(&mut Checkpoint);
    let changes: [(&str, Change); 6] = [
        ("shape [3], 2 elements", |c| c.tensors.get_mut("bn1.running_var").unwrap().shape = vec![3]),
        ("not a counter's name", |c| c.counters.extend([("epoch".into(), 1)])),
        ("is there twice", |c| drop(c.tensors.insert(COUNTER.into(), ramp(&[], 0.0, 0.0)))),
        ("metadata `mean`", |c| c.meta.mean = Some(vec![f32::NAN])),
        ("metadata `seed`", |c| drop(c.meta.extra.insert("seed".into(), "1".into()))),
        ("without tensors", |c| c.tensors.clear()),
    ];
    for (message, change) in changes {
        let mut checkpoint = example();
        change(&mut checkpoint);
        let error = checkpoint.save(&path).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), b"old");
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a-folder", "file"]);
}

#[test]
fn a_checkpoint_of_another_network_is_refused_by_tensor() {
    let message = |change: fn(&mut BTreeMap<String, Tensor>)| {
        let mut checkpoint = example();
        change(&mut checkpoint.tensors);
        checkpoint.check_shapes("f", &expected_shapes()).unwrap_err().to_string()
    };
    example().check_shapes("f", &expected_shapes()).unwrap();
    let mut with_counter = expected_shapes();
    with_counter.insert(1, ("bn9.num_batches_tracked".into(), vec![]));
    example().check_shapes("f", &with_counter).unwrap();

    assert_eq!(
        message(|t| {
            t.remove("conv1.weight");
            t.insert("layer1.0.weight".into(), ramp(&[7], 0.0, 1.0));
            t.insert("fc.bias".into(), ramp(&[10], 0.0, 1.0));
        }),
        "f: tensor `conv1.weight`: expected shape [2, 3, 3, 3], found no such tensor (1 missing, 1 extra, 1 mis-shaped)"
    );
    assert_eq!(
        message(|t| drop(t.insert("conv0.weight".into(), ramp(&[7], 0.0, 1.0)))),
        "f: tensor `conv0.weight`: expected no tensor of this name in the network, found shape [7] (0 missing, 1 extra, 0 mis-shaped)"
    );
    assert_eq!(
        message(|t| drop(t.insert("conv1.weight".into(), ramp(&[2, 1, 3, 3], 0.0, 1.0)))),
        "f: tensor `conv1.weight`: expected shape [2, 3, 3, 3], found shape [2, 1, 3, 3] (0 missing, 0 extra, 1 mis-shaped)"
    );
    assert_eq!(
        message(|t| {
            t.insert("fc.weight".into(), ramp(&[200, 2], 0.0, 1.0));
            t.insert("fc.bias".into(), ramp(&[200], 0.0, 1.0));
        }),
        "f: classifier `fc`: expected 5 classes, found 200 classes"
    );
    // The classifier's width is no matter of classes.
    assert!(
        message(|t| drop(t.insert("fc.weight".into(), ramp(&[5, 3], 0.0, 1.0)))).contains("1 mis-shaped")
    );
    assert!(
        message(|t| t.get_mut("fc.weight").unwrap().data[9] = f32::NEG_INFINITY)
            .ends_with("tensor `fc.weight`, flat index 9: expected a finite number, found -inf")
    );
    let mut checkpoint = example();
    checkpoint.tensors.get_mut("optimizer.lr").unwrap().data[0] = f32::NAN;
    checkpoint.check_shapes("f", &expected_shapes()).unwrap();
    assert_eq!(checkpoint.model_tensors().count(), 4);
}

fn zip_of(entries: &[(&str, &[u8], zip::CompressionMethod)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content, method) in entries {
        let options = zip::write::SimpleFileOptions::default().compression_method(*method);
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn a_real_squeezenet_loads() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/squeezenet1_1-imagenet.safetensors");
    if !path.exists() {
        println!("skipped: no {}", path.display());
        return;
    }
    let checkpoint = Checkpoint::load(&path).unwrap();
    assert_eq!(checkpoint.sha256, "23aaddc9a8163ae8de51f22cfb08515827f12df6b8356915a9e79f54493f2c35");
    assert_eq!(checkpoint.tensors.len(), 52);
    assert_eq!(checkpoint.tensors.values().map(|tensor| tensor.data.len()).sum::<usize>(), 1_235_496);
    assert_eq!(checkpoint.tensors["classifier.1.weight"].shape, [1000, 512, 1, 1]);
}
