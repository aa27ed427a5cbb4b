//! Networks in files as people have them: prefixes, wrapper keys, other names, masks, strangers, several networks, and
//! what is no checkpoint at all.

use crate::{expected_shapes, fixture, input_error, network_in, ramp, state_dict, zip_of};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::{BTreeMap, HashMap};
use synfilter::checkpoint::{Checkpoint, Expected, File, Found, Tensor};
use synfilter::{Error, Result};
use tempfile::TempDir;

/// A safetensors file of these tensors, in this order, and these metadata.
pub fn file_of(tensors: &[(String, Tensor)], metadata: &[(&str, &str)]) -> File {
    let bytes =
        |tensor: &Tensor| tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let data: Vec<Vec<u8>> = tensors.iter().map(|(_, tensor)| bytes(tensor)).collect();
    let views = tensors.iter().zip(&data).map(|((name, tensor), data)| {
        (name.clone(), TensorView::new(Dtype::F32, tensor.shape.clone(), data).unwrap())
    });
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let metadata = (!metadata.is_empty()).then_some(metadata);
    File::from_bytes(safetensors::serialize(views, metadata).unwrap(), "file").unwrap()
}

/// The tensors of the small network under other names.
pub fn renamed(name: impl Fn(&str) -> String) -> Vec<(String, Tensor)> {
    state_dict().into_iter().map(|(own, tensor)| (name(&own), tensor)).collect()
}

pub fn find(file: &File) -> Result<(Found, Checkpoint)> {
    let found = file.find("the network", &expected_shapes(), None)?;
    let checkpoint = file.read(&found, &expected_shapes())?;
    Ok((found, checkpoint))
}

/// What is found in a file that holds the small network.
pub fn found(tensors: &[(String, Tensor)]) -> Found {
    let (found, checkpoint) = find(&file_of(tensors, &[])).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(checkpoint.tensors, state_dict());
    found
}

/// The message of a file in which there is no such network.
pub fn refused(tensors: &[(String, Tensor)]) -> String {
    let error = find(&file_of(tensors, &[])).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    error.to_string()
}

#[test]
fn any_prefix_leads_to_the_network() {
    let prefixes = [
        "",
        "module.",
        "model.",
        "_orig_mod.",
        "module._orig_mod.",
        "net.",
        "backbone.",
        "1.module.",
        "model.net.",
        "checkpoint.0.state_dict.",
    ];
    for prefix in prefixes {
        let found = found(&renamed(|name| format!("{prefix}{name}")));
        assert_eq!(found.key, prefix.trim_end_matches('.'));
        assert!(found.others.is_empty() && found.renamed.is_empty() && found.passed_over.is_empty());
    }
    assert_eq!(network_in("nested.pth").tensors, state_dict());
}

#[test]
fn wrappers_within_the_network_are_seen_through() {
    for wrapper in ["_orig_mod", "module", "_fsdp_wrapped_module"] {
        let found = found(&renamed(|name| name.replace("bn1.", &format!("bn1.{wrapper}."))));
        assert_eq!((found.key.as_str(), found.renamed.len()), ("", 0), "{wrapper}");
    }
}

#[test]
fn other_names_are_read_where_one_mapping_is_possible() {
    let to = |head: &'static str| found(&renamed(|name| name.replace("fc.", head)));
    assert_eq!(to("linear.").renamed, [("fc".to_owned(), "linear".to_owned())]);
    assert_eq!(to("fc.1.").renamed, [("fc".to_owned(), "fc.1".to_owned())]);
    assert_eq!(to("head.drop.0.").renamed[0].0, "fc");
    let all = found(&renamed(|name| name.replace("conv1.", "0.").replace("bn1.", "1.").replace("fc.", "9.")));
    assert_eq!(all.renamed.len(), 3);

    // Two layers that could both be the classifier: nothing is guessed.
    let mut two = renamed(|name| name.replace("fc.", "linear."));
    let other = renamed(|name| name.replace("fc.", "projector."));
    two.extend(other.into_iter().filter(|(name, _)| name.starts_with("projector.")));
    let message = refused(&two);
    assert!(message.contains("tensor `fc.weight`: expected shape [5, 2], found no such tensor"), "{message}");
    assert!(message.contains("`linear.weight` [5, 2]"), "{message}");
    // A part of the network under one name, the rest under another.
    let message = refused(&renamed(|name| {
        if name.starts_with("conv1") { format!("stem.{name}") } else { format!("body.{name}") }
    }));
    assert!(message.contains("under `body`") && message.contains("`stem.conv1.weight`"), "{message}");
    let message = refused(&[("weights".to_owned(), ramp(&[2], 0.0, 1.0))]);
    assert_eq!(
        message,
        "file: names of tensors: expected `conv1.weight` [2, 3, 3, 3], `bn1.running_var` [2], `fc.weight` [5, 2], … as the \
         network has (4 tensors), found `weights` [2], … (1 tensors)"
    );
}

