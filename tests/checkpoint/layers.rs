//! Layers beside a network, variances, and networks under names that tell their place.

use crate::find::{file_of, find, found, refused, renamed};
use crate::ramp;
use synfilter::checkpoint::{Expected, Tensor};

fn and(mut tensors: Vec<(String, Tensor)>, more: &[(&str, &[usize])]) -> Vec<(String, Tensor)> {
    tensors.extend(more.iter().map(|(name, shape)| ((*name).to_owned(), ramp(shape, 1.0, 1.0))));
    tensors
}

#[test]
fn norms_beside_a_network_are_layers() {
    // Within the classifier's part: another network.
    let parts = renamed(|name| {
        if name.starts_with("fc") { name.replace("fc.", "head.fc.") } else { format!("backbone.{name}") }
    });
    let norm: [(&str, &[usize]); 2] = [("head.norm.weight", &[2]), ("head.norm.bias", &[2])];
    let error = find(&file_of(&and(parts.clone(), &norm), &[])).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("found `head.norm.bias`, `head.norm.weight`"), "{error}");
    // Between the numbers of a Sequential, too.
    let numbers = renamed(|name| name.replace("conv1.", "0.").replace("bn1.", "1.").replace("fc.", "9."));
    let message = refused(&and(numbers, &[("8.weight", &[2])]));
    assert!(message.contains("tensor `8.weight`: expected no tensor of this name"), "{message}");
    let pieces =
        renamed(|name| if name.starts_with("fc") { name.replace("fc.", "2.") } else { format!("0.{name}") });
    let error = find(&file_of(&and(pieces, &[("1.weight", &[2]), ("1.bias", &[2])]), &[])).unwrap_err();
    assert!(error.to_string().contains("found `1.bias`, `1.weight`"), "{error}");
    // Elsewhere they are told, before counters.
    for layers in [
        &["bn0.weight", "bn0.bias", "bn0.running_mean", "bn0.running_var"][..],
        &["relu.weight"],
        &["avgpool.p"],
        &["fc_norm.weight", "fc_norm.bias"],
    ] {
        let mut tensors = vec![("n_averaged".to_owned(), ramp(&[1], 0.0, 1.0))];
        tensors.extend(renamed(|name| format!("net.{name}")));
        tensors.extend(layers.iter().map(|name| ((*name).to_owned(), ramp(&[2], 1.0, 1.0))));
        let found = found(&tensors);
        assert_eq!(found.passed_over.last().map(String::as_str), Some("n_averaged"));
        assert_eq!(found.passed_over.len(), layers.len() + 1);
        let file = file_of(&tensors, &[]);
        let told = file.layers_beside(&found, &[]);
        assert!(told.len() == 1 && layers.contains(&told[0]), "each layer once: {told:?}");
    }
    let counters = and(renamed(str::to_owned), &[("queue", &[3]), ("conv1.total_ops", &[1])]);
    assert!(file_of(&counters, &[]).layers_beside(&found(&counters), &[]).is_empty());
}

#[test]
fn negative_variances_are_an_error() {
    let mut tensors = renamed(str::to_owned);
    for (name, tensor) in &mut tensors {
        if name == "bn1.running_var" {
            tensor.data[1] = -0.5;
        }
    }
    assert_eq!(
        refused(&tensors),
        "file: tensor `bn1.running_var`, flat index 1: expected a variance of 0 or more, found -0.5"
    );
}

