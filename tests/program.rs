//! Programs of the real networks: what is fused, what a filtered layer makes stale, and that nothing is read before it
//! is there, forward and backward.

use std::collections::HashSet;
use synfilter::graph::program::{BackStep, Flow, Kernel, Mode, Program, StorageId, Suffix, View};
use synfilter::graph::{Activation, Graph, Op, ParamKind, Shape};
use synfilter::models::{Arch, Stem};

const STEMS: [Stem; 4] = [Stem::Imagenet, Stem::Small, Stem::SmallPool, Stem::NoPool];
/// Layers of a network that are each filtered in turn.
const MOST_LAYERS: usize = 60;
const MODES: [Mode; 3] = [Mode::Inference, Mode::BatchStatistics, Mode::Training];

fn graph(arch: Arch) -> Graph {
    graph_with(arch, Stem::Imagenet)
}

fn graph_with(arch: Arch, stem: Stem) -> Graph {
    arch.build_with(Shape { c: 3, h: 64, w: 64 }, 10, stem).unwrap()
}

/// The suffix of one filterable tensor.
fn suffix(graph: &Graph, program: &Program, tensor: &str) -> Suffix {
    let param = graph.params.iter().position(|p| p.name == tensor).expect("a parameter of that name");
    program.suffix(&[program.step_of(param).expect("a step that reads it")])
}

/// Channels of buffers: rows of a pixel.
#[derive(Default)]
struct Channels(HashSet<(StorageId, usize)>);

impl Channels {
    fn of(view: View) -> impl Iterator<Item = (StorageId, usize)> {
        (0..view.place.c).map(move |c| (view.storage, view.place.offset + c * view.place.step))
    }

    fn add(&mut self, view: View) {
        self.0.extend(Channels::of(view));
    }

    fn hold(&self, view: View) -> bool {
        Channels::of(view).all(|channel| self.0.contains(&channel))
    }

    fn touch(&self, view: View) -> bool {
        Channels::of(view).any(|channel| self.0.contains(&channel))
    }
}

#[test]
fn residual_networks_are_convolutions_with_everything_fused() {
    // Convolutions, ReLUs and sums, counted by hand: 16 or 48 convolutions in blocks, a stem, downsamplings, fc.
    let known = [(Arch::Resnet18, [21, 17, 8]), (Arch::Resnet50, [54, 49, 16])];
    let residual = Arch::ALL.into_iter().filter(|arch| arch.has_stems());
    for (arch, stem) in residual.flat_map(|of| STEMS.map(|stem| (of, stem))) {
        let graph = graph_with(arch, stem);
        let count = |wanted: fn(&Op) -> bool| graph.nodes.iter().filter(|node| wanted(&node.op)).count();
        let convs = count(|op| matches!(op, Op::Conv { .. }));
        let (relus, sums) = (count(|op| *op == Op::Activation(Activation::Relu)), count(|op| *op == Op::Add));
        if let Some((_, counted)) = known.iter().find(|(of, _)| *of == arch) {
            assert_eq!([convs, relus, sums], *counted, "{arch}");
        }
        let program = Program::lower(&graph, Mode::Inference);
        let pools = if matches!(stem, Stem::Imagenet | Stem::SmallPool) { 2 } else { 1 };
        let is_conv = |k: &Kernel| matches!(k, Kernel::Conv { .. });
        assert_eq!(program.steps.len(), convs + pools, "{arch} {stem}: the convolutions and the pools");
        assert_eq!(program.steps.iter().filter(|s| is_conv(&s.kernel)).count(), convs, "{arch}");
        assert_eq!(program.steps.iter().filter(|s| s.rectifier.is_some()).count(), relus, "{arch}");
        assert_eq!(
            program.steps.iter().filter(|s| s.add.is_some()).count(),
            sums,
            "{arch}: a residual per block"
        );
    }
}

/// A stem changes the first maps, and no name; the last maps are larger by as much.
#[test]
fn stems_differ_in_the_first_maps() {
    let sizes = |stem: Stem| {
        let graph = graph_with(Arch::Resnet18, stem);
        let of = |name: &str| graph.nodes.iter().find(|node| node.name == name).unwrap().shape.h;
        [of("conv1"), of("layer1.0.conv1"), of("layer4.1.conv2")]
    };
    assert_eq!(STEMS.map(sizes), [[32, 16, 2], [64, 64, 8], [64, 32, 4], [32, 32, 4]]);
    let names = |stem: Stem| -> Vec<String> {
        graph_with(Arch::Resnet50, stem).params.into_iter().map(|param| param.name).collect()
    };
    assert!(STEMS.iter().all(|&stem| names(stem) == names(Stem::Imagenet)));
    let digests: HashSet<String> = STEMS.iter().map(|&s| graph_with(Arch::Resnet18, s).digest()).collect();
    assert_eq!(digests.len(), STEMS.len());
    let error = Arch::ShufflenetV2X0_5.build_with(Shape { c: 3, h: 64, w: 64 }, 10, Stem::Small).unwrap_err();
    assert!(error.to_string().contains("shufflenet_v2_x0_5 has one of its own"), "{error}");
}

