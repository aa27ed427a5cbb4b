//! What other programs write that torch.save by itself does not: masks of other types, pickles of protocol 0, numbers of
//! NumPy, keys that are no text, other compressions; and weights that are no plain ones.

use crate::find::{file_of, renamed};
use crate::{expected_shapes, fixture, input_error, network_in, ramp, state_dict, zip_of};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::fs;
use synfilter::checkpoint::File;

#[test]
fn masks_of_any_type_are_multiplied_in() {
    let half: Vec<u8> =
        [1.0, 0.0].repeat(5).into_iter().flat_map(|v| half::f16::from_f32(v).to_le_bytes()).collect();
    let wide: Vec<u8> = [1i64, 0].repeat(5).into_iter().flat_map(i64::to_le_bytes).collect();
    let narrow = [1u8, 0].repeat(5);
    let mut expected = state_dict()["fc.weight"].data.clone();
    expected.iter_mut().skip(1).step_by(2).for_each(|value| *value = 0.0);
    for (dtype, mask) in [
        (Dtype::BOOL, &narrow),
        (Dtype::U8, &narrow),
        (Dtype::I8, &narrow),
        (Dtype::F16, &half),
        (Dtype::I64, &wide),
    ] {
        let data: Vec<(String, Vec<usize>, Vec<u8>)> = state_dict()
            .into_iter()
            .map(|(name, tensor)| {
                let name = if name == "fc.weight" { "fc.weight_orig".to_owned() } else { name };
                (name, tensor.shape, tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect())
            })
            .collect();
        let mut views: Vec<(&str, TensorView)> = data
            .iter()
            .map(|(name, shape, data)| {
                (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
            })
            .collect();
        views.push(("fc.weight_mask", TensorView::new(dtype, vec![5, 2], mask).unwrap()));
        let file = File::from_bytes(safetensors::serialize(views, None).unwrap(), "file").unwrap();
        let found = file.find("the network", &expected_shapes(), None).unwrap();
        assert_eq!((found.masked, found.passed_over.len()), (1, 0), "{dtype:?}");
        let read = file.read(&found, &expected_shapes()).unwrap();
        assert_eq!(read.tensors["fc.weight"].data, expected, "{dtype:?}");
    }
}

#[test]
fn a_pickle_of_protocol_0_is_read() {
    assert_eq!(network_in("protocol0.pth").tensors, state_dict());
    let file = File::open(fixture("protocol0.pth")).unwrap();
    assert_eq!(file.notes()["name"], "ä\n'\\");
    assert_eq!((file.notes()["epoch"].as_str(), file.notes()["loss"].as_str()), ("7", "0.25"));
    let bytes = fs::read(fixture("protocol0.pth")).unwrap();
    for length in [100, 400] {
        let (_, _, found) = input_error(File::from_bytes(bytes[..length].to_vec(), "file").map(drop));
        assert!(found.ends_with("half a download?"), "{found}");
    }
}

#[test]
fn numbers_of_numpy_count_as_numbers() {
    let file = File::open(fixture("numpy_numbers.pth")).unwrap();
    let (meta, told) = file.metadata(3, 5).unwrap();
    assert_eq!((meta.mean, meta.std), (Some(vec![0.5, 0.25, 0.125]), Some(vec![0.5, 0.25, 0.125])));
    assert!(told.is_empty(), "{told:?}");
    let notes = file.notes();
    assert_eq!([&notes["best"], &notes["step"], &notes["half"]], ["93.5", "-3", "0.5"]);
    let keys: Vec<&str> = file.objects().iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["table"], "a table is no list");
    let (grey, told) = file.metadata(1, 5).unwrap();
    assert_eq!((grey.mean, told.len()), (None, 1), "three numbers for one channel");
}

#[test]
fn a_mean_that_is_no_number_is_told() {
    let file = File::open(fixture("no_numbers.pth")).unwrap();
    let (meta, told) = file.metadata(3, 5).unwrap();
    assert_eq!((meta.mean, meta.std), (None, None));
    assert_eq!(
        told,
        [
            "`mean` beside the weights is passed over: a dict, not a list of numbers (--mean and --std say it)",
            "`std` beside the weights is passed over: a tensor, not a list of numbers (--mean and --std say it)"
        ]
    );
}

#[test]
fn keys_that_are_no_text_are_shown_as_text() {
    let file = File::open(fixture("odd_keys.pth")).unwrap();
    let found = file.find("the network", &expected_shapes(), None).unwrap();
    assert_eq!((found.key.as_str(), found.others.as_slice()), ("model.0", &["ema".to_owned()][..]));
    assert_eq!(file.metadata(3, 5).unwrap().0.epoch, Some(5));
    for key in ["model.0", "ema"] {
        let found = file.find("the network", &expected_shapes(), Some(key)).unwrap();
        assert_eq!(file.read(&found, &expected_shapes()).unwrap().tensors, state_dict(), "{key}");
    }
}

