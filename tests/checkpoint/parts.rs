//! Networks whose classifier lies beside the rest, and blocks whose layers are numbered.

use crate::find::{file_of, find, found, refused, renamed};
use crate::{expected_shapes, ramp, state_dict};
use std::collections::BTreeMap;
use synfilter::checkpoint::{Expected, File, Tensor};

/// The small network with its classifier under one name and all else under a prefix, and these tensors more.
fn parts(trunk: &str, head: &str, more: &[(&str, &[usize])]) -> Vec<(String, Tensor)> {
    let mut tensors = renamed(|name| match name.strip_prefix("fc.") {
        Some(rest) => format!("{head}.{rest}"),
        None => format!("{trunk}.{name}"),
    });
    tensors.extend(more.iter().map(|(name, shape)| ((*name).to_owned(), ramp(shape, 9.0, 1.0))));
    tensors
}

#[test]
fn a_classifier_beside_its_trunk_is_read() {
    for (trunk, head) in [
        ("backbone", "head.fc"),
        ("encoder", "fc"),
        ("state_dict.backbone", "state_dict.classifier"),
        ("state_dict.model.backbone", "state_dict.head.1"),
        ("module.encoder._orig_mod", "module.linear"),
    ] {
        let found = found(&parts(trunk, head, &[]));
        assert_eq!(found.key, format!("{trunk}+{head}"));
        let pairs = if head == "fc" { vec![] } else { vec![("fc".to_owned(), head.to_owned())] };
        assert_eq!((found.renamed, found.others, found.passed_over), (pairs, vec![], vec![]));
    }
    // Layers of the trunk under other names.
    let numbered = parts("backbone", "classifier", &[]).into_iter().map(|(name, tensor)| {
        (name.replace("backbone.conv1", "backbone.0").replace("backbone.bn1", "backbone.1"), tensor)
    });
    assert_eq!(found(&numbered.collect::<Vec<_>>()).renamed.len(), 3);
    // What is no layer, and a network whose key says that it is an average.
    assert_eq!(found(&parts("backbone", "head", &[("loss.weight", &[5])])).passed_over, ["loss.weight"]);
    let mut two = parts("backbone", "head", &[]);
    two.extend(parts("momentum_backbone", "momentum_head", &[]));
    let found = found(&two);
    assert_eq!((found.key.as_str(), found.others.len()), ("backbone+head", 3));
}

#[test]
fn a_whole_network_goes_before_one_in_two_parts() {
    let mut tensors = renamed(|name| format!("net.{name}"));
    tensors.extend(parts("backbone", "head", &[]));
    tensors.push(("probe.weight".to_owned(), ramp(&[5, 2], 0.0, 1.0)));
    tensors.push(("probe.bias".to_owned(), ramp(&[5], 0.0, 1.0)));
    let found = found(&tensors);
    assert_eq!((found.key.as_str(), found.others.len()), ("net", 0));
}

#[test]
fn two_ways_to_put_parts_together_need_a_key() {
    let heads: [(&str, &[usize]); 2] = [("online.weight", &[5, 2]), ("online.bias", &[5])];
    let neck: [(&str, &[usize]); 1] = [("neck.fc.weight", &[2, 2])];
    let norm: [(&str, &[usize]); 1] = [("head.norm.running_mean", &[2])];
    for (more, key, message) in [
        (
            &heads[..],
            "backbone+head",
            "file: network: expected --key with one of several pairs of trunk and classifier, found `backbone+head`, \
             `backbone+online`",
        ),
        (
            &neck,
            "backbone+head",
            "file: network: expected --key backbone+head, which leaves out the layers beside trunk and classifier, found \
             `neck.fc.weight`",
        ),
        (
            &norm,
            "backbone+head.fc",
            "file: network: expected --key backbone+head.fc, which leaves out the layers beside trunk and classifier, found \
             `head.norm.running_mean`",
        ),
    ] {
        let head = key.split('+').next_back().unwrap();
        let file = file_of(&parts("backbone", head, more), &[]);
        let error = find(&file).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_code()), (message, 2));
        let part = file.find("the network", &expected_shapes(), Some("backbone")).unwrap();
        assert!(part.doubt.is_some(), "a key that names both chooses none");
        let named = file.find("the network", &expected_shapes(), Some(key)).unwrap();
        assert_eq!(file.read(&named, &expected_shapes()).unwrap().tensors, state_dict());
    }
}

