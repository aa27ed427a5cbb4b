//! The graph of steps: who comes after whom, and what makes a step another one.

use crate::{STUDY, graph, read};
use std::collections::HashSet;
use std::path::Path;
use synfilter::attack::Eps;
use synfilter::attack::{Method, Pgd};
use synfilter::study::{Folders, Step, Task, Work, checkpoint_of, steps};

fn names(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|step| &*step.name).collect()
}

fn before<'s>(steps: &'s [Step], step: &Step) -> Vec<&'s str> {
    step.after.iter().map(|&at| &*steps[at].name).collect()
}

#[test]
fn every_step_follows_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let steps = graph(folder.path(), STUDY);
    // Four networks: training, ε, three sweeps, three scores; all sweeps compared; a report.
    assert_eq!(steps.len(), 4 * (1 + 1 + 3 + 3) + 2);
    let train = "train digits/resnet18/seed-0";
    let eps = "eps digits/resnet18/seed-0";
    assert_eq!(
        names(&steps)[..5],
        [
            train,
            eps,
            "sweep digits/resnet18/seed-0 epoch 2",
            "score digits/resnet18/seed-0 epoch 2",
            "sweep digits/resnet18/seed-0 epoch 4",
        ]
    );
    assert_eq!(before(&steps, &steps[0]), [""; 0]);
    assert_eq!(before(&steps, &steps[1]), [train]);
    assert_eq!(before(&steps, &steps[4]), [train, eps]);
    assert_eq!(before(&steps, &steps[5]), ["sweep digits/resnet18/seed-0 epoch 4"]);
    for (at, step) in steps.iter().enumerate() {
        let network = step.work.network();
        let own = |before: usize| network.is_none() || steps[before].work.network() == network;
        assert!(step.after.iter().all(|&before| before < at && own(before)));
    }
    let sweeps: Vec<&str> = names(&steps).into_iter().filter(|name| name.starts_with("sweep ")).collect();
    assert_eq!(steps[32].work, Work::Compare);
    assert_eq!(before(&steps, &steps[32]), sweeps);
    assert_eq!((steps[33].work, steps[33].after.len()), (Work::Report, 33));
    // Nobody writes over another's record, and every step is a different one.
    let records: HashSet<_> = steps.iter().map(Step::record).collect();
    let keys: HashSet<&String> = steps.iter().map(|step| &step.key).collect();
    assert_eq!((records.len(), keys.len()), (steps.len(), steps.len()));
    let spec = read(folder.path(), STUDY).unwrap();
    assert_eq!(
        checkpoint_of(&spec, 0, 1),
        folder.path().join("out/digits/resnet18/seed-0/train/epoch-0004.safetensors")
    );
    assert_eq!(
        Folders::of(&spec, 3).sweep(5),
        folder.path().join("out/digits/shufflenet_v2_x1_0/seed-7/epoch-0005")
    );
    // A checkpoint at each epoch, and no more than that takes.
    assert_eq!(spec.train.unwrap().save_every, 2);
}

/// A stem has folders and steps of its own; torchvision's changes nothing.
#[test]
fn stems_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let arch = "arch = [\"resnet18\", \"shufflenet_v2_x1_0\"]";
    let with = |lines: &str| STUDY.replace(arch, lines);
    assert_eq!(changed(&with(&format!("{arch}\nstem = \"imagenet\""))), [""; 0]);
    let steps = graph(folder.path(), &with("arch = [\"resnet18\"]\nstem = \"3x3-pool\""));
    assert_eq!(steps[0].name, "train digits/resnet18-3x3-pool/seed-0");
    assert_eq!(steps[0].settings["network"]["stem"], "3x3-pool");
    let given = "out = \"x\"\n[[data]]\ndataset = \"digits\"\n[sweep]\n[[checkpoint]]\nfile = \"a.pth\"\narch = \"resnet18\"\nepoch = 1\n\
                 [[checkpoint]]\nfile = \"b.pth\"\narch = \"resnet18\"\nstem = \"3x3\"\nepoch = 1\n";
    let spec = read(folder.path(), given).unwrap();
    assert_eq!([0, 1].map(|at| spec.name(at)), ["digits/resnet18/seed-0", "digits/resnet18-3x3/seed-0"]);
    assert!(names(&graph(folder.path(), given)).contains(&"compare"), "as two architectures are");
}