/// Splits, concatenations and shuffles whose parts end in a ReLU cost nothing: only ShuffleNet's first halves, which
/// pass a unit as they are, are copied.
#[test]
fn concatenations_are_written_in_place() {
    let copies = |arch: Arch| {
        let program = Program::lower(&graph(arch), Mode::Inference);
        program.steps.iter().filter(|s| matches!(s.kernel, Kernel::Identity)).count()
    };
    assert_eq!(copies(Arch::Squeezenet1_1), 0);
    assert_eq!(copies(Arch::ShufflenetV2X1_0), 3 + 7 + 3, "units of stride 1");
}

#[test]
fn what_a_filtered_layer_makes_stale() {
    for (arch, first, last) in [
        (Arch::Resnet18, "conv1.weight", "fc.weight"),
        (Arch::ShufflenetV2X1_0, "conv1.0.weight", "fc.weight"),
    ] {
        let graph = graph(arch);
        let program = Program::lower(&graph, Mode::Inference);
        let all = suffix(&graph, &program, first);
        assert_eq!(all.steps, (0..program.steps.len()).collect::<Vec<_>>(), "{arch}: the first layer");
        assert!(all.copies.is_empty(), "{arch}: nothing is fresh");
        let one = suffix(&graph, &program, last);
        assert_eq!(one.steps, [program.steps.len() - 1], "{arch}: the last layer");
        assert_eq!(one.dirty.iter().filter(|d| **d).count(), 1, "{arch}: the logits");
        assert!(one.copies.is_empty(), "{arch}: the logits are alone in their buffer");
        assert_eq!(program.suffix(&[]).steps, [0; 0], "{arch}: no layer");
    }
}

/// The second half of a ResNet block leaves the first fresh; a downsampling is stale alone with what follows its block.
#[test]
fn a_block_of_resnet18() {
    let graph = graph(Arch::Resnet18);
    let program = Program::lower(&graph, Mode::Inference);
    let name = |&step: &usize| match program.steps[step].kernel {
        Kernel::Conv { weight, .. } => graph.params[weight].name.clone(),
        _ => "pool".into(),
    };
    let stale = |tensor| suffix(&graph, &program, tensor).steps.iter().map(name).collect::<Vec<_>>();
    assert_eq!(
        stale("layer4.0.downsample.0.weight"),
        [
            "layer4.0.downsample.0.weight",
            "layer4.0.conv2.weight",
            "layer4.1.conv1.weight",
            "layer4.1.conv2.weight",
            "pool",
            "fc.weight"
        ]
    );
    assert_eq!(stale("layer4.1.conv2.weight"), ["layer4.1.conv2.weight", "pool", "fc.weight"]);
}

/// The expand layers of a fire module share a buffer: where one is stale, the other's half is copied from the base.
#[test]
fn expand_layers_of_squeezenet() {
    let graph = graph(Arch::Squeezenet1_1);
    let program = Program::lower(&graph, Mode::Inference);
    for (filtered, other) in [("expand1x1", "expand3x3"), ("expand3x3", "expand1x1")] {
        for module in ["features.3", "features.12"] {
            let step = |layer: &str| {
                let name = format!("{module}.{layer}.weight");
                program.step_of(graph.params.iter().position(|p| p.name == name).unwrap()).unwrap()
            };
            let suffix = suffix(&graph, &program, &format!("{module}.{filtered}.weight"));
            assert_eq!(suffix.steps[0], step(filtered), "{module}.{filtered}");
            assert!(!suffix.steps.contains(&step(other)), "{module}.{filtered}");
            assert_eq!(suffix.copies, [(step(filtered), program.steps[step(other)].out)], "{module}");
        }
        let squeeze = suffix(&graph, &program, "features.12.squeeze.weight");
        assert!(squeeze.copies.is_empty(), "both halves are stale");
    }
}