#[test]
fn parts_that_are_not_just_a_trunk_and_a_layer_are_refused() {
    // A trunk under two prefixes.
    let apart = |name: &str| match name {
        "conv1.weight" => format!("stem.{name}"),
        name if name.starts_with("fc") => format!("head.{name}"),
        name => format!("body.{name}"),
    };
    let (file, _) = numbered("", apart);
    let message = file.find("the network", &blocks(), None).unwrap_err().to_string();
    assert!(message.contains("under `body`") && message.contains("`stem.conv1.weight`"), "{message}");
    // A head of two layers, a classifier with a tensor more, and one in another state dict.
    for more in [("head.0.weight", &[2, 2][..]), ("head.2.weight_scale", &[1])] {
        let message = refused(&parts("backbone", "head.2", &[more]));
        assert!(message.contains("`fc.weight` under `backbone`"), "{message}");
    }
    let mut apart: Vec<_> = parts("a", "b.fc", &[]);
    apart.extend(parts("b.net", "left", &[]).into_iter().filter(|(name, _)| name.starts_with("b.net")));
    apart.retain(|(name, _)| !name.starts_with("b.net.bn1"));
    assert!(refused(&apart).contains("`fc.weight`"), "{}", refused(&apart));
    // Another number of classes is told as such.
    let mut other = parts("backbone", "head", &[]);
    for (name, tensor) in &mut other {
        if name.starts_with("head") {
            *tensor = ramp(&[&[9], &tensor.shape[1..]].concat(), 0.0, 1.0);
        }
    }
    assert_eq!(refused(&other), "file: classifier `fc`: expected 5 classes, found 9 classes");
}

/// A small ResNet: a block of each kind, torchvision's names and shapes.
fn blocks() -> Vec<Expected> {
    let norm =
        |name: &str| ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{name}.{part}"));
    let mut expected = vec![("conv1.weight".to_owned(), vec![4, 3, 3, 3])];
    expected.extend(norm("bn1").map(|name| (name, vec![4])));
    for (layer, kernels) in [("layer1.0", vec![3, 3]), ("layer2.0", vec![1, 3, 1])] {
        for (at, kernel) in kernels.into_iter().enumerate() {
            expected.push((format!("{layer}.conv{}.weight", at + 1), vec![4, 4, kernel, kernel]));
            expected.extend(norm(&format!("{layer}.bn{}", at + 1)).map(|name| (name, vec![4])));
        }
    }
    expected.push(("layer2.0.downsample.0.weight".to_owned(), vec![4, 4, 1, 1]));
    expected.extend(norm("layer2.0.downsample.1").map(|name| (name, vec![4])));
    expected.extend([("fc.weight".to_owned(), vec![5, 4]), ("fc.bias".to_owned(), vec![5])]);
    expected
}

/// A file of that network, every tensor with a value of its own, and the values by torchvision's names.
fn numbered(prefix: &str, name: impl Fn(&str) -> String) -> (File, BTreeMap<String, f32>) {
    let tensors: Vec<(String, String, Tensor)> = blocks()
        .into_iter()
        .enumerate()
        .map(|(at, (own, shape))| {
            let theirs = format!("{prefix}{}", name(&own));
            (own, theirs, ramp(&shape, at as f32, 0.0))
        })
        .collect();
    let values = tensors.iter().map(|(own, _, tensor)| (own.clone(), tensor.data[0])).collect();
    let file = tensors.into_iter().map(|(_, theirs, tensor)| (theirs, tensor)).collect::<Vec<_>>();
    (file_of(&file, &[]), values)
}

fn convention(name: &str) -> String {
    let mut theirs = name.to_owned();
    for (own, other) in [
        ("conv1", "residual_function.0"),
        ("bn1", "residual_function.1"),
        ("conv2", "residual_function.3"),
        ("bn2", "residual_function.4"),
        ("conv3", "residual_function.6"),
        ("bn3", "residual_function.7"),
        ("downsample", "shortcut"),
    ] {
        theirs = theirs.replace(&format!(".0.{own}."), &format!(".0.{other}."));
    }
    if let Some(rest) = theirs.strip_prefix("conv1.") {
        return format!("conv1.0.{rest}");
    }
    if let Some(rest) = theirs.strip_prefix("bn1.") {
        return format!("conv1.1.{rest}");
    }
    theirs.replace("layer1.", "conv2_x.").replace("layer2.", "conv3_x.")
}

#[test]
fn numbered_layers_of_a_known_convention_are_read() {
    for prefix in ["", "module.", "net.model."] {
        let (file, values) = numbered(prefix, convention);
        let found = file.find("the network", &blocks(), None).unwrap();
        assert_eq!((found.key.as_str(), found.passed_over.len()), (prefix.trim_end_matches('.'), 0));
        let pair = |own: &str, theirs: &str| (own.to_owned(), format!("{prefix}{theirs}"));
        assert!(found.renamed.contains(&pair("layer1.0.conv2", "conv2_x.0.residual_function.3")));
        assert!(found.renamed.contains(&pair("bn1", "conv1.1")));
        assert_eq!(found.renamed.len(), 2 + 4 + 6 + 2);
        let read = file.read(&found, &blocks()).unwrap();
        let all: BTreeMap<String, f32> =
            read.tensors.into_iter().map(|(name, tensor)| (name, tensor.data[0])).collect();
        assert_eq!(all, values);
    }
    // Numbers that are not the convention's: two convolutions of one shape, nothing tells which is which.
    let shifted = |name: &str| convention(name).replace("function.3.", "function.2.");
    let (file, _) = numbered("", shifted);
    assert!(file.find("the network", &blocks(), None).is_err());
}
