//! Scores of made-up sweeps against the formulas, worked out by hand or written out plainly here.

use std::path::Path;
use synfilter::columnar::{TableWriter, Value, read_table};
use synfilter::filter::FilterKind;
use synfilter::models::Stem;
use synfilter::score::curves::{ResponseCurve, curves};
use synfilter::score::plot::{Screen, plots};
use synfilter::score::{
    Baseline, Label, Options, SCORE_COLUMNS, SCORES_PARQUET, Score, Which, ranking_table, rankings,
    score_records, score_run, table,
};
use synfilter::sweep::export::{CELLS_PARQUET, HASH_KEY};
use synfilter::sweep::record::CELL_COLUMNS;
use synfilter::sweep::{AttackMode, Bits, Cell, Record, Scope};

const IMAGES: usize = 12;

/// Bits with the first `ones` set.
fn first(ones: usize) -> Bits {
    (0..IMAGES).map(|image| image < ones).collect()
}

fn unfiltered(clean: Bits, adv: Bits) -> Record {
    let cell = Cell {
        checkpoint: "ab".into(),
        arch: "resnet18".into(),
        stem: Stem::Imagenet,
        dataset: "digits".into(),
        epoch: Some(10),
        seed: None,
        scope: Scope::Layer,
        layer: None,
        layer_index: None,
        channel: None,
        filter: None,
        k: None,
        alpha: None,
        kept: 100,
        total: 100,
        images: IMAGES,
        pool: None,
        thin: None,
        order_seed: None,
        correct_clean: clean.count_ones(),
        correct_adv: adv.count_ones(),
        loss_clean: Some(0.1),
        loss_adv: Some(0.2),
        eps: 0.1,
        attack: AttackMode::Adaptive,
        pgd_steps: None,
        pgd_step_size: None,
        pgd_seed: None,
        dtype: "f32".into(),
    };
    Record { cell, clean, adv, seen: None }
}

/// The cells of one layer under one filter: per threshold, kept weights of 10, clean bits, adversarial bits.
fn curve(layer: (&str, usize), filter: FilterKind, points: &[(u64, Bits, Bits)]) -> Vec<Record> {
    let cell = |(k, (kept, clean, adv)): (usize, &(u64, Bits, Bits))| {
        let mut record = unfiltered(clean.clone(), adv.clone());
        record.cell = Cell {
            layer: Some(layer.0.into()),
            layer_index: Some(layer.1),
            filter: Some(filter),
            k: Some(k),
            alpha: Some(k as f32),
            kept: *kept,
            total: 10,
            ..record.cell
        };
        record
    };
    points.iter().enumerate().map(cell).collect()
}

/// A sweep of two layers, three filters, three thresholds.
fn sweep() -> Vec<Record> {
    let mut records = vec![unfiltered(first(12), first(6))];
    for (at, filter) in FilterKind::ALL.into_iter().enumerate() {
        let points = [(9, first(12), first(6)), (5, first(6 + at), first(9)), (0, first(0), first(3))];
        records.extend(curve(("conv1.weight", 0), filter, &points));
    }
    for filter in FilterKind::ALL {
        let points = [(9, first(12), first(6)), (9, first(2), first(1)), (9, first(1), first(0))];
        records.extend(curve(("fc.weight", 1), filter, &points));
    }
    records
}

fn scores(records: &[Record], options: Options) -> Vec<Score> {
    score_records(records, options, Path::new("cells.parquet")).unwrap()
}

fn assert_close(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
}

#[test]
fn three_scores_by_hand() {
    let found = scores(&sweep(), Options::default());
    assert_eq!(found.len(), 8);
    let names: Vec<_> = found.iter().map(|score| (score.layer_index.unwrap(), score.filter_name())).collect();
    assert_eq!(names[..4], [(0, "high-pass"), (0, "low-pass"), (0, "pulse"), (0, "combined")]);
    assert_eq!(names[7], (1, "combined"));

    // Simpson's weights are 1/6, 4/6, 1/6. ρ = 0.9, 0.5, 0: ∫ρ = (0.9 + 2.0) / 6.
    let density = 2.9 / 6.0;
    // p̄ = 1, 6/12, 0 and p̄ε = 1, 9/6, 3/6.
    assert_close(found[0].score_clean, (1.0 + 4.0 * 0.5) / 6.0 - density);
    assert_close(found[0].score_adv, (1.0 + 4.0 * 1.5 + 0.5) / 6.0 - density);
    assert_close(found[0].score_diff, (7.5 - 3.0) / 6.0);
    // The filters differ in p̄ at k = 1 only: 6, 7, 8 of 12.
    assert_close(found[3].score_clean, (1.0 + 4.0 * 7.0 / 12.0) / 6.0 - density);
    assert_close(found[3].score_adv, 7.5 / 6.0 - density);

    let plain = scores(&sweep(), Options { baseline: Baseline::Unfiltered, ..Options::default() });
    for (one, other) in found.iter().zip(&plain) {
        let density = if one.layer_index == Some(0) { density } else { 0.9 };
        assert_close(other.score_clean, one.score_clean.unwrap() + density - 1.0);
        assert_close(other.score_adv, one.score_adv.unwrap() + density - 1.0);
        assert_close(other.score_diff, one.score_diff.unwrap());
        // A baseline does not depend on the images.
        assert_close(other.se_clean, one.se_clean.unwrap());
        assert_eq!(other.baseline, Baseline::Unfiltered);
    }
}