#[test]
fn a_number_in_the_place_of_the_search_leaves_it_out() {
    let folder = tempfile::tempdir().unwrap();
    let steps = graph(folder.path(), &STUDY.replace("\"auto\"", "\"8/255\""));
    assert_eq!(steps.len(), 4 * (1 + 3 + 3) + 2);
    assert_eq!(before(&steps, &steps[1]), ["train digits/resnet18/seed-0"]);
    assert_eq!(steps[1].settings["eps"], 8.0 / 255.0);
}

/// A random start has the seed of its network, which is that of its command.
#[test]
fn pgd_is_what_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let sweep = |lines: &str| {
        let text = STUDY.replace("\"auto\"", &format!("\"auto\"\n{lines}"));
        read(folder.path(), &text).unwrap().sweep
    };
    assert_eq!(sweep("").method(7), Method::Fgsm);
    let pgd = Pgd { steps: 10, step_size: None, seed: None };
    assert_eq!(sweep("method = \"pgd\"").method(7), Method::Pgd(pgd));
    let whole = sweep("method = \"pgd\"\nsteps = 4\nstep-size = \"2/255\"\nrandom-start = true");
    let pgd = Pgd { steps: 4, step_size: Some(2.0 / 255.0), seed: Some(7) };
    assert_eq!(whole.method(7), Method::Pgd(pgd));
}

#[test]
fn security_curves_are_drawn_after_training() {
    let folder = tempfile::tempdir().unwrap();
    let with = |lines: &str| format!("{STUDY}\n[attack]\n{lines}");
    let steps = graph(folder.path(), &with(""));
    assert_eq!(steps.len(), 4 * (1 + 1 + 3 + 3 + 1) + 2);
    assert_eq!(steps[8].name, "attack digits/resnet18/seed-0");
    assert_eq!(before(&steps, &steps[8]), ["train digits/resnet18/seed-0"]);
    let attack = |lines: &str| read(folder.path(), &with(lines)).unwrap().attack.unwrap();
    let pgd = |seed| Method::Pgd(Pgd { steps: 10, step_size: None, seed });
    assert_eq!(attack("").methods, [Method::Fgsm, pgd(None)]);
    assert_eq!(attack("").eps.len(), 6);
    let seeds = attack("methods = [\"pgd\"]\nrandom-start = true\nseeds = [4, 2]\neps = [\"8/255\", 0]");
    assert_eq!(seeds.methods, [pgd(Some(4)), pgd(Some(2))]);
    assert_eq!(seeds.eps, [Eps(0.0), Eps(8.0 / 255.0)]);
    assert_eq!(changed(&with("")), [""; 0]);
}

#[test]
fn retraining_follows_the_sweep_of_its_epoch_and_attacks_follow_it() {
    let folder = tempfile::tempdir().unwrap();
    let with = |lines: &str| format!("{STUDY}\n[retrain]\n{lines}\n[attack]\n");
    let steps = graph(folder.path(), &with("epochs = 2\nfrom = [2, 5]"));
    assert_eq!(steps.len(), 4 * (1 + 1 + 3 + 3 + 2 + 1) + 2);
    let at = |name: &str| steps.iter().find(|step| step.name == name).unwrap();
    let (train, first, last) = (
        "train digits/resnet18/seed-7",
        "retrain digits/resnet18/seed-7 epoch 2",
        "retrain digits/resnet18/seed-7 epoch 5",
    );
    assert_eq!(before(&steps, at(first)), [train, "sweep digits/resnet18/seed-7 epoch 2"]);
    assert_eq!(before(&steps, at("attack digits/resnet18/seed-7")), [train, first, last]);
    let retrain = read(folder.path(), &with("epochs = 3")).unwrap().retrain.unwrap();
    assert_eq!((&retrain.from[..], &retrain.seeds[..]), (&[5, 5, 5, 5][..1], &[0, 1, 2][..]));
    assert_eq!(changed(&with("epochs = 2").replace("[attack]", "")), ["report"; 0]);
}

/// Sweeps are compared where two of them differ in one respect alone.
#[test]
fn what_cannot_be_compared_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let given = |arch: &str, epoch: u32, seed: u64| {
        format!("[[checkpoint]]\nfile = \"n.pth\"\narch = \"{arch}\"\nepoch = {epoch}\nseed = {seed}\n")
    };
    let compares = |other: &str, sweep: &str| {
        let first = given("resnet18", 1, 0);
        let text =
            format!("out = \"x\"\n[[data]]\ndataset = \"digits\"\n{first}{other}[sweep]\neps = 0.1\n{sweep}");
        graph(folder.path(), &text).iter().any(|step| step.work == Work::Compare)
    };
    assert!(!compares("", ""));
    assert!(compares(&given("resnet18", 2, 0), ""));
    assert!(compares(&given("resnet18", 1, 3), ""));
    assert!(compares(&given("resnet50", 1, 0), ""));
    assert!(!compares(&given("resnet50", 2, 0), ""));
    assert!(!compares(&given("resnet18", 2, 0), "scope = \"network\""), "compare is of layers");
}

