//! Data files and checkpoints that are not what they should be.

use crate::support::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::fs;
use std::path::Path;
use synfilter::checkpoint::Checkpoint;
use synfilter::models::Arch;

const EVAL: &str = "eval --checkpoint {}/net.safetensors";

#[test]
fn mnist_files() {
    let folder = folder_with_net();
    let data = folder.path().join("mnist");
    let (images, labels) = mnist_split(&data, "t10k", 20);
    let (good_images, good_labels) = (fs::read(&images).unwrap(), fs::read(&labels).unwrap());
    let line = format!("{EVAL} --dataset mnist --data-dir {{}}");
    run(&line, folder.path());

    let case = |file: &Path, content: &[u8], good: &[u8], needles: &[&str]| {
        fs::write(file, content).unwrap();
        refused(&line, folder.path(), 3, needles);
        fs::write(file, good).unwrap();
    };
    let truncated = &good_images[..good_images.len() - 100];
    case(&images, truncated, &good_images, &["t10k-images-idx3-ubyte", "expected", "found"]);
    case(
        &images,
        &good_labels,
        &good_images,
        &["t10k-images-idx3-ubyte", "magic", "00 00 08 03", "00 00 08 01"],
    );
    let mut out_of_range = good_labels.clone();
    out_of_range[8 + 5] = 10;
    case(&labels, &out_of_range, &good_labels, &["t10k-labels-idx1-ubyte", "label 5", "0 to 9", "found 10"]);
    case(&labels, &idx(&[3], &[0, 1, 2]), &good_labels, &["expected 20 labels", "found 3"]);

    fs::remove_file(&labels).unwrap();
    refused(&line, folder.path(), 3, &["t10k-labels-idx1-ubyte", "cannot read"]);
}

#[test]
fn cifar_files() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(ARCH, 3, 10, 1, true).save(folder.path().join("net.safetensors")).unwrap();
    let data = folder.path().join("cifar-10-batches-bin");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n").unwrap();
    let good: Vec<u8> = (0..4).flat_map(|label| std::iter::once(label).chain([100; 3072])).collect();
    let line = format!("{EVAL} --dataset cifar10 --data-dir {{}}");
    for (content, needles) in [
        (&good[..3073 + 50], ["test_batch.bin", "1 records + 50 bytes"]),
        (&[&good[..3073], &[77; 3073]].concat()[..], ["record 1 (byte 3073), label", "found 77"]),
        (&[], ["test_batch.bin", "0 bytes"]),
    ] {
        fs::write(data.join("test_batch.bin"), content).unwrap();
        refused(&line, folder.path(), 3, &needles);
    }
    fs::write(data.join("test_batch.bin"), good).unwrap();
    run(&line, folder.path());
}

#[test]
fn image_folders() {
    let folder = folder_with_net();
    let line = format!("{EVAL} --dataset folder --data-dir {{}}/pictures");
    refused(&line, folder.path(), 3, &["pictures", "no such folder"]);
    let class = folder.path().join("pictures/cats");
    fs::create_dir_all(&class).unwrap();
    fs::write(class.join("one.png"), "no picture").unwrap();
    refused(&line, folder.path(), 3, &["one.png", "expected", "found", "--skip-broken"]);
    refused(&format!("{line} --skip-broken"), folder.path(), 3, &["one.png", "expected", "found"]);
    refused(&format!("{line} --image-size 0"), folder.path(), 2, &["--image-size 0"]);
}

#[test]
fn where_data_are() {
    let folder = folder_with_net();
    let case =
        |rest: &str, code, needles: &[&str]| refused(&format!("{EVAL} {rest}"), folder.path(), code, needles);
    case("--dataset mnist", 2, &["mnist needs --data-dir"]);
    case("--dataset mnist --data-dir {}/nowhere", 3, &["nowhere", "no such folder", "data fetch mnist"]);
    case("--dataset tiny-imagenet --data-dir {}", 3, &["tiny-imagenet", "expected", "found"]);
    case("--dataset mnits", 2, &["unknown data set \"mnits\"", "digits, mnist"]);
    case("--dataset digits --images 2001", 2, &["--images 2001", "2000 images"]);
    case("--dataset digits --images 0", 2, &["--images 0"]);
    case("--dataset digits --images some", 2, &["--images", "some"]);
}

#[test]
fn damaged_checkpoints() {
    let folder = folder_with_net();
    let bytes = fs::read(folder.path().join("net.safetensors")).unwrap();
    let case = |content: &[u8], needles: &[&str]| {
        fs::write(folder.path().join("bad.safetensors"), content).unwrap();
        let line =
            "eval --dataset digits --images 10 --arch shufflenet_v2_x0_5 --checkpoint {}/bad.safetensors";
        refused(line, folder.path(), 3, &[&["bad.safetensors"], needles].concat());
    };
    case(&bytes[..bytes.len() / 2], &["expected", "found"]);
    case(&bytes[..5], &["found"]);
    case(&[], &["an empty file"]);
    case(b"this is no checkpoint of anything", &["safetensors", "torch.save"]);
    case(b"PK\x03\x04 and nothing more", &["expected", "found"]);
    case(&bytes[..bytes.len() - 4], &["expected", "found"]);
    let missing = "eval --dataset digits --arch resnet18 --checkpoint {}/none.pth";
    refused(missing, folder.path(), 3, &["none.pth: cannot read"]);
    refused("eval --dataset digits --arch resnet18 --checkpoint {}", folder.path(), 3, &["found a folder"]);
}

