//! `report` on results of the program: the page, the figures, and what is refused.

use crate::support::*;
use resvg::usvg;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Two checkpoints swept by layers, one of them by channels; security curves; a comparison.
fn results() -> TempDir {
    let folder = folder_with_net();
    checkpoint(ARCH, 1, 10, 2, true).save(folder.path().join("later.safetensors")).unwrap();
    for line in [
        &format!(
            "sweep --checkpoint {{}}/net.safetensors,{{}}/later.safetensors --dataset digits --images 40 --layers {LAYERS} \
             --thresholds 3 --eps 0.1 --out {{}}/runs/layers"
        ),
        "sweep --checkpoint {}/net.safetensors --dataset digits --images 20 --scope channel --layers conv1.0.weight \
         --thresholds 2 --eps 0.1 --out {}/runs/channels",
        "attack --checkpoint {}/net.safetensors,{}/later.safetensors --dataset digits --images 20 --eps 0.05,0.1 --steps 2 \
         --out {}/runs/attack",
        "compare {}/runs/layers --out {}/runs/compare",
    ] {
        run(line, folder.path());
    }
    folder
}

fn page(line: &str, folder: &Path) -> String {
    run(line, folder);
    fs::read_to_string(folder.join("report.html")).unwrap()
}

/// A run folder whose sweep has not got to its tables.
fn unfinished(folder: &TempDir, name: &str) {
    let run = folder.path().join(name);
    fs::create_dir_all(&run).unwrap();
    fs::copy(folder.path().join("runs/layers/run.json"), run.join("run.json")).unwrap();
}

#[test]
fn the_page_has_all_parts_and_needs_nothing_else() {
    let folder = results();
    let html = page("report {}/runs --out {}/report.html", folder.path());
    for part in
        ["networks", "responses", "scores", "invariance", "channels", "security", "method", "provenance"]
    {
        assert!(html.contains(&format!("<section id=\"{part}\">")), "{part}");
    }
    for part in [
        // Curves of each checkpoint, in network order.
        "Response curves, shufflenet_v2_x0_5 on digits, epoch 1",
        "Response curves, shufflenet_v2_x0_5 on digits, epoch 2",
        "id=\"scores-shufflenet_v2_x0_5-digits-combined\"",
        "over epochs: shufflenet_v2_x0_5 on digits",
        "Channels of shufflenet_v2_x0_5 on digits, epoch 1, combined",
        "Security curves on digits",
        ">PGD-2<",
        // Links that go where the report goes, and the hash of what was read.
        "<a href=\"runs/layers/cells.parquet\">",
        "<a href=\"runs/attack/attack.parquet\">",
        &sha256(&folder.path().join("runs/layers/cells.parquet")),
        "--scope channel --layers conv1.0.weight",
        "<title>Synaptic filtering: shufflenet_v2_x0_5 on digits</title>",
    ] {
        assert!(html.contains(part), "{part}");
    }
    let in_order = ["conv1.0, ", "stage3.0.branch1.0, ", "fc.weight, "].map(|layer| {
        let layer = layer.replace(", ", ".weight, ").replace(".weight.weight", ".weight");
        html.find(&format!("<title>{layer}")).unwrap_or_else(|| panic!("{layer}"))
    });
    assert!(in_order.is_sorted(), "{in_order:?}");
    for foreign in ["http:", "https:", "NaN", "inf\"/", "src=", "@import", "url("] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    for missing in ["There is no", "There are no", "No sweep is of"] {
        assert!(!html.contains(missing), "{missing}");
    }

    // Neither the order of folders nor naming one twice changes a byte.
    let again = page(
        "report {}/runs/layers {}/runs/compare {}/runs/attack {}/runs/channels {}/runs --out {}/report.html",
        folder.path(),
    );
    assert!(html == again, "the same results gave another page");
    let titled = page("report {}/runs --title <b>&amp; --out {}/report.html", folder.path());
    assert!(titled.contains("<h1>&lt;b&gt;&amp;amp;</h1>") && !titled.contains("<b>&"));
}

fn sha256(path: &Path) -> String {
    synfilter::content::Content::of(path).unwrap().sha256
}

#[test]
fn retraining_is_shown_with_its_controls_and_tests() {
    let folder = folder_with_net();
    mnist_split(&folder.path().join("data/mnist"), "train", 40);
    mnist_split(&folder.path().join("data/mnist"), "t10k", 40);
    let data = "--dataset mnist --data-dir {}/data --checkpoint {}/net.safetensors";
    run(&format!("sweep {data} --images 10 --thresholds 2 --eps 0.05 --out {{}}/swept"), folder.path());
    let retrain =
        "--labels {}/swept --batch-size 20 --epochs 1 --seeds 3,4 --eps 0.05,0.1 --out {}/retrained";
    run(&format!("retrain {data} {retrain}"), folder.path());
    let html = page("report {}/retrained --out {}/report.html", folder.path());
    for part in [
        "Selective retraining of shufflenet_v2_x0_5 on mnist, epoch 1",
        "id=\"retraining-shufflenet_v2_x0_5-on-mnist-epoch-1\"",
        "accuracy on 30 held-out images",
        "<th scope=\"col\" class=\"n\">p over seeds</th>",
        "<a href=\"retrained/retrain.parquet\">",
        "checkpoint</td>",
        "random, seed 4",
    ] {
        assert!(html.contains(part), "{part}");
    }
    // Three arms against nothing, all layers, as many layers: on clean images and under two attacks.
    assert_eq!(html.matches("<td>selective</td><td>").count(), 3 * 3);
}