#[test]
fn given_checkpoints_need_no_training() {
    let folder = tempfile::tempdir().unwrap();
    let given = |epoch: u32, seed: u64| {
        format!(
            "[[checkpoint]]\nfile = \"n{epoch}.pth\"\narch = \"resnet50\"\nepoch = {epoch}\nseed = {seed}\n"
        )
    };
    let text = format!(
        "out = \"x\"\n[[data]]\ndataset = \"digits\"\n{}{}{}[sweep]\nscope = \"network\"\n",
        given(20, 0),
        given(10, 0),
        given(10, 1)
    );
    let steps = graph(folder.path(), &text);
    assert_eq!(
        names(&steps)[..4],
        [
            "eps digits/resnet50/seed-0",
            "sweep digits/resnet50/seed-0 epoch 10",
            "score digits/resnet50/seed-0 epoch 10",
            "sweep digits/resnet50/seed-0 epoch 20",
        ]
    );
    assert_eq!(steps.len(), 5 + 3 + 1);
    let spec = read(folder.path(), &text).unwrap();
    // ε is searched at the last epoch.
    assert_eq!(steps[0].settings["checkpoint"], "n20.pth");
    assert_eq!(checkpoint_of(&spec, 0, 0), Path::new("n10.pth"));
}

/// Which kinds of steps of the first network have other keys in another study.
fn changed(text: &str) -> Vec<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (graph(folder.path(), STUDY), graph(folder.path(), text));
    let key = |steps: &[Step], name: &str| steps.iter().find(|s| s.name == name).map(|s| s.key.clone());
    let first = |step: &&Step| {
        matches!(
            step.work,
            Work::Compare
                | Work::Of(0, Task::Train | Task::Eps | Task::Sweep(0) | Task::Score(0) | Task::Attack)
        )
    };
    let kinds = old.iter().filter(first);
    kinds
        .filter(|step| key(&new, &step.name).as_ref() != Some(&step.key))
        .map(|step| step.work.kind())
        .collect()
}

#[test]
fn a_step_is_another_one_if_anything_before_it_is() {
    assert_eq!(changed(STUDY), [""; 0]);
    let scored = format!("{STUDY}\n[score]\ntau = 0.01\n");
    assert_eq!(changed(&scored), ["score", "compare"]);
    assert_eq!(
        changed(&STUDY.replace("\"auto\"", "\"auto\"\nthresholds = 9")),
        ["sweep", "score", "compare"]
    );
    assert_eq!(
        changed(&STUDY.replace("\"auto\"", "\"auto\"\nclamp = false")),
        ["eps", "sweep", "score", "compare"]
    );
    let pgd = STUDY.replace("\"auto\"", "\"auto\"\nmethod = \"pgd\"\nsteps = 4\nrandom-start = true");
    assert_eq!(changed(&pgd), ["sweep", "score", "compare"]);
    assert_eq!(changed(&STUDY.replace("\"auto\"", "\"auto\"\nmethod = \"fgsm\"")), [""; 0]);
    let everything = ["train", "eps", "sweep", "score", "compare"];
    assert_eq!(changed(&STUDY.replace("epochs = [2, 4, 5]", "epochs = [2, 4, 5]\nlr = 0.1")), everything);
    // Other networks, and where files lie, are another matter.
    assert_eq!(changed(&STUDY.replace("[0, 7]", "[0, 7, 8]")), ["compare"]);
    assert_eq!(changed(&STUDY.replace("runs/x", "runs/y")), [""; 0]);
    let folder = tempfile::tempdir().unwrap();
    let spec = read(folder.path(), STUDY).unwrap();
    let on = |dtype: &str| steps(&spec, &serde_json::json!({ "backend": "cuda", "dtype": dtype }));
    let (wide, narrow) = (on("f32"), on("f16"));
    assert_eq!(wide[0].key, narrow[0].key, "all training is in f32");
    assert_ne!(wide[2].key, narrow[2].key);
}