#[test]
fn other_compressions_are_named() {
    let stored = zip::CompressionMethod::Stored;
    let plain = zip_of(&[("m/data.pkl", b"\x80\x02}.", stored)]);
    for (method, name) in
        [(9u16, "Deflate64"), (12, "bzip2"), (14, "LZMA"), (93, "Zstandard"), (95, "xz"), (7, "another")]
    {
        let mut bytes = plain.clone();
        // The method of the entry, in front of its content and in the directory.
        let directory = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
        for at in [8, directory + 10] {
            bytes[at..at + 2].copy_from_slice(&method.to_le_bytes());
        }
        let (place, expected, found) = input_error(File::from_bytes(bytes, "file").map(drop));
        assert_eq!(
            (place.as_str(), expected.as_str()),
            ("zip entry `m/data.pkl`", "content that is stored or deflated")
        );
        assert!(
            found.starts_with(&format!("{name} compression; unpack the archive and zip it anew")),
            "{found}"
        );
    }
}

#[test]
fn models_and_texts_of_other_kinds_are_named() {
    let index = [&[0; 40][..], &0xdb47_7524_8b80_fb57u64.to_le_bytes()].concat();
    for (bytes, words) in [
        (&b"\x08\x07\x12\x07pytorch\x1a\x052.1.0:\x80"[..], "an ONNX model"),
        (b"\x08\x0a:\x80\x01\x0a", "an ONNX model"),
        (b"\x1c\0\0\0TFL3\x14\0", "a TFLite model"),
        (b"\x81\xa6params\x83\xa5conv1", "MessagePack, as flax writes"),
        (b"\xde\0\x10\xd9\x05layer\x01", "MessagePack"),
        (b"\x08\x01\x12\xd0\x80\x01\x0a", "a SavedModel of TensorFlow"),
        (&index, "the index of a TensorFlow checkpoint"),
        (b"model_checkpoint_path: \"model.ckpt-1\"\n", "the list of a TensorFlow training's checkpoints"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"# settings\nmodel:\n  name: resnet18\n", "YAML text"),
        (b"---\n- a\n", "YAML text"),
        (b"<?xml version=\"1.0\"?><net/>", "XML text"),
        (b"import torch\n", "text (`import torch`)"),
        (b"(dp0\nVconv1.weight\n", "a pickle of protocol 0"),
        (b"\x07\x07\x07\x07", "[07, 07, 07, 07]"),
    ] {
        let (place, _, found) = input_error(File::from_bytes(bytes.to_vec(), "file").map(drop));
        assert!(place == "byte 0" && found.starts_with(words), "{found}");
    }
    let header = [&1000u64.to_le_bytes()[..], b"{\"conv1.weight\":{"].concat();
    let (_, _, found) = input_error(File::from_bytes(header, "file").map(drop));
    assert_eq!(found, "1000; the file is truncated: half a download?");
    let legacy = fs::read(fixture("legacy.pth")).unwrap();
    let (place, _, found) = input_error(File::from_bytes(legacy[..300].to_vec(), "file").map(drop));
    assert!(place.starts_with("object pickle") && found.ends_with("half a download?"), "{place}: {found}");
}

#[test]
fn weights_that_are_no_plain_ones_are_named() {
    for (name, words, advice) in [
        ("fc._packed_params._packed_params.1", "those of a quantised network", "floating-point weights"),
        ("conv1.zero_point", "those of a quantised network", "floating-point weights"),
        ("fc.weight_g", "weights in two parts (weight_norm)", "remove_weight_norm"),
        (
            "fc.parametrizations.weight.original0",
            "weights in two parts (weight_norm)",
            "remove_parametrizations",
        ),
        ("fc.weight_u", "weights that are computed from others", "remove_spectral_norm"),
    ] {
        let mut tensors = renamed(str::to_owned);
        tensors.retain(|(name, _)| name != "fc.weight");
        tensors.push((name.to_owned(), ramp(&[5, 1], 0.0, 1.0)));
        let (place, expected, found) = input_error(crate::find::find(&file_of(&tensors, &[])));
        assert_eq!((place.as_str(), expected.as_str()), ("names of tensors", "plain weights of the network"));
        assert!(found.starts_with(words) && found.contains(name) && found.contains(advice), "{found}");
    }
}