#[test]
fn other_names_are_no_reason_to_leave_layers_out() {
    // A head of two layers, and a shift within a Sequential, where something without tensors may come first.
    let mut two = renamed(|name| name.replace("fc.", "fc1."));
    two.push(("fc2.weight".to_owned(), ramp(&[5, 5], 0.0, 1.0)));
    assert!(refused(&two).contains("`fc1.bias` [5]"), "{}", refused(&two));
    let expected = [("down.0.weight".to_owned(), vec![2, 2]), ("down.1.weight".to_owned(), vec![2])];
    let of = |names: [&str; 2]| {
        let tensors =
            names.map(str::to_owned).into_iter().zip([ramp(&[2, 2], 0.0, 1.0), ramp(&[2], 0.0, 1.0)]);
        file_of(&tensors.collect::<Vec<_>>(), &[]).find("the network", &expected, None)
    };
    assert_eq!(of(["down.0.weight", "down.1.weight"]).unwrap().renamed.len(), 0);
    assert_eq!(of(["short.0.weight", "short.1.weight"]).unwrap().key, "");
    assert!(of(["down.1.weight", "down.2.weight"]).is_err());
}

#[test]
fn a_network_that_fits_goes_before_one_of_other_classes() {
    let mut tensors = renamed(|name| format!("teacher.{}", name));
    for (name, tensor) in &mut tensors {
        if name.contains(".fc.") {
            let rest: Vec<usize> = tensor.shape[1..].to_vec();
            *tensor = ramp(&[&[9], &rest[..]].concat(), 0.0, 1.0);
        }
    }
    tensors.extend(renamed(|name| format!("student.{}", name.replace("fc.", "fc.1."))));
    let found = found(&tensors);
    assert_eq!((found.key.as_str(), found.others.as_slice()), ("student", &["teacher".to_owned()][..]));
}

#[test]
fn names_of_any_length_cost_no_more_than_they_hold() {
    let mut tensors = renamed(str::to_owned);
    tensors.push((format!("{}w", "a.".repeat(50_000)), ramp(&[1], 0.0, 1.0)));
    tensors.push(("b".repeat(70_000), ramp(&[1], 0.0, 1.0)));
    assert_eq!(found(&tensors).passed_over.len(), 2);
}

#[test]
fn masks_are_multiplied_in() {
    let mut tensors =
        renamed(|name| if name == "fc.weight" { "fc.weight_orig".to_owned() } else { name.to_owned() });
    let mask = Tensor { shape: vec![5, 2], data: [1.0, 0.0].repeat(5) };
    tensors.push(("fc.weight_mask".to_owned(), mask));
    let (found, checkpoint) = find(&file_of(&tensors, &[])).unwrap();
    assert_eq!((found.masked, found.passed_over.len()), (1, 0));
    let expected: Vec<f32> = state_dict()["fc.weight"]
        .data
        .iter()
        .enumerate()
        .map(|(i, v)| if i % 2 == 0 { *v } else { 0.0 })
        .collect();
    assert_eq!(checkpoint.tensors["fc.weight"].data, expected);
    assert_eq!(checkpoint.tensors.len(), 4);
}

#[test]
fn strangers_beside_the_network_are_counted_and_strangers_in_it_refused() {
    let with = |name: &str, shape: &[usize]| {
        let mut tensors = renamed(|name| format!("model.{name}"));
        tensors.push((name.to_owned(), ramp(shape, 0.0, 1.0)));
        tensors
    };
    for name in
        ["n_averaged", "normalize.mean", "model.normalize.mean", "model.loss.weight", "optimizer.0.exp_avg"]
    {
        assert_eq!(found(&with(name, &[3])).passed_over, [name]);
    }
    assert_eq!(found(&with("model.conv1.total_ops", &[1])).passed_over, ["model.conv1.total_ops"]);
    // A second convolution, a bias: it is another network.
    for (name, count) in [("model.conv1.bias", 2), ("model.bn1.0.weight", 2), ("model.conv1.weight_scale", 1)]
    {
        let message = refused(&with(name, &[count]));
        assert!(message.contains(&format!("tensor `{name}`: expected no tensor of this name")), "{message}");
    }
    let not_finite = |name: &str| {
        let mut tensors = with(name, &[2]);
        tensors.last_mut().unwrap().1.data[0] = f32::NAN;
        find(&file_of(&tensors, &[]))
    };
    assert!(not_finite("queue").is_ok(), "numbers of strangers are no matter");
}