#[test]
fn a_normalisation_as_text_counts_as_a_list() {
    let of = |mean: &str, std: &str| {
        let notes = [("mean", mean), ("std", std)];
        let notes: Vec<_> = notes.into_iter().filter(|(_, text)| !text.is_empty()).collect();
        file_of(&renamed(str::to_owned), &notes).metadata(3, 5).unwrap()
    };
    for (mean, std) in [
        ("[0.5, 0.25, 0.125]", "[0.5, 0.5, 0.5]"),
        ("(0.5, 0.25, 0.125)", "(0.5, 0.5, 0.5,)"),
        ("0.5 0.25 0.125", "0.5  0.5 0.5"),
        ("[0.5 0.25 0.125]", " 0.5,0.5,0.5 "),
    ] {
        let (meta, told) = of(mean, std);
        assert_eq!((meta.mean, told.len()), (Some(vec![0.5, 0.25, 0.125]), 0), "{mean}");
        assert_eq!(meta.std, Some(vec![0.5; 3]));
    }
    for (mean, std, why) in [
        ("[0.5, 0.5, 0.5]", "", "no std beside it"),
        ("", "0.5 0.5 0.5", "no mean beside it"),
        ("ImageNet", "0.5 0.5 0.5", "not a list of numbers"),
        ("0.5,,0.5,0.5", "0.5 0.5 0.5", "not a list of numbers"),
        ("0.5 0.5 0.5", "(0.5, 0.5)", "2 numbers, the network has 3 channels"),
        ("[123, 117, 104]", "[58, 57, 57]", "no normalisation of pixels in [0, 1] has such mean and std"),
    ] {
        let (meta, told) = of(mean, std);
        assert_eq!((meta.mean, meta.std), (None, None), "{mean}");
        assert!(told.len() == 1 && told[0].contains(why), "{told:?}");
    }
    let notes = [("norm_mean", "0.4,0.4,0.4"), ("STD", "0.2,0.2,0.2"), ("val_mean", "0.5,0.5,0.5")];
    let (_, told) = file_of(&renamed(str::to_owned), &notes).metadata(3, 5).unwrap();
    assert_eq!(
        told,
        [
            "`STD` = 0.2,0.2,0.2 and `norm_mean` = 0.4,0.4,0.4 beside the weights is not taken for a normalisation \
          (--mean and --std say it)"
        ]
    );
}

#[test]
fn initial_weights_and_gradients_go_last() {
    for (other, plain) in [
        ("init_weight", "state_dict"),
        ("initial", "model"),
        ("grads", "best"),
        ("model.gradients", "teacher"),
    ] {
        let mut tensors = renamed(|name| format!("{other}.{name}"));
        for (_, tensor) in &mut tensors {
            tensor.data.iter_mut().for_each(|value| *value += 1.0);
        }
        tensors.extend(renamed(|name| format!("{plain}.{name}")));
        let found = found(&tensors);
        assert_eq!((found.key.as_str(), found.others.as_slice()), (plain, &[other.to_owned()][..]));
    }
    assert_eq!(found(&renamed(|name| format!("init.{name}"))).key, "init");
}

fn norm(name: &str) -> Vec<(String, usize)> {
    ["weight", "bias", "running_mean", "running_var"].map(|part| (format!("{name}.{part}"), 1)).into()
}

/// Names of a ResNet of four stages of one basic block, every layer of one shape, with one way around a block.
fn resnet() -> Vec<Expected> {
    let mut names = vec![("conv1.weight".to_owned(), 4)];
    names.extend(norm("bn1"));
    for stage in 1..=4 {
        for layer in 1..=2 {
            names.push((format!("layer{stage}.0.conv{layer}.weight"), 4));
            names.extend(norm(&format!("layer{stage}.0.bn{layer}")));
        }
    }
    names.push(("layer2.0.downsample.0.weight".to_owned(), 4));
    names.extend(norm("layer2.0.downsample.1"));
    names.extend([("fc.weight".to_owned(), 2), ("fc.bias".to_owned(), 1)]);
    names.into_iter().map(|(name, rank)| (name, vec![2; rank])).collect()
}