#[test]
fn standard_errors_by_hand() {
    let found = scores(&sweep(), Options::default());
    // conv1, high-pass, clean: x = 1 for every image; y = 1/6 + 4/6 for images 0..6, 1/6 for the rest; R = 1/2.
    // Influences ±1/3, twelve of them.
    assert_close(found[0].se_clean, (12.0f64 / 9.0).sqrt() / 12.0);
    // Adversarial: mean(x) = 1/2, R = 7.5/6. y = 1, 5/6, 4/6, 0 for images 0..3, 3..6, 6..9, 9..12.
    let influence = |y: f64, x: f64| (y - 1.25 * x) / 0.5;
    let adv =
        [influence(1.0, 1.0), influence(5.0 / 6.0, 1.0), influence(4.0 / 6.0, 0.0), influence(0.0, 0.0)];
    let norm = |each: [f64; 4]| (3.0 * each.map(|i| i * i).iter().sum::<f64>()).sqrt() / 12.0;
    assert_close(found[0].se_adv, norm(adv));
    let clean = [1.0 / 3.0, 1.0 / 3.0, -1.0 / 3.0, -1.0 / 3.0];
    assert_close(found[0].se_diff, norm([0, 1, 2, 3].map(|at| adv[at] - clean[at])));
}

#[test]
fn labels_follow_tau_and_z() {
    let options = Options { tau: 0.1, z: 2.0, ..Options::default() };
    for (score, se, expected) in [
        (0.31, 0.1, Label::Antifragile),
        (0.3, 0.1, Label::Robust),
        (-0.3, 0.1, Label::Robust),
        (-0.31, 0.1, Label::Fragile),
        (0.0, 0.0, Label::Robust),
        (0.1, 0.0, Label::Robust),
        (0.11, 0.0, Label::Antifragile),
    ] {
        // 0.3 − 2·0.1 is a rounding away from 0.1: take the nearest number on the robust side.
        let score = if score == 0.3f64 {
            0.3 - 1e-12
        } else if score == -0.3 {
            -0.3 + 1e-12
        } else {
            score
        };
        assert_eq!(options.label(score, se), expected, "{score} ± {se}");
    }
    let found = scores(&sweep(), Options { z: 1.0, ..Options::default() });
    assert_eq!((found[0].label_adv, found[4].label_clean), (Label::Antifragile, Label::Fragile));
    let found = scores(&sweep(), Options { tau: 10.0, ..Options::default() });
    assert!(found.iter().all(|score| score.label_clean == Label::Robust && score.label_adv == Label::Robust));
    for (tau, z) in [(-0.1, 1.0), (0.0, -1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
        let options = Options { tau, z, ..Options::default() };
        assert_eq!(score_records(&sweep(), options, Path::new("c")).unwrap_err().exit_code(), 2);
    }
}

#[test]
fn an_unfiltered_accuracy_of_zero_leaves_no_number() {
    let mut records = sweep();
    records[0] = unfiltered(first(12), first(0));
    for score in scores(&records, Options::default()) {
        assert!(score.score_clean.is_some() && score.label_clean != Label::UndefinedAdversarial);
        assert_eq!(
            (score.score_adv, score.se_adv, score.score_diff, score.se_diff),
            (None, None, None, None)
        );
        assert_eq!(
            (score.label_adv, score.label_diff),
            (Label::UndefinedAdversarial, Label::UndefinedAdversarial)
        );
        let json = serde_json::to_value(&score).unwrap();
        assert!(json["score_adv"].is_null());
        assert_eq!(json["label_adv"], "undefined: the unfiltered adversarial accuracy is 0");
    }
    records[0] = unfiltered(first(0), first(3));
    for score in scores(&records, Options::default()) {
        assert_eq!((score.score_clean, score.label_clean), (None, Label::UndefinedClean));
        assert_eq!((score.score_diff, score.label_diff), (None, Label::UndefinedClean));
        assert!(score.score_adv.is_some());
    }
}

#[test]
fn combined_is_over_the_filters_that_were_swept() {
    let without = |left_out: &[FilterKind]| -> Vec<Record> {
        let keep = |record: &Record| !record.cell.filter.is_some_and(|filter| left_out.contains(&filter));
        sweep().into_iter().filter(keep).collect()
    };
    let two = scores(&without(&[FilterKind::LowPass]), Options::default());
    let names: Vec<_> = two.iter().map(|score| score.filter_name()).collect();
    assert_eq!(names, ["high-pass", "pulse", "combined", "high-pass", "pulse", "combined"]);
    let mean = (two[0].score_clean.unwrap() + two[1].score_clean.unwrap()) / 2.0;
    assert!((two[2].score_clean.unwrap() - mean).abs() < 1e-12);
    assert_eq!(two[2].over, [FilterKind::HighPass, FilterKind::Pulse]);
    assert!(table(&two).ends_with("combined: the mean over high-pass, pulse\n"));
    // Of one there is no mean.
    let one = scores(&without(&[FilterKind::LowPass, FilterKind::Pulse]), Options::default());
    assert!(one.len() == 2 && one.iter().all(|score| score.filter.is_some() && score.over.is_empty()));
}

#[test]
fn incomplete_cells_are_named() {
    let fails = |records: &[Record]| {
        let error = score_records(records, Options::default(), Path::new("run/cells.parquet")).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        error.to_string()
    };
    let mut records = sweep();
    records.remove(5);
    assert_eq!(
        fails(&records),
        "run/cells.parquet: checkpoint ab, conv1.weight, low-pass: expected k = 0, 1, 2, …, found [Some(0), Some(2)]"
    );
    assert!(fails(&sweep()[1..]).contains("checkpoint ab, first record: expected the unfiltered network"));
    let mut records = sweep();
    records[4].cell.images = 11;
    assert!(fails(&records).contains("checkpoint ab, images: expected 12, found 11"));
}

#[test]
fn a_run_is_scored_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let error = score_run(folder.path(), Options::default()).unwrap_err();
    assert!(error.to_string().contains("cells.parquet: cannot read"), "{error}");

    let metadata = [(HASH_KEY, "cafe".to_owned())];
    let mut cells = TableWriter::create(&folder.path().join(CELLS_PARQUET), CELL_COLUMNS, &metadata).unwrap();
    cells.write_rows(&sweep().iter().map(Record::to_row).collect::<Vec<_>>()).unwrap();
    cells.finish().unwrap();

    let options = Options { baseline: Baseline::Unfiltered, tau: 0.01, z: 1.0 };
    let found = score_run(folder.path(), options).unwrap();
    assert_eq!(found.scores, scores(&sweep(), options));
    let (metadata, rows) = read_table(&folder.path().join(SCORES_PARQUET), SCORE_COLUMNS).unwrap();
    assert_eq!(
        (&*metadata[HASH_KEY], &*metadata["synfilter.tau"], &*metadata["synfilter.z"]),
        ("cafe", "0.01", "1")
    );
    assert_eq!(rows.len(), found.scores.len());
    for (row, score) in rows.iter().zip(&found.scores) {
        let expected = [
            Value::from("ab"),
            "resnet18".into(),
            Value::Null,
            "digits".into(),
            10u32.into(),
            Value::Null,
            score.layer.as_deref().into(),
            score.layer_index.map(|index| index as i64).into(),
            Value::Null,
            score.filter_name().into(),
            "unfiltered".into(),
            score.score_clean.into(),
            score.score_adv.into(),
            score.score_diff.into(),
            score.se_clean.into(),
            score.se_adv.into(),
            score.se_diff.into(),
            score.label_clean.to_string().into(),
            score.label_adv.to_string().into(),
            score.label_diff.to_string().into(),
        ];
        assert_eq!(row[..], expected);
    }
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(
        (&json["hash"], &json["tau"], &json["baseline"]),
        (&"cafe".into(), &0.01.into(), &"unfiltered".into())
    );
    assert_eq!(json["scores"][3]["filter"], "combined");
}

