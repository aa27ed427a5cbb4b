//! Networks built by hand and images in memory.

use synfilter::data::{DatasetKind, Images, Split, load};
use synfilter::eval::Accuracy;
use synfilter::graph::build::{Builder, ConvSpec};
use synfilter::graph::{Graph, Init, Shape};
use synfilter::model::{Model, Said};
use synfilter::models::{Arch, Stem};
use synfilter::network::Normalisation;
use synfilter::sweep::{Choices, Job};
use synfilter::weights::Weights;
use synfilter::{Device, Error, Result};

fn graph(classes: usize) -> Graph {
    let mut b = Builder::new("one_convolution", Shape { c: 1, h: 28, w: 28 });
    let x = b.conv("conv", 0, ConvSpec::new(4, 3, 2, 1), Init::Normal(0.3)).unwrap();
    let x = b.relu(x);
    let x = b.global_avg_pool("mean", x);
    let logits = b.linear("fc", x, classes);
    b.finish(logits)
}

fn refused(result: Result<Model>, needle: &str) {
    let error = result.err().unwrap();
    assert_eq!(error.exit_code(), 2, "{error}");
    assert!(error.to_string().contains(needle), "{error}");
}

#[test]
fn a_network_of_ones_own_is_swept_and_known_by_its_weights() {
    let images = load(DatasetKind::Digits, None, Split::Test, None).unwrap().first(64).unwrap();
    let norm = || Normalisation { mean: vec![0.1], std: vec![0.3] };
    let model = |seed| Model::new("mine", graph(10), Weights::init(&graph(10), seed), norm()).unwrap();
    assert_ne!(model(1).sha256, model(2).sha256);
    let folder = tempfile::tempdir().unwrap();
    let (device, choices) = (Device::cpu(), Choices { thresholds: 2, ..Choices::default() });
    let job = Job::new(&device, &images, [model(1), model(2)]).choices(choices);
    let run = job.run(folder.path().join("run")).unwrap();
    assert_eq!((&*run.plan.settings.arch, run.plan.settings.layers.len()), ("mine", 2));
    assert_eq!(run.finished.cells, Some(2 * (1 + 2 * 3 * 2)));

    let mut infinite = Weights::init(&graph(10), 1);
    infinite.tensors[0][3] = f32::INFINITY;
    refused(Model::new("mine", graph(10), infinite, norm()), "conv.weight: expected finite values");
    refused(
        Model::new("mine", graph(10), Weights::init(&graph(9), 1), norm()),
        "fc.weight: expected 40 values",
    );
    let none = Weights { tensors: Vec::new(), batches: 0 };
    refused(Model::new("mine", graph(10), none, norm()), "weights: expected 3 tensors, found 0");
    let three = Normalisation { mean: vec![0.1; 3], std: vec![0.3; 3] };
    refused(Model::new("mine", graph(10), Weights::init(&graph(10), 1), three), "of 1 channels");
}

#[test]
fn a_network_for_other_images_is_refused() {
    let images = |side: usize, last: u16| {
        Images::from_bytes(vec![5; 2 * side * side], [2, 1, side, side], vec![0, last]).unwrap()
    };
    let (of, device) = (images(32, 1), Device::cpu());
    let model = || Model::untrained((Arch::Squeezenet1_1, Stem::Imagenet), &of, 3).unwrap();
    for (other, needle) in [
        (images(40, 1), "expected images of 1×32×32 and 2 classes, found 1×40×40 and 2"),
        (images(32, 4), "and 5 classes"),
    ] {
        let sweep = Job::new(&device, &other, [model()]).outlook().unwrap_err();
        let accuracy = Accuracy::new(&device, &other, &model()).under(&[]).unwrap_err();
        for error in [sweep, accuracy] {
            assert_eq!(error.exit_code(), 2, "{error}");
            assert!(error.to_string().contains(needle), "{error}");
        }
    }
}

#[test]
fn images_in_memory_say_what_they_are() {
    let pixels = |count: usize| vec![7; count * 64];
    let images = Images::from_bytes(pixels(3), [3, 1, 8, 8], vec![2, 0, 2]).unwrap();
    assert_eq!((images.name(), images.classes.join(" ").as_str()), ("memory", "0 1 2"));
    let named = images.clone().with_classes(["a", "b", "c", "d"]).unwrap();
    assert_eq!(named.classes.len(), 4);
    assert_ne!(named.digest, images.digest);
    for (result, needle) in [
        (images.clone().with_classes(["a", "b"]), "expected 3 to 65535 names, found 2"),
        (Images::from_bytes(pixels(3), [4, 1, 8, 8], vec![0; 4]), "4·1·8·8 of them, found 192"),
        (Images::from_bytes(Vec::new(), [0, 1, 8, 8], Vec::new()), "at least one image"),
        (Images::from_bytes(Vec::new(), [usize::MAX, 2, 8, 8], Vec::new()), "found 0"),
        (Images::from_bytes(pixels(3), [3, 1, 8, 8], vec![0; 2]), "labels: expected 3"),
        (Images::from_bytes(pixels(1), [1, 1, 8, 8], vec![u16::MAX]), "at most 65,534"),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().contains(needle), "{error}");
    }
}

#[test]
fn a_file_without_a_normalisation_needs_one_for_images_in_memory() {
    let images = Images::from_bytes(vec![9; 2 * 1024], [2, 1, 32, 32], vec![0, 1]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let Model { graph, weights, .. } =
        Model::untrained((Arch::Squeezenet1_1, Stem::Imagenet), &images, 3).unwrap();
    weights.to_checkpoint(&graph, Default::default()).save(&path).unwrap();
    let arch = Some(Arch::Squeezenet1_1);
    let error = Model::open(&path, &Said { arch, ..Said::default() }, &images).err().unwrap();
    assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("normalisation"), "{error}");
    let said = Said { arch, mean: Some(vec![0.4]), std: Some(vec![0.2]), ..Said::default() };
    let model = Model::open(&path, &said, &images).unwrap();
    assert_eq!((model.norm.mean, model.norm.std), (vec![0.4], vec![0.2]));
}