/// Which tensors of a file of that network under other names are taken, by the value that each has alone.
fn taken(expected: &[Expected], name: impl Fn(&str) -> String) -> Result<Vec<f32>, String> {
    let tensors: Vec<(String, Tensor)> = expected
        .iter()
        .enumerate()
        .map(|(at, (own, shape))| (name(own), ramp(shape, at as f32, 0.0)))
        .collect();
    let file = file_of(&tensors, &[]);
    let read = file.find("the network", expected, None).and_then(|found| file.read(&found, expected));
    let read = read.map_err(|error| error.to_string())?;
    Ok(expected.iter().map(|(own, _)| read.tensors[own].data[0]).collect())
}

#[test]
fn names_that_tell_the_place_are_read() {
    let stages = |name: &str, to: &str| {
        (1..=4).fold(name.to_owned(), |name, stage| {
            name.replace(&format!("layer{stage}."), &format!("{to}.{}.", stage - 1))
        })
    };
    let stem = |name: &str, conv: &str, bn: &str| match name.split_once('.') {
        Some(("conv1", rest)) => format!("{conv}.{rest}"),
        Some(("bn1", rest)) => format!("{bn}.{rest}"),
        _ => name.to_owned(),
    };
    let in_blocks = |name: &str, pairs: &[(&str, &str)]| match name.starts_with("layer") {
        true => pairs.iter().fold(name.to_owned(), |name, (own, other)| name.replace(own, other)),
        false => name.to_owned(),
    };
    let hugging = |name: &str| {
        let pairs = [
            (".conv1.", ".layer.0.convolution."),
            (".conv2.", ".layer.1.convolution."),
            (".bn1.", ".layer.0.normalization."),
            (".bn2.", ".layer.1.normalization."),
            (".downsample.0.", ".shortcut.convolution."),
            (".downsample.1.", ".shortcut.normalization."),
        ];
        let inner =
            in_blocks(name, &pairs).replacen(".0.", ".layers.0.", usize::from(name.starts_with("layer")));
        let stem = stem(&inner, "embedder.embedder.convolution", "embedder.embedder.normalization");
        match stem.strip_prefix("fc.") {
            Some(rest) => format!("classifier.1.{rest}"),
            None => format!("resnet.{}", stages(&stem, "encoder.stages")),
        }
    };
    type Names<'a> = &'a dyn Fn(&str) -> String;
    let all: [(&str, Names); 11] = [
        ("stem.0", &|name| stem(name, "stem.0", "stem.1")),
        ("stem.conv", &|name| format!("net.{}", stem(name, "stem.conv", "stem.bn"))),
        ("conv1.0", &|name| stem(name, "conv1.0", "conv1.1")),
        ("stages", &|name| stages(name, "stages")),
        ("layers", &|name| format!("module.{}", stages(name, "layers"))),
        ("blocks", &|name| name.replacen(".0.", ".blocks.0.", usize::from(name.starts_with("layer")))),
        ("skip", &|name| name.replace("downsample.0", "skip_conv").replace("downsample.1", "skip_bn")),
        ("norm1", &|name| in_blocks(name, &[(".bn", ".norm")])),
        ("batch_norm1", &|name| in_blocks(name, &[(".bn", ".batch_norm")])),
        ("conv1.bn", &|name| {
            in_blocks(
                name,
                &[
                    (".conv1", ".conv1.conv"),
                    (".conv2", ".conv2.conv"),
                    (".bn1", ".conv1.bn"),
                    (".bn2", ".conv2.bn"),
                ],
            )
        }),
        ("Hugging Face", &hugging),
    ];
    let expected = resnet();
    let own: Vec<f32> = (0..expected.len()).map(|at| at as f32).collect();
    for (what, name) in all {
        assert_eq!(taken(&expected, name).as_ref(), Ok(&own), "{what}");
    }
    // Names that tell no place, two names for one place, a layer more: nothing is guessed.
    let swapped = |name: &str| in_blocks(name, &[(".conv1", ".first"), (".conv2", ".second")]);
    assert!(taken(&expected, swapped).is_err());
    let shifted = |name: &str| stages(name, "stages").replace("stages.3", "stages.4");
    assert!(taken(&expected, shifted).is_err());
}