#[test]
fn the_table_is_plain_and_aligned() {
    let mut records = sweep();
    records[0] = unfiltered(first(12), first(0));
    let mut found = scores(&records, Options { z: 1.0, ..Options::default() });
    found.retain(|score| matches!(score.filter, Some(FilterKind::Pulse) | None));
    // conv1, pulse: R = (1 + 4·8/12) / 6 = 0.6111, influences 8 × 0.2222 and 4 × −0.4444.
    let expected = "\
resnet18 on digits, epoch 10, baseline density
layer         filter    clean ± se        label        adversarial ± se  label      difference ± se  label
conv1.weight  pulse     +0.1278 ± 0.0907  antifragile  –                 undefined  –                undefined
              combined  +0.0722 ± 0.0874  robust       –                 undefined  –                undefined
fc.weight     pulse     -0.6083 ± 0.0813  fragile      –                 undefined  –                undefined
              combined  -0.6083 ± 0.0813  fragile      –                 undefined  –                undefined
combined: the mean over high-pass, low-pass, pulse
undefined: the unfiltered adversarial accuracy is 0
";
    assert_eq!(table(&found), expected);
    for score in &mut found {
        (score.layer, score.layer_index, score.epoch) = (None, None, None);
    }
    let network = table(&found[..1]);
    assert!(network.starts_with("resnet18 on digits, baseline density\nlayer "), "{network}");
    assert!(network.contains("\n(whole network)  pulse   +0.1278"), "{network}");
    assert_eq!(table(&[]), "");
}