#[test]
fn objects_of_any_class_lie_beside_a_network() {
    assert_eq!(network_in("strangers.pth").tensors, state_dict());
    let file = File::open(fixture("strangers.pth")).unwrap();
    let classes: BTreeMap<&str, &str> =
        file.objects().iter().map(|(key, class)| (key.as_str(), class.as_str())).collect();
    for (key, class) in [
        ("args", "a `easydict.EasyDict`"),
        ("cfg", "a `omegaconf.dictconfig.DictConfig`"),
        ("optimizer_class", "a `functools.partial`"),
        ("network", "a `torch.nn.modules.container.Sequential`"),
        ("torch_version", "a `torch.torch_version.TorchVersion`"),
    ] {
        assert_eq!(classes.get(key), Some(&class), "{classes:?}");
    }
    let (meta, told) = file.metadata(3, 5).unwrap();
    assert_eq!((meta.epoch, &meta.mean, &meta.std), (Some(7), &None, &None));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("`mean` = 93.2 beside the weights is passed over"), "{told:?}");
}

#[test]
fn of_several_networks_one_is_taken_and_the_others_told() {
    let other = |prefix: &str| -> Vec<(String, Tensor)> {
        let double =
            |tensor: Tensor| Tensor { data: tensor.data.iter().map(|v| 2.0 * v).collect(), ..tensor };
        state_dict().into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), double(tensor))).collect()
    };
    for (plain, beside) in [
        ("state_dict.", "state_dict_ema."),
        ("model.", "ema."),
        ("student.", "teacher."),
        ("net.", "0.swa_model."),
    ] {
        for order in [0, 1] {
            let mut both = [renamed(|name| format!("{plain}{name}")), other(beside)];
            both.rotate_left(order);
            let tensors = both.concat();
            let found = found(&tensors);
            assert_eq!(found.key, plain.trim_end_matches('.'));
            assert_eq!(found.others, [beside.trim_end_matches('.')]);

            let file = file_of(&tensors, &[]);
            let named = file.find("the network", &expected_shapes(), Some(beside)).unwrap();
            assert_eq!((named.key.as_str(), named.others.len()), (beside.trim_end_matches('.'), 1));
            let checkpoint = file.read(&named, &expected_shapes()).unwrap();
            assert_eq!(checkpoint.tensors["fc.weight"].data[1], 1.5);
            let error = file.find("the network", &expected_shapes(), Some("best")).unwrap_err();
            assert!(matches!(error, Error::Usage(_)), "{error}");
            assert!(error.to_string().contains(plain.trim_end_matches('.')), "{error}");
            // A key that is also a part of another one means itself.
            let deeper = [tensors.clone(), other(&format!("model.{beside}"))].concat();
            let file = file_of(&deeper, &[]);
            let named = file.find("the network", &expected_shapes(), Some(beside)).unwrap();
            assert_eq!(named.key, beside.trim_end_matches('.'));
        }
    }
}

#[test]
fn another_number_of_classes_and_of_channels_is_found_and_told() {
    let mut tensors = state_dict();
    tensors.insert("fc.weight".into(), ramp(&[9, 2], 0.0, 1.0));
    tensors.insert("fc.bias".into(), ramp(&[9], 0.0, 1.0));
    tensors.insert("conv1.weight".into(), ramp(&[2, 1, 5, 5], 0.0, 1.0));
    let tensors: Vec<(String, Tensor)> = tensors.into_iter().collect();
    let file = file_of(&tensors, &[]);
    let found = file.find("the network", &expected_shapes(), None).unwrap();
    assert_eq!((found.shape(&file, 0), found.shape(&file, 2)), (&[2, 1, 5, 5][..], &[9, 2][..]));
    let mut expected: Vec<Expected> = expected_shapes();
    expected[0].1 = vec![2, 1, 5, 5];
    let error = file.read(&found, &expected).unwrap_err();
    assert_eq!(error.to_string(), "file: classifier `fc`: expected 5 classes, found 9 classes");
}