#[test]
fn shufflenets_of_openmmlab_are_read() {
    let mut names = vec![("conv1.0.weight".to_owned(), 4)];
    names.extend(norm("conv1.1"));
    for stage in 2..=4 {
        for (branch, layers) in [("branch1", &[0, 2][..]), ("branch2", &[0, 3, 5])] {
            for layer in layers {
                names.push((format!("stage{stage}.0.{branch}.{layer}.weight"), 4));
                names.extend(norm(&format!("stage{stage}.0.{branch}.{}", layer + 1)));
            }
        }
    }
    names.push(("conv5.0.weight".to_owned(), 4));
    names.extend(norm("conv5.1"));
    names.extend([("fc.weight".to_owned(), 2), ("fc.bias".to_owned(), 1)]);
    let expected: Vec<Expected> = names.into_iter().map(|(name, rank)| (name, vec![2; rank])).collect();
    let theirs = |name: &str| {
        let name = name.replace("conv5.", "layers.3.");
        let name = (2..=4).fold(name, |name, stage| {
            name.replace(&format!("stage{stage}."), &format!("layers.{}.", stage - 2))
        });
        let name = name.replace("conv1.0", "conv1.conv").replace("conv1.1", "conv1.bn");
        let name = name.replace("layers.3.0", "layers.3.conv").replace("layers.3.1", "layers.3.bn");
        let steps = [
            ("branch1.0", "branch1.0.conv"),
            ("branch1.1", "branch1.0.bn"),
            ("branch1.2", "branch1.1.conv"),
            ("branch1.3", "branch1.1.bn"),
            ("branch2.0", "branch2.0.conv"),
            ("branch2.1", "branch2.0.bn"),
            ("branch2.3", "branch2.1.conv"),
            ("branch2.4", "branch2.1.bn"),
            ("branch2.5", "branch2.2.conv"),
            ("branch2.6", "branch2.2.bn"),
        ];
        let step = steps.into_iter().find(|(own, _)| name.contains(&format!("{own}.")));
        let name = step.map_or(name.clone(), |(own, theirs)| name.replace(own, theirs));
        if name.starts_with("fc") { format!("head.{name}") } else { format!("backbone.{name}") }
    };
    let own: Vec<f32> = (0..expected.len()).map(|at| at as f32).collect();
    assert_eq!(taken(&expected, theirs), Ok(own));
}

#[test]
fn the_last_convolution_of_a_squeezenet_may_have_any_name() {
    let names = [
        ("features.0.weight", vec![2, 3, 3, 3]),
        ("features.0.bias", vec![2]),
        ("classifier.1.weight", vec![5, 2, 1, 1]),
        ("classifier.1.bias", vec![5]),
    ];
    let expected: Vec<Expected> = names.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect();
    let own: Vec<f32> = (0..expected.len()).map(|at| at as f32).collect();
    for head in ["classifier", "classifier.0", "classifier.2", "head", "fc", "linear", "final_conv"] {
        for prefix in ["", "module."] {
            let name = |name: &str| format!("{prefix}{}", name.replace("classifier.1", head));
            assert_eq!(taken(&expected, name).as_ref(), Ok(&own), "{head}");
        }
    }
    let two = ["head", "other"].map(|head| {
        let of = |name: &str| ramp(&expected.iter().find(|(own, _)| own == name).unwrap().1, 0.0, 1.0);
        ["weight", "bias"].map(|part| (format!("{head}.{part}"), of(&format!("classifier.1.{part}"))))
    });
    let mut tensors: Vec<(String, Tensor)> =
        expected[..2].iter().map(|(name, shape)| (name.clone(), ramp(shape, 0.0, 1.0))).collect();
    tensors.extend(two.into_iter().flatten());
    assert!(file_of(&tensors, &[]).find("the network", &expected, None).is_err());
}
