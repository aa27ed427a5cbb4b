//! The engine against PyTorch: every network at every data set's shape, forward, backward, one Adam step.

mod attacks;
mod cases;

use common::golden::networks;
use synfilter::backend::cpu::device::Cpu;
use synfilter::backend::cpu::select::ConvMode;
use synfilter::graph::{ParamKind, Shape};
use synfilter::models::Arch;

/// torchvision's names and shapes, in its order.
#[test]
fn parameters_are_torchvisions() {
    for (arch, network) in networks() {
        let shape = Shape { c: 3, h: 224, w: 224 };
        let graph = arch.parse::<Arch>().unwrap().build(shape, 1000).unwrap();
        let named = |wanted: &dyn Fn(ParamKind) -> bool| -> Vec<(String, Vec<usize>)> {
            let params = graph.params.iter().filter(|p| wanted(p.kind));
            params.map(|p| (p.name.clone(), p.shape.clone())).collect()
        };
        let trained: Vec<_> = network.parameters.iter().map(|e| (e.name.clone(), e.shape.clone())).collect();
        assert_eq!(named(&|k| k != ParamKind::Statistic), trained, "{arch}");
        let state: Vec<_> = network.statistics().map(|e| (e.name.clone(), e.shape.clone())).collect();
        assert_eq!(named(&|k| k == ParamKind::Statistic), state, "{arch}");
        let filterable: Vec<_> =
            graph.filterable().into_iter().map(|p| graph.params[p].name.clone()).collect();
        assert_eq!(filterable, network.filterable, "{arch}");
        assert_eq!(filterable.len(), network.filterable_count, "{arch}");
    }
}

/// Networks with cases at every data set's shape. The others are the same operations with other sizes: that they are built
/// right is seen without fast convolutions, whose rounding turns more of the ReLUs of a deep network.
const FIRST: [&str; 5] =
    ["resnet18", "resnet50", "squeezenet1_1", "shufflenet_v2_x1_0", "shufflenet_v2_x0_5"];

#[test]
fn inference_and_input_gradients() {
    cases::inference(&Cpu::new(ConvMode::Direct, true), "Direct", |_| true);
    cases::inference(&Cpu::new(ConvMode::Auto, true), "Auto", |case| FIRST.contains(&case.arch.as_str()));
}

#[test]
fn attacks_are_those_of_torchattacks() {
    for conv in [ConvMode::Direct, ConvMode::Auto] {
        attacks::agree(&Cpu::new(conv, true));
    }
}

#[test]
fn training_step() {
    cases::training(&Cpu::new(ConvMode::Direct, true), |_| true);
}