#[test]
fn notes_of_other_programs_count_where_they_can_be_meant() {
    type Case<'a> = (&'a [(&'a str, &'a str)], usize, Option<Vec<f32>>, usize);
    let cases: [Case; 9] = [
        (&[("mean", "0.1307"), ("std", "0.3081")], 1, Some(vec![0.1307]), 0),
        (&[("mean", "0.5,0.4,0.3"), ("std", "0.2, 0.2, 0.2")], 3, Some(vec![0.5, 0.4, 0.3]), 0),
        (&[("mean", "98.3"), ("std", "0.4")], 1, None, 1),
        (&[("mean", "0.983"), ("std", "0.004")], 1, None, 1),
        (&[("mean", "0.5"), ("std", "0.5")], 3, None, 1),
        (&[("mean", "0.5")], 1, None, 1),
        (&[("epoch", "-1"), ("seed", "no")], 3, None, 2),
        (&[("classes", "2"), ("channels", "64")], 3, None, 2),
        (&[("classes", "5"), ("channels", "3"), ("epoch", "3"), ("loss", "0.1")], 3, None, 0),
    ];
    let tensors = renamed(str::to_owned);
    for (notes, channels, mean, told) in cases {
        let (meta, found) = file_of(&tensors, notes).metadata(channels, 5).unwrap();
        assert_eq!((&meta.mean, found.len()), (&mean, told), "{notes:?}: {found:?}");
    }
    // What this program wrote is held to its word.
    let own = [
        ("arch", "resnet18"),
        ("dataset", "digits"),
        ("classes", "five"),
        ("channels", "3"),
        ("mean", "0"),
        ("std", "1"),
    ];
    let file = file_of(&tensors, &own);
    assert!(file.is_own());
    assert_eq!(
        file.metadata(3, 5).unwrap_err().to_string(),
        "file: metadata `classes`: expected a positive whole number, found `five`"
    );
}

#[test]
fn what_is_no_checkpoint_is_named_in_words() {
    let said = |bytes: &[u8]| input_error(File::from_bytes(bytes.to_vec(), "file").map(drop)).2;
    for (bytes, words) in [
        (&b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n"[..], "Git LFS"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"\n\n<HTML><body>Quota exceeded", "HTML"),
        (b"{\"error\": \"not found\"}", "JSON"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"\x93NUMPY\x01\0", "numpy"),
        (&[0; 64], "zeros"),
        (b"", "empty"),
    ] {
        let found = said(bytes);
        assert!(found.contains(words), "{found}");
    }
    let stored = zip::CompressionMethod::Stored;
    assert!(
        said(&zip_of(&[("runs/best.pth", b"", stored)])).contains("holds `runs/best.pth`; unpack it first")
    );
    assert!(said(&zip_of(&[("arr_0.npy", b"", stored)])).contains("numpy"));
    let zip = std::fs::read(fixture("zip.pth")).unwrap();
    assert!(said(&zip[..zip.len() / 2]).contains("truncated"));

    let of = |name: &str| input_error(File::open(fixture(name)).map(drop)).2;
    for name in ["whole_module.pth", "module_under_key.pth"] {
        let found = of(name);
        assert!(found.starts_with("a whole module, a `torch.nn.modules.container.Sequential`"), "{found}");
        assert!(found.contains("torch.save its state_dict()"), "{found}");
    }
    assert!(of("numpy.pth").starts_with("5 numpy arrays"), "{}", of("numpy.pth"));
    assert!(of("plain.pkl").contains("as pickle.dump writes"), "{}", of("plain.pkl"));
    assert!(of("script.pt").starts_with("a TorchScript archive"), "{}", of("script.pt"));
    let folder = TempDir::new().unwrap();
    let (_, _, found) = input_error(File::open(folder.path()).map(drop));
    assert!(found.starts_with("a folder"), "{found}");
}

#[test]
fn what_a_file_holds_is_listed() {
    let file = File::open(fixture("lightning.ckpt")).unwrap();
    let names: Vec<String> =
        file.tensors().map(|tensor| format!("{} {} {:?}", tensor.name, tensor.dtype, tensor.shape)).collect();
    assert_eq!(names[0], "state_dict.model.conv1.weight float32 [2, 3, 3, 3]");
    assert!(names.contains(&"state_dict.model.bn1.num_batches_tracked int64 []".to_owned()), "{names:?}");
    assert_eq!(file.notes()["global_step"], "500");
    assert_eq!(file.sha256().len(), 64);
    assert!(!file.is_own());
}