#[test]
fn figures_are_files_that_others_can_draw() {
    let folder = results();
    let told = json("report {}/runs --format svg --out {}/figures", folder.path());
    let written = told["written"].as_array().unwrap();
    assert_eq!(written.len(), names(folder.path().join("figures")).len());
    assert!(told["read"].as_array().unwrap().len() >= 6);
    for file in written {
        let path = Path::new(file.as_str().unwrap());
        let svg = fs::read_to_string(path).unwrap();
        assert!(!svg.contains("var("), "{}", path.display());
        let tree = usvg::Tree::from_str(&svg, &usvg::Options::default()).unwrap();
        assert!(tree.root().has_children() && tree.size().width() > 300.0, "{}", path.display());
    }
    let one = "scores-shufflenet_v2_x0_5-digits-combined";
    run(&format!("report {{}}/runs --format png --figure {one} --out {{}}/one"), folder.path());
    assert_eq!(names(folder.path().join("one")), [format!("{one}.png")]);
    let bytes = fs::read(folder.path().join(format!("one/{one}.png"))).unwrap();
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000, "{} bytes", bytes.len());
    refused(
        "report {}/runs --format svg --figure none --out {}/more",
        folder.path(),
        2,
        &["--figure: no figure is called \"none\"", one],
    );
    assert!(!folder.path().join("more").exists());
}

#[test]
fn what_is_missing_is_said_with_the_command_that_makes_it() {
    let folder = results();
    unfinished(&folder, "runs/half");
    let html = page("report {}/runs/layers {}/runs/half --out {}/report.html", folder.path());
    for part in [
        "half is not finished, and left out.",
        "There is no comparison",
        "synfilter compare ",
        "No sweep is of single channels.",
        "There are no security curves",
        "No network was retrained selectively.",
        "/later.safetensors --dataset digits --out DIR",
    ] {
        assert!(html.contains(part), "{part}");
    }
    let html = page("report {}/runs/attack --out {}/report.html", folder.path());
    assert!(html.contains("There are no response curves") && html.contains("No network was swept"));
}

#[test]
fn names_in_files_stay_text() {
    let folder = results();
    let path = folder.path().join("runs/attack/attack.json");
    let text = fs::read_to_string(&path).unwrap();
    let evil = "</title><script>alert(1)</script>";
    fs::write(&path, text.replace(ARCH.name(), evil)).unwrap();
    let html = page("report {}/runs/attack --out {}/report.html", folder.path());
    assert!(!html.contains("<script>alert"), "a name became a script");
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    run("report {}/runs/attack --format svg --out {}/figures", folder.path());
    let svg = fs::read_to_string(folder.path().join("figures/security-digits-1.svg")).unwrap();
    assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script"));
}

#[test]
fn bad_input_is_refused_and_nothing_is_written() {
    let folder = results();
    let to = "--out {}/report.html";
    let refuse = |line: &str, code: i32, needles: &[&str]| {
        refused(line, folder.path(), code, needles);
        assert!(!folder.path().join("report.html").exists(), "{line}");
    };
    refuse(&format!("report {{}}/none {to}"), 3, &["none: cannot read"]);
    fs::create_dir(folder.path().join("empty")).unwrap();
    refuse(
        &format!("report {{}}/runs {{}}/empty {to}"),
        3,
        &["empty: results: expected one of run.json", "none here or in the folders below"],
    );
    unfinished(&folder, "half");
    refuse(&format!("report {{}}/half {to}"), 3, &["half: finished tables", "--resume"]);
    refuse("report", 2, &["FOLDER"]);
    refuse(
        &format!("report {{}}/runs --format pdf {to}"),
        2,
        &["unknown format \"pdf\": expected html, svg or png"],
    );
    refuse("report {}/runs --format png", 2, &["--out DIR"]);
    refuse(&format!("report {{}}/runs --figure a {to}"), 2, &["--figure: chooses"]);
    refuse("report {}/runs --format svg --title a --out {}/f", 2, &["--title"]);
    refuse(&format!("report {{}}/runs --tau -1 {to}"), 2, &["tau: expected"]);
    refuse("report {}/runs --out {}/empty", 1, &["empty: cannot write"]);
    assert_eq!(names(folder.path().join("empty")), [""; 0]);

    fs::write(folder.path().join("retrain.json"), "{\"version\": 1}").unwrap();
    refuse(&format!("report {{}} {to}"), 3, &["retrain.json: content: expected"]);
    for (file, expected) in [
        ("runs/attack/attack.json", "attack.json: content: expected"),
        ("runs/compare/compare.json", "compare.json: content: expected"),
        ("runs/layers/run.json", "run.json: content: expected"),
        ("runs/layers/cells.parquet", "cells.parquet: "),
    ] {
        let path = folder.path().join(file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        refuse(&format!("report {{}}/runs {to}"), 3, &[expected]);
        fs::write(&path, whole).unwrap();
    }
}