/// Two trainings that differ by their seed alone.
fn two_seeds(records: Vec<Record>) -> Vec<Record> {
    let of_seed = |seed: u64| {
        let mut records = records.clone();
        for record in &mut records {
            (record.cell.seed, record.cell.checkpoint) = (Some(seed), format!("{seed}b"));
        }
        records
    };
    [of_seed(0), of_seed(u64::MAX)].concat()
}

#[test]
fn checkpoints_of_two_seeds_stay_apart() {
    let found = scores(&two_seeds(sweep()), Options::default());
    let text = table(&found);
    for heading in
        ["resnet18 on digits, seed 0, epoch 10,", "resnet18 on digits, seed 18446744073709551615, epoch 10,"]
    {
        assert_eq!(text.matches(heading).count(), 1, "{text}");
    }
    let seeds: Vec<(&str, Option<u64>)> =
        found.iter().map(|score| (&*score.checkpoint, score.seed)).collect();
    assert_eq!(
        (seeds[0], seeds[found.len() - 1]),
        (("0b", Some(0)), ("18446744073709551615b", Some(u64::MAX)))
    );

    let ranked = rankings(
        &scores(&two_seeds(channels(&FilterKind::ALL, [6, 5, 4, 3])), Options::default()),
        Which::Clean,
        2,
    );
    assert_eq!(ranked.iter().map(|ranking| ranking.seed).collect::<Vec<_>>(), [Some(0), Some(u64::MAX)]);
    assert!(ranked.iter().all(|ranking| ranking.channels == 4));
}

/// Four channels of two layers; the filters that are given, three thresholds, `adv[channel]` adversarial images right at
/// the middle one.
fn channels(filters: &[FilterKind], adv: [usize; 4]) -> Vec<Record> {
    let mut records = vec![unfiltered(first(12), first(6))];
    for (at, adv) in adv.into_iter().enumerate() {
        let (layer, channel) = ([("conv1.weight", 0), ("fc.weight", 20)][at / 2], at % 2);
        for filter in filters {
            let points = [(9, first(12), first(6)), (5, first(6), first(adv)), (0, first(0), first(3))];
            let mut curve = curve(layer, *filter, &points);
            curve.iter_mut().for_each(|record| record.cell.channel = Some(channel));
            records.extend(curve);
        }
    }
    records.iter_mut().for_each(|record| record.cell.scope = Scope::Channel);
    records
}

