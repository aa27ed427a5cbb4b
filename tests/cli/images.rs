//! Which images commands take and how they prepare them: what is told, what is recorded, what is refused.

use crate::support::*;
use serde_json::{Value, json as value};
use std::fs;
use std::path::Path;

const NET: &str = "--dataset digits --checkpoint {}/net.safetensors";
const SMALL: &str = "--layers fc.weight --thresholds 3 --eps 0.1";

fn read_json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn what_was_read_is_told_and_recorded() {
    let folder = folder_with_net();
    let stderr = told(&format!("eval {NET} --images 50 --pick-seed 7 --resize 30 --crop 28"), folder.path());
    let wanted = "images: 50 of 2000 test images of digits, 10 of 10 classes, from <embedded>/digits/t10k-images-idx3-ubyte.gz\n  \
                  choice: stratified, seed 7\n  preparation: Resize(30), bilinear, CenterCrop(28)\n";
    assert!(stderr.starts_with(wanted), "{stderr}");
    let eval = json(&format!("eval {NET} --images 50 --pick-seed 7"), folder.path());
    let pick = &eval["input"]["images"]["pick"];
    assert_eq!(
        (&pick["images"], &pick["how"], &pick["seed"]),
        (&value!(50), &value!("stratified"), &value!(7))
    );
    // Few classes, and all images, which are no choice.
    let few = told(&format!("eval {NET} --images 3"), folder.path());
    assert!(few.contains("note: the images are of 3 of 10 classes alone"), "{few}");
    let all = json(&format!("eval {NET} --images 2000"), folder.path());
    assert_eq!(all["input"]["images"].get("pick"), None);
    assert_eq!(all["correct_clean"], json(&format!("eval {NET}"), folder.path())["correct_clean"]);

    let sweep = format!("sweep {NET} {SMALL} --images 50 --color grey --image-size 28");
    run(&format!("{sweep} --out {{}}/run"), folder.path());
    let run_json = read_json(folder.path().join("run/run.json"));
    assert_eq!(run_json["settings"]["pick"]["hash"], run_json["input"]["images"]["pick"]["hash"]);
    assert_eq!(run_json["settings"]["prepare"], value!({ "resize": 28, "color": "grey" }));
    // The same again is nothing new; in file order it is another run, whose settings say nothing of a choice.
    run(&format!("{sweep} --out {{}}/run --resume"), folder.path());
    run(&format!("{sweep} --pick first --out {{}}/first"), folder.path());
    let first = read_json(folder.path().join("first/run.json"));
    assert_eq!(first["settings"].get("pick"), None);
    assert_ne!(first["hash"], run_json["hash"]);
    let line = format!("{sweep} --pick first --out {{}}/run --resume");
    refused(&line, folder.path(), 2, &["holds a run with another configuration", "dataset_digest"]);

    let compared = "compare {}/run {}/first";
    let needles =
        ["images of digits: 50 in both", "stratified choice, seed 0", "in file order", "--allow images"];
    refused(compared, folder.path(), 2, &needles);

    run(&format!("attack {NET} --images 50 --eps 0.1 --method fgsm --out {{}}/attack"), folder.path());
    let attack = read_json(folder.path().join("attack/attack.json"));
    assert_eq!(attack["input"]["images"]["pick"]["seed"], 0);
}

#[test]
fn settings_of_images_that_cannot_be() {
    let folder = folder_with_net();
    let case =
        |flags: &str, needles: &[&str]| refused(&format!("eval {NET} {flags}"), folder.path(), 2, needles);
    case("--pick first", &["--images"]);
    case("--pick-seed 1", &["--images"]);
    case("--images 5 --pick some", &["unknown choice \"some\"", "stratified or first"]);
    case("--images 5 --pick first --pick-seed 1", &["--pick-seed 1: expected --pick stratified"]);
    case("--image-size 28 --resize 30", &["--image-size", "--resize"]);
    case("--image-size 28 --crop none", &["--image-size", "--crop"]);
    case("--image-size 5000", &["--image-size 5000: give 1 to 4096"]);
    case("--resize 0", &["--resize 0: give 1 to 8192"]);
    case("--crop half", &["--crop", "a number of pixels or none", "\"half\""]);
    case("--interpolation bicubic", &["--interpolation bicubic: expected --resize beside it"]);
    case("--resize 20 --interpolation lanczos", &["unknown interpolation \"lanczos\""]);
    case("--color red", &["unknown colour \"red\": expected rgb or grey"]);
    let line = format!("eval {NET} --crop 29");
    refused(&line, folder.path(), 3, &["at least 29×29 pixels", "--resize", "found 28×28"]);
    refused(&format!("eval {NET} --classes {{}}/none.txt"), folder.path(), 3, &["none.txt", "cannot read"]);
    fs::write(folder.path().join("classes.txt"), "0\n1\n2\n3\n4\n5\n6\n7\n8\nnine\n").unwrap();
    let line = format!("eval {NET} --classes {{}}/classes.txt");
    refused(&line, folder.path(), 3, &["a class called \"9\"", "nearest names"]);
}

#[test]
fn a_study_takes_and_records_the_same() {
    let folder = folder_with_net();
    let study = |pick: &str| {
        let text = format!(
            "out = \"{0}/study\"\n[[data]]\ndataset = \"digits\"\nresize = 30\ncrop = 28\n[[checkpoint]]\nfile = \"{0}/net.safetensors\"\n\
             arch = \"{ARCH}\"\nepoch = 1\nseed = 0\n[sweep]\neps = 0.1\nthresholds = 2\nlayers = [\"fc.weight\"]\nimages = 20\n{pick}\n",
            folder.path().display()
        );
        fs::write(folder.path().join("study.toml"), text).unwrap();
        json("study {}/study.toml", folder.path())
    };
    let run_json =
        || read_json(folder.path().join(format!("study/digits/{ARCH}/seed-0/epoch-0001/run.json")));
    // A study that was begun before there was a choice has the keys and the settings of one in file order.
    assert_eq!(study("pick = \"first\"")["skipped"], 0);
    assert_eq!(run_json()["settings"].get("pick"), None);
    assert_eq!(run_json()["settings"]["prepare"], value!({ "resize": 30, "crop": 28 }));
    assert_eq!((&study("")["done"], &study("")["skipped"]), (&value!(0), &value!(3)));
    fs::remove_dir_all(folder.path().join("study")).unwrap();
    assert_eq!(study("")["skipped"], 0);
    assert_eq!(run_json()["settings"]["pick"]["how"], "stratified");
    let command = run_json()["provenance"]["command"].to_string();
    assert!(command.contains("\"--pick\",\"stratified\",\"--pick-seed\",\"0\""), "{command}");
    assert_eq!(study("pick-seed = 0")["done"], 0);
}