/// Where nothing but labels says how many classes there are, a network of others is told so.
#[test]
fn classes_that_are_counted_by_labels() {
    let folder = tempfile::tempdir().unwrap();
    let images = [7; 2 * 32 * 32];
    let views =
        [("images", Dtype::U8, vec![2, 1, 32, 32], &images[..]), ("labels", Dtype::U8, vec![2], &[0, 6][..])];
    let views =
        views.map(|(name, dtype, shape, bytes)| (name, TensorView::new(dtype, shape, bytes).unwrap()));
    fs::write(folder.path().join("set.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    let line = "eval --dataset arrays --data-dir {}/set.safetensors --checkpoint {}/net.safetensors";
    for (told, flags, found) in
        [(true, "", "found 10"), (false, "--arch shufflenet_v2_x0_5", "found 10 classes")]
    {
        checkpoint(ARCH, 1, 10, 1, told).save(folder.path().join("net.safetensors")).unwrap();
        let needles = ["expected 7", "(one more than the greatest label;", found];
        refused(&format!("{line} {flags}"), folder.path(), 3, &needles);
    }
}

#[test]
fn checkpoints_that_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let case = |checkpoint: &Checkpoint, flags: &str, code, needles: &[&str]| {
        checkpoint.save(folder.path().join("odd.safetensors")).unwrap();
        let line = format!("eval --dataset digits --images 10 --checkpoint {{}}/odd.safetensors {flags}");
        refused(&line, folder.path(), code, &[&["odd.safetensors"], needles].concat());
    };
    let told = |change: &dyn Fn(&mut Checkpoint)| {
        let mut net = checkpoint(ARCH, 1, 10, 1, true);
        change(&mut net);
        net
    };
    let untold = |arch, channels, classes| checkpoint(arch, channels, classes, 1, false);

    let mut headless = untold(ARCH, 1, 10);
    headless.tensors.remove("fc.weight");
    case(&headless, "", 2, &["expected --arch", "its metadata name none", "fit none"]);
    case(&told(&|_| ()), "--arch resnet18", 2, &["--arch resnet18", "shufflenet_v2_x0_5"]);
    case(
        &told(&|net| net.meta.arch = Some("vgg11".into())),
        "",
        3,
        &["metadata `arch`", "resnet18", "`vgg11`"],
    );
    let squeezenet = untold(Arch::Squeezenet1_1, 1, 10);
    case(&squeezenet, "--arch shufflenet_v2_x0_5", 3, &["`conv1.0.weight`", "`features.0.bias`"]);
    case(&untold(ARCH, 1, 7), "--arch shufflenet_v2_x0_5", 3, &["10 classes", "7 classes"]);
    case(
        &checkpoint(ARCH, 1, 7, 1, true),
        "",
        3,
        &["metadata `classes`", "expected 10 as digits has", "found 7"],
    );
    case(
        &checkpoint(ARCH, 3, 10, 1, true),
        "",
        3,
        &["metadata `channels`", "expected 1", "--color rgb", "found 3"],
    );
    let colour = untold(ARCH, 3, 10);
    let needles = ["conv1.0.weight", "1 input channels", "(--color rgb makes three of it)", "found 3"];
    case(&colour, "--arch shufflenet_v2_x0_5", 3, &needles);
    case(
        &untold(ARCH, 1, 10),
        "--arch shufflenet_v2_x0_5 --color rgb",
        3,
        &["(--color grey makes one of them)"],
    );
    let mean = |net: &mut Checkpoint| net.meta.mean = Some(vec![0.5; 3]);
    case(&told(&mean), "", 3, &["metadata `mean`", "1 values", "found 3"]);
    for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let spoil = |net: &mut Checkpoint| net.tensors.get_mut("fc.weight").unwrap().data[12] = value;
        case(&told(&spoil), "", 3, &["fc.weight", "12", word]);
    }
    let cut = |net: &mut Checkpoint| drop(net.tensors.remove("conv1.1.bias"));
    case(&told(&cut), "", 3, &["conv1.1.bias", "missing"]);
    let add = |net: &mut Checkpoint| {
        let tensor = net.tensors["fc.bias"].clone();
        net.tensors.insert("conv1.0.bias".into(), tensor);
    };
    case(
        &told(&add),
        "",
        3,
        &["tensor `conv1.0.bias`: expected no tensor of this name in shufflenet_v2_x0_5"],
    );
    assert_eq!(names(folder.path()), ["odd.safetensors"]);
}