/// Filterable tensors of every network in every mode: a stale step reads what the base has, or what was written or
/// copied in before it; and whoever reads a changed value is stale.
#[test]
fn no_step_reads_what_is_not_there() {
    for (graph, program, what) in programs() {
        // All layers; of the deepest networks, whose blocks repeat, every second or third.
        let layers = graph.filterable();
        for &param in layers.iter().step_by(layers.len().div_ceil(MOST_LAYERS)) {
            let what = format!("{what} {}", graph.params[param].name);
            let changed = program.step_of(param).unwrap();
            let suffix = program.suffix(&[changed]);
            let (mut present, mut wrong) = (Channels::default(), Channels::default());
            for (id, step) in program.steps.iter().enumerate() {
                let stale = suffix.steps.contains(&id);
                assert!(
                    stale || (id != changed && !step.reads().any(|v| wrong.touch(v))),
                    "{what}: step {id} is stale"
                );
                if !stale {
                    continue;
                }
                suffix
                    .copies
                    .iter()
                    .filter(|(first, _)| *first == id)
                    .for_each(|(_, view)| present.add(*view));
                for view in step.reads() {
                    assert_ne!(view.storage, step.out.storage, "{what}: step {id} reads what it writes");
                    assert!(
                        !suffix.dirty[view.storage] || present.hold(view),
                        "{what}: step {id} reads {view:?}"
                    );
                }
                present.add(step.out);
                wrong.add(step.out);
            }
            assert!(present.hold(program.logits), "{what}: the logits");
            for (_, view) in &suffix.copies {
                assert!(!wrong.touch(*view), "{what}: {view:?} is copied and written");
            }
        }
    }
}

/// Every gradient that a move reads has been written in full, to the last contribution.
#[test]
fn no_move_reads_a_gradient_that_is_not_there() {
    for (graph, program, what) in programs() {
        for wanted in [false, true] {
            let moves = program.backward(true, |p| wanted && graph.params[p].kind != ParamKind::Statistic);
            let mut written = Channels::default();
            let whole =
                |storage: StorageId| (0..program.storages[storage].shape.c).map(move |c| (storage, c));
            written.0.extend(whole(program.logits.storage));
            // Reading the gradient of a value closes it: what comes later would be missing.
            let mut closed = Channels::default();
            let mut params = HashSet::new();
            let mut flow = |from: View, into: Flow, written: &mut Channels| {
                for view in [Some(from), into.add].into_iter().flatten() {
                    assert!(written.hold(view), "{what}: {view:?} is passed on");
                    assert_ne!(view.storage, into.to.storage, "{what}: {view:?} is read and written");
                    closed.add(view);
                }
                assert!(
                    !into.accumulate || written.hold(into.to),
                    "{what}: added to nothing at {:?}",
                    into.to
                );
                assert!(!closed.touch(into.to), "{what}: {:?} comes too late", into.to);
                written.add(into.to);
            };
            for back in &moves {
                match *back {
                    BackStep::Params(step) => {
                        let step = &program.steps[step];
                        assert!(written.hold(step.out), "{what}: parameters of {:?}", step.kernel);
                        params.extend(step.params());
                    }
                    BackStep::Through { step, into, .. } => flow(program.steps[step].out, into, &mut written),
                    BackStep::Pass { from, into } => flow(from, into, &mut written),
                    BackStep::Zero(storage) => {
                        assert!(!whole(storage).any(|c| written.0.contains(&c)), "{what}: zeroes a gradient");
                        written.0.extend(whole(storage));
                    }
                    BackStep::Mask(storage) => {
                        assert!(whole(storage).all(|c| written.0.contains(&c)), "{what}")
                    }
                }
            }
            assert!(written.hold(program.input), "{what}: the input's gradient");
            let trained = graph.params.iter().filter(|p| p.kind != ParamKind::Statistic).count();
            assert_eq!(params.len(), if wanted { trained } else { 0 }, "{what}: parameters with a gradient");
        }
    }
}

fn programs() -> impl Iterator<Item = (Graph, Program, String)> {
    // Other stems stand before one network of each kind of block.
    let with_stems = |arch| matches!(arch, Arch::Resnet18 | Arch::Resnet50);
    let stems =
        move |arch: Arch| STEMS.into_iter().filter(move |stem| stem.is_imagenet() || with_stems(arch));
    let networks = Arch::ALL.into_iter().flat_map(move |arch| stems(arch).map(move |stem| (arch, stem)));
    networks.flat_map(|network| MODES.map(|mode| (network, mode))).map(|((arch, stem), mode)| {
        let graph = graph_with(arch, stem);
        let program = Program::lower(&graph, mode);
        (graph, program, format!("{} {mode:?}", stem.named(arch.name())))
    })
}
