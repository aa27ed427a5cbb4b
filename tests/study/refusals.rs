//! Study files that cannot be: refused with line and key.

use crate::{STUDY, read};

/// Asserts that a study is refused as an input file, in words that hold the line, the key and more.
#[track_caller]
fn refused(text: &str, line: usize, key: &str, needles: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let error = match read(folder.path(), text) {
        Ok(spec) => panic!("taken: {spec:?}"),
        Err(error) => error,
    };
    assert_eq!(error.exit_code(), 3, "{error}");
    let told = error.to_string();
    let place = if key.is_empty() { format!("line {line}: ") } else { format!("line {line}, key {key}: ") };
    assert!(told.contains(&format!("study.toml: {place}expected ")), "{told}\nin {text}");
    assert!(!told.trim().contains('\n'), "{told}");
    for needle in needles {
        assert!(told.contains(needle), "{needle:?} is not in {told}");
    }
}

/// The study with one line in the place of another; the line that differs, counted from 1.
#[track_caller]
fn with(old: &str, new: &str) -> (String, usize) {
    let line = STUDY.lines().position(|line| line.starts_with(old)).unwrap() + 1;
    (STUDY.lines().map(|l| if l.starts_with(old) { new } else { l }).collect::<Vec<_>>().join("\n"), line)
}

/// A line in the place of another; of several, the last is at fault.
#[track_caller]
fn case(old: &str, new: &str, key: &str, needles: &[&str]) {
    let (text, line) = with(old, new);
    refused(&text, line + new.lines().count() - 1, key, needles);
}

#[test]
fn keys_and_values() {
    // The file as it is can be.
    let folder = tempfile::tempdir().unwrap();
    read(folder.path(), STUDY).unwrap();

    case("seeds", "seed = [0, 7]", "networks.seed", &["one of the keys arch, stem, seeds", "`seed`"]);
    case("out", "outt = \"x\"", "outt", &["one of the keys out, data", "`outt`"]);
    case("epochs", "epoch = [2]", "train.epoch", &["the key train.epochs: at least one epoch", "`epoch`"]);
    case("arch", "archs = [\"resnet18\"]", "networks.archs", &["the key networks.arch: ", "`archs`"]);
    case("eps", "eps = auto", "", &["TOML"]);
    case("eps", "eps = \"small\"", "sweep.eps", &["auto, or 0 to 1: a number", "\"small\""]);
    case("eps", "eps = 1.5", "sweep.eps", &["1.5"]);
    case("eps", "eps = \"8/0\"", "sweep.eps", &["8/0"]);
    case(
        "arch",
        "arch = [\"resnet18\", \"resnet19\"]",
        "networks.arch[1]",
        &["shufflenet_v2_x0_5", "\"resnet19\""],
    );
    case("arch", "arch = \"resnet18\"", "networks.arch", &["a list", "\"resnet18\""]);
    case("arch", "arch = [\"resnet18\", \"resnet18\"]", "networks.arch[1]", &["each once", "twice"]);
    case("arch", "arch = []", "networks.arch", &["at least one architecture"]);
    let stem = "arch = [\"resnet18\", \"shufflenet_v2_x1_0\"]\nstem = ";
    case(
        "arch",
        &format!("{stem}\"3x3\""),
        "networks.stem",
        &["none beside shufflenet_v2_x1_0", "found 3x3"],
    );
    case("arch", &format!("{stem}\"5x5\""), "networks.stem", &["3x3, 3x3-pool or 7x7-no-pool", "\"5x5\""]);
    case("seeds", "seeds = [-1]", "networks.seeds[0]", &["at least 0", "-1"]);
    case("seeds", "seeds = [0.5]", "networks.seeds[0]", &["whole number", "0.5"]);
    case("seeds", "seeds = []", "networks.seeds", &["at least one seed", "empty"]);
    case("epochs", "epochs = [0, 1]", "train.epochs[0]", &["at least 1", "0"]);
    case("epochs", "epochs = [3, 2]", "train.epochs[1]", &["an epoch after 3", "found 2"]);
    refused(&STUDY.replace("[2, 4, 5]", "[2]\nbatch-size = 1"), 13, "train.batch-size", &["at least 2", "1"]);
}