#[test]
fn channels_are_scored_and_ranked() {
    let found = scores(&channels(&FilterKind::ALL, [6, 2, 9, 2]), Options::default());
    assert_eq!(found.len(), 4 * 4);
    assert_eq!((found[7].layer_index, found[7].channel, found[7].filter), (Some(0), Some(1), None));
    // Simpson's weights, ρ and the ends are those of the layers above; the middle decides.
    assert_close(found[7].score_adv, (1.0 + 4.0 * 2.0 / 6.0 + 0.5) / 6.0 - 2.9 / 6.0);

    let ranked = rankings(&found, Which::Adversarial, 2);
    assert_eq!(ranked.len(), 1);
    let place = |part: &[synfilter::score::Ranked]| {
        part.iter().map(|ranked| (ranked.layer.clone(), ranked.channel)).collect::<Vec<_>>()
    };
    // Equal scores keep network order, from either end.
    assert_eq!(place(&ranked[0].most_fragile), [("conv1.weight".into(), 1), ("fc.weight".into(), 1)]);
    assert_eq!(place(&ranked[0].most_antifragile), [("fc.weight".into(), 0), ("conv1.weight".into(), 0)]);
    let all = rankings(&found, Which::Adversarial, 9);
    assert_eq!(place(&all[0].most_antifragile)[2..], place(&ranked[0].most_fragile));
    assert_eq!((all[0].channels, all[0].undefined, all[0].filter), (4, 0, "combined"));
    let text = ranking_table(&ranked);
    let expected = "\
resnet18 on digits, epoch 10: 4 channels by adversarial score, combined
most fragile
   1  conv1.weight  channel 1  -0.0111 ± 0.1542  robust
   2  fc.weight     channel 1  -0.0111 ± 0.1542  robust
most antifragile
   1  fc.weight     channel 0  +0.7667 ± 0.2381  antifragile
   2  conv1.weight  channel 0  +0.4333 ± 0.0340  antifragile
";
    assert_eq!(text, expected);

    // By the mean over the filters that were swept, or by the only one; none for layers; undefined scores are counted.
    for (filters, name) in
        [(&[FilterKind::HighPass, FilterKind::Pulse][..], "combined"), (&[FilterKind::Pulse], "pulse")]
    {
        let found = scores(&channels(filters, [6, 2, 9, 2]), Options::default());
        let names: Vec<&str> =
            rankings(&found, Which::Clean, 1).iter().map(|ranking| ranking.filter).collect();
        assert_eq!(names, [name]);
    }
    assert_eq!(rankings(&scores(&sweep(), Options::default()), Which::Adversarial, 3), []);
    let mut never = channels(&FilterKind::ALL, [6, 2, 9, 2]);
    never.iter_mut().for_each(|record| (record.adv, record.cell.correct_adv) = (first(0), 0));
    let ranked = rankings(&scores(&never, Options::default()), Which::Difference, 3);
    assert_eq!((ranked[0].channels, ranked[0].undefined), (0, 4));
    assert!(ranking_table(&ranked).contains("4 channels have no score: the unfiltered accuracy is 0"));
    assert_eq!("difference".parse::<Which>().unwrap(), Which::Difference);
    assert!("both".parse::<Which>().is_err());
}

#[test]
fn response_curves() {
    let mut records = sweep();
    let found = curves(&records);
    assert_eq!(found.len(), 1);
    let ResponseCurve { filter, density, clean, adv } = &found[0].targets[0].curves[0];
    assert_eq!((*filter, density.as_slice()), (FilterKind::HighPass, &[0.9, 0.5, 0.0][..]));
    assert_eq!((clean.as_deref(), adv.as_deref()), (Some(&[1.0, 0.5, 0.0][..]), Some(&[1.0, 1.5, 0.5][..])));
    let names: Vec<String> = found[0].targets.iter().map(|target| target.name()).collect();
    assert_eq!(names, ["conv1.weight", "fc.weight"]);

    let text = plots(&found[0], Screen { columns: 60, colour: false });
    // Two plots fit beside one another, the third goes below; 9 lines from 1.5 to 0.
    let expected = "\
conv1.weight
      high-pass                  low-pass
1.50 │          xxx             │          xxx
     │      xxxx   xx           │      xxxx   xx
     │ xxxxx         xx         │ xxxxx         xx
1.00 │##oo             xxx      │##ooo            xxx
     │  ..####            xx    │  ...###oo          xx
";
    assert!(text.contains(expected), "{text}");
    let pulse = text.split("conv1.weight\n").nth(1).unwrap().find("\n      pulse\n");
    assert!(pulse.is_some(), "{text}");
    assert!(text.contains("fc.weight     ▆▄▂▂▁  ▆▄▂▁▁  "), "{text}");
    for columns in [0, 40, 80, 200] {
        let text = plots(&found[0], Screen { columns, colour: false });
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= columns.max(56), "{columns}: {widest}\n{text}");
    }
    let coloured = plots(&found[0], Screen { columns: 60, colour: true });
    assert!(coloured.contains("\x1b[31m⠉") || coloured.contains("\x1b[31m⣀"), "{coloured}");

    // No accuracy, no curve.
    records[0] = unfiltered(first(12), first(0));
    let found = curves(&records);
    assert_eq!(found[0].targets[0].curves[0].adv, None);
    let text = plots(&found[0], Screen { columns: 80, colour: false });
    assert!(text.contains("pulse: no adversarial curve, the unfiltered accuracy being 0"), "{text}");
    assert_eq!(curves(&[]), []);
}
