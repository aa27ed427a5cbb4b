//! Networks of one family in files that do not name them: names of the smaller ones are among those of the larger ones, and
//! others differ in shapes alone.

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::path::Path;
use synfilter::checkpoint::File;
use synfilter::data::Images;
use synfilter::graph::Shape;
use synfilter::model::{Model, Origin, Said};
use synfilter::models::Arch;

const INPUT: Shape = Shape { c: 3, h: 64, w: 64 };
const CLASSES: usize = 10;

/// What a tensor is called in a file.
type Rename<'a> = &'a dyn Fn(&str) -> String;

/// A safetensors file of networks whose values are zeros of 16 bits, their names as the second of each pair makes them.
fn bytes_of(networks: &[(Arch, Rename)]) -> Vec<u8> {
    let named: Vec<(String, Vec<usize>)> = networks
        .iter()
        .flat_map(|(arch, name)| {
            let tensors = arch.build(INPUT, CLASSES).unwrap().expected_tensors();
            tensors.into_iter().map(|(own, shape)| (name(&own), shape))
        })
        .collect();
    let size = |shape: &[usize]| 2 * shape.iter().product::<usize>();
    let zeros = vec![0; named.iter().map(|(_, shape)| size(shape)).max().unwrap_or_default()];
    let views = named.iter().map(|(name, shape)| {
        (name, TensorView::new(Dtype::F16, shape.clone(), &zeros[..size(shape)]).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// The complete networks of a file, of every architecture, with their keys. They are looked for with other classes than they
/// have, which leaves more open than the right ones.
fn fitting(bytes: Vec<u8>) -> Vec<(Arch, String)> {
    let file = File::from_bytes(bytes, "file").unwrap();
    let of = |arch: Arch| {
        let expected = arch.build(INPUT, CLASSES + 1).unwrap().expected_tensors();
        file.networks(&expected).into_iter().map(move |found| (arch, found.key))
    };
    Arch::ALL.into_iter().flat_map(of).collect()
}

#[test]
fn every_file_is_of_one_architecture() {
    for arch in Arch::ALL {
        let plain = |own: &str| own.to_owned();
        assert_eq!(fitting(bytes_of(&[(arch, &plain)])), [(arch, String::new())]);
    }
}

/// Names that take more than one step to read leave as little open.
#[test]
fn other_names_do_not_make_it_another_of_the_family() {
    let prefixed = |own: &str| format!("state_dict.module.{own}");
    let renamed = |own: &str| own.replace("fc.", "head.1.").replace("downsample", "shortcut");
    let apart = |own: &str| match own.strip_prefix("fc.") {
        Some(part) => format!("head.{part}"),
        None => format!("backbone.{own}"),
    };
    let apart: (&dyn Fn(&str) -> String, &str) = (&apart, "backbone+head");
    for arch in [Arch::Resnet50, Arch::Resnet101, Arch::WideResnet50_2, Arch::ShufflenetV2X2_0] {
        for (name, key) in
            [(&prefixed as &dyn Fn(&str) -> String, "state_dict.module"), (&renamed, ""), apart]
        {
            assert_eq!(fitting(bytes_of(&[(arch, name)])), [(arch, key.to_owned())], "{arch}");
        }
    }
}

#[test]
fn two_of_a_family_in_one_file_are_told_apart() {
    let student = |own: &str| format!("student.{own}");
    let teacher = |own: &str| format!("teacher.{own}");
    let (small, large) = ((Arch::Resnet50, "student".to_owned()), (Arch::Resnet101, "teacher".to_owned()));
    let bytes = bytes_of(&[(small.0, &student), (large.0, &teacher)]);
    let mut found = fitting(bytes);
    found.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(found, [small, large]);
}

#[test]
fn a_network_is_never_taken_for_one_that_its_names_begin_with() {
    let folder = tempfile::tempdir().unwrap();
    let Shape { h, w, .. } = INPUT;
    let images = Images::from_bytes(vec![0; 3 * h * w], [1, 3, h, w], vec![9]).unwrap();
    let normalisation = Said { mean: Some(vec![0.5; 3]), std: Some(vec![0.5; 3]), ..Said::default() };
    let open = |path: &Path, arch| Model::open(path, &Said { arch, ..normalisation.clone() }, &images);
    let plain = |own: &str| own.to_owned();
    for (arch, other, place) in [
        (Arch::Resnet50, Arch::Resnet101, "`layer3.6.conv1.weight`"),
        (
            Arch::Resnet101,
            Arch::Resnet50,
            "`layer3.10.bn1.bias`: expected no tensor of this name in resnet50",
        ),
        (Arch::Resnet50, Arch::WideResnet50_2, "`layer1.0.conv1.weight`"),
    ] {
        let path = folder.path().join(format!("{arch}.safetensors"));
        std::fs::write(&path, bytes_of(&[(arch, &plain)])).unwrap();
        let model = open(&path, None).unwrap();
        assert_eq!((model.arch, model.taken.arch_from), (Some(arch), Origin::Tensors));
        let error = open(&path, Some(other)).err().unwrap();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains(place), "{error}");
    }
}