#[test]
fn contradictions() {
    case("epochs", "epochs = [2, 4]\nmomentum = 0.9", "train.momentum", &["optimizer = \"sgd\""]);
    case("epochs", "epochs = [2, 4]\nlr-drops = [4]", "train.lr-drops[0]", &["before the last, 4"]);
    case(
        "dataset",
        "dataset = \"digits\"\ndir = \"data\"",
        "data[0].dir",
        &["digits are part of the program"],
    );
    // What is missing is missing in its section.
    let (text, line) = with("dataset", "dataset = \"mnist\"");
    refused(&text, line - 1, "data[0].dir", &["the folder with the files of mnist", "nothing"]);
    case(
        "dataset",
        "dataset = \"digits\"\nimage-size = 5000",
        "data[0].image-size",
        &["a preparation that can be", "1 to 4096"],
    );
    let data = |rest: &str| format!("dataset = \"digits\"\n{rest}");
    case("dataset", &data("image-size = 32\ncrop = 28"), "data[0].crop", &["none beside image-size"]);
    case("dataset", &data("crop = \"half\""), "data[0].crop", &["or \"none\"", "\"half\""]);
    case("dataset", &data("interpolation = \"bicubic\""), "data[0].interpolation", &["--resize beside it"]);
    case("dataset", &data("color = \"red\""), "data[0].color", &["rgb or grey"]);
    case("eps", "pick = \"first\"", "sweep.pick", &["`images` beside it"]);
    case("eps", "images = 5\npick = \"some\"", "sweep.pick", &["stratified or first"]);
    case("eps", "images = 5\npick = \"first\"\npick-seed = 1", "sweep.pick-seed", &["stratified"]);
    case("eps", "scope = \"channel\"", "sweep.scope", &["`layers` beside", "none"]);
    case(
        "eps",
        "scope = \"network\"\nlayers = [\"fc.weight\"]",
        "sweep.layers",
        &["filters all layers at once"],
    );
    case(
        "eps",
        "layers = [\"conv1.weight\"]",
        "sweep.layers[0]",
        &["shufflenet_v2_x1_0 has", "\"conv1.weight\""],
    );
    case("eps", "filters = [\"pulse\", \"pulse\"]", "sweep.filters[1]", &["each once"]);
    case("eps", "filters = [\"notch\"]", "sweep.filters[0]", &["high-pass, low-pass or pulse", "\"notch\""]);
    case("eps", "thresholds = 1", "sweep.thresholds", &["2 to 10000", "found 1"]);
    case("eps", "images = 0", "sweep.images", &["at least 1"]);
    case("eps", "clamp = \"no\"", "sweep.clamp", &["true or false", "\"no\""]);
    case("eps", "method = \"bim\"", "sweep.method", &["fgsm or pgd"]);
    case("eps", "steps = 3", "sweep.steps", &["the method pgd beside it"]);
    case("eps", "random-start = true", "sweep.random-start", &["the method pgd beside it"]);
    let pgd = |rest: &str| format!("method = \"pgd\"\n{rest}");
    case("eps", &pgd("steps = 0"), "sweep.steps", &["1 to 10000", "found 0"]);
    case("eps", &pgd("step-size = -0.1"), "sweep.step-size", &["more than 0, to 1", "found -0.1"]);
    case("eps", &pgd("step-size = nan"), "sweep.step-size", &["more than 0, to 1"]);
    case("eps", &pgd("step-size = \"2/0\""), "sweep.step-size", &["more than 0, to 1"]);
    case("eps", "attack = \"none\"", "sweep.attack", &["adaptive or fixed"]);
    case("eps", "bn = \"none\"", "sweep.bn", &["running or batch"]);
    let twice = STUDY.replace("[train]", "[[data]]\ndataset = \"digits\"\n\n[train]");
    refused(&twice, 12, "data[1].dataset", &["different names", "digits twice"]);
    let named = twice.replace(
        "[[data]]\ndataset = \"digits\"\n\n[train]",
        "[[data]]\nname = \"../x\"\ndataset = \"digits\"\n[train]",
    );
    refused(&named, 12, "data[1].name", &["can be a folder's", "\"../x\""]);
    let both = format!("{STUDY}\n[[checkpoint]]\nfile = \"a\"\narch = \"resnet18\"\nepoch = 1\n");
    refused(&both, 4, "networks", &["[[checkpoint]]", "both"]);
    refused(&format!("{STUDY}\n[score]\ntau = -1\n"), 18, "score.tau", &["at least 0", "-1"]);
    refused(&format!("{STUDY}\n[score]\nbase = 1\n"), 18, "score.base", &["baseline, tau, z", "`base`"]);
    let attack = |line: &str, key: &str, needles: &[&str]| {
        let last = 17 + line.lines().count();
        refused(&format!("{STUDY}\n[attack]\n{line}\n"), last, &format!("attack.{key}"), needles);
    };
    attack("method = \"pgd\"", "method", &["methods", "`method`"]);
    attack("methods = []", "methods", &["at least one method"]);
    attack("methods = [\"pgd\", \"bim\"]", "methods[1]", &["fgsm or pgd", "\"bim\""]);
    attack("methods = [\"fgsm\"]\nsteps = 3", "steps", &["the method pgd beside it"]);
    attack("seeds = [1]", "seeds", &["random-start = true beside it"]);
    attack("eps = [0.1, \"8/256\", \"0.1\"]", "eps[2]", &["each once", "twice"]);
    attack("eps = [2]", "eps[0]", &["0 to 1", "found 2"]);
    let retrain = |line: &str, key: &str, needles: &[&str]| {
        refused(&format!("{STUDY}\n[retrain]\n{line}\n"), 17 + line.lines().count(), key, needles);
    };
    retrain("epochs = 0", "retrain.epochs", &["at least 1"]);
    retrain("epochs = 1\nfrom = [3]", "retrain.from[0]", &["one of the epochs that are analysed", "found 3"]);
    retrain("epochs = 1\nseeds = []", "retrain.seeds", &["at least one seed"]);
    retrain("epochs = 1\nby = \"density\"", "retrain.by", &["clean, adversarial or difference"]);
    retrain("epochs = 1\nlr = 1", "retrain.lr", &["`lr`"]);
    let one = STUDY.replace("\"auto\"", "\"auto\"\nscope = \"network\"");
    refused(
        &format!("{one}\n[retrain]\nepochs = 1\n"),
        18,
        "retrain",
        &["all layers", "scope = \"network\""],
    );
}

#[test]
fn what_is_missing() {
    let without = |section: &str| {
        let parts: Vec<&str> = STUDY.split("\n\n").filter(|part| !part.trim().starts_with(section)).collect();
        parts.join("\n\n")
    };
    refused(&without("[train]"), 1, "train", &["[train], or [[checkpoint]]", "nothing"]);
    refused(&without("[networks]"), 1, "networks", &["[networks], or [[checkpoint]]"]);
    refused(&without("[[data]]"), 1, "data", &["[[data]]"]);
    refused(&without("[sweep]"), 1, "sweep", &["[sweep]"]);
    refused(&STUDY.replace("[[data]]", "[data]"), 8, "data", &["sections [[data]]", "a section"]);
    refused(
        "sweep = 3\n[[data]]\ndataset = \"digits\"\n[networks]\narch = [\"resnet18\"]\n[train]\nepochs = [1]\n",
        1,
        "sweep",
        &["a section [sweep]", "found 3"],
    );
    let given = "[[data]]\ndataset = \"digits\"\n[[checkpoint]]\nfile = \"a.pth\"\narch = \"resnet18\"\n";
    refused(&format!("{given}[sweep]\n"), 3, "checkpoint[0].epoch", &["whole number"]);
    let twice = "epoch = 1\n[[checkpoint]]\nfile = \"b.pth\"\narch = \"resnet18\"\nepoch = 1\n[sweep]\n";
    refused(
        &format!("{given}{twice}"),
        7,
        "checkpoint[1]",
        &["one checkpoint for each epoch", "two of epoch 1"],
    );
    refused(
        &format!("{given}epoch = 1\ndata = \"mnist\"\n[sweep]\n"),
        7,
        "checkpoint[0].data",
        &["data set: digits", "\"mnist\""],
    );
    let folder = tempfile::tempdir().unwrap();
    let none = synfilter::study::Spec::read(&folder.path().join("none.toml"), None).unwrap_err();
    assert_eq!(none.exit_code(), 3);
    assert!(none.to_string().contains("none.toml: cannot read"), "{none}");
    // The folder may be named on the command line alone.
    let file = folder.path().join("s.toml");
    std::fs::write(&file, STUDY.replace("out = \"runs/x\"\n", "")).unwrap();
    let error = synfilter::study::Spec::read(&file, None).unwrap_err().to_string();
    assert!(error.contains("line 1, key out: expected the folder of the study, here or as --out"), "{error}");
    synfilter::study::Spec::read(&file, Some(folder.path())).unwrap();
}
