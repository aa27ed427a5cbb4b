//! A sweep copies no weights: one process, one test, every allocation watched.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use synfilter::attack::{Attack, Method, Pgd};
use synfilter::backend::cpu::device::Cpu;
use synfilter::backend::cpu::select::ConvMode;
use synfilter::data::{DatasetKind, Split, load};
use synfilter::filter::{FilterKind, WeightRange, variants};
use synfilter::graph::Shape;
use synfilter::graph::program::Mode;
use synfilter::models::Arch;
use synfilter::network::{Network, Normalisation};
use synfilter::sweep::{AttackMode, Engine, Measure, Target};
use synfilter::weights::Weights;

/// Largest single allocation since it was last set to zero.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

struct Watching;

// SAFETY: hands everything to the system's allocator.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Address space of this process: large buffers are memory maps, which no allocator sees. 0 where the system doesn't
/// tell.
fn mapped_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').next().and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

#[test]
fn no_weight_tensor_is_ever_copied() {
    // In one test, as the allocator watches the whole process, and on one thread, as each has working memory of its own.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let pgd = Method::Pgd(Pgd { steps: 3, step_size: None, seed: Some(1) });
    pool.install(|| {
        nothing_is_copied(Method::Fgsm, 7);
        nothing_is_copied(pgd, 3);
    });
}

/// No variant allocates anything of the size of its weights, and what is written is the packed form, once per mask.
fn nothing_is_copied(method: Method, thresholds: usize) {
    let images = load(DatasetKind::Digits, None, Split::Test, None).unwrap().first(80).unwrap();
    let graph = Arch::Resnet18.build(Shape { c: 1, h: 28, w: 28 }, 10).unwrap();
    let weights = Weights::init(&graph, 7);
    let name = "layer3.0.conv2.weight";
    let layer = weights.filterable(&graph).iter().position(|(n, _)| *n == name).unwrap();
    let tensor = weights.filterable(&graph)[layer].1;
    let target = Target::Layer(layer);
    let cpu = Cpu::new(ConvMode::Auto, false);
    let norm = Normalisation { mean: vec![0.1307], std: vec![0.3081] };
    let network = Network::new(&cpu, graph.clone(), &weights, norm, Mode::Inference);
    let attack = Attack { method, eps: 0.1, clamp: true };
    let mut engine = Engine::new(network, &images, AttackMode::Adaptive, attack, &[target]);
    engine.begin_block(0..images.len()).unwrap();
    engine.begin_target(&target).unwrap();
    let range = WeightRange::of(&[(name, tensor)], std::path::Path::new("test")).unwrap();
    let variants =
        variants(&[FilterKind::HighPass, FilterKind::LowPass, FilterKind::Pulse], thresholds, range).unwrap();
    // The first mask may set up working memory that all later ones share.
    engine.variant(&variants[1].mask).unwrap();
    let (before, mapped) = (engine.weight_bytes_written(), mapped_bytes());
    LARGEST.store(0, Ordering::Relaxed);
    for variant in &variants {
        engine.variant(&variant.mask).unwrap();
    }
    let bytes = 4 * tensor.len();
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest < bytes / 16, "an allocation of {largest} bytes beside {bytes} bytes of weights");
    let more = mapped_bytes().saturating_sub(mapped);
    assert!(more < bytes, "{more} bytes more of address space beside {bytes} bytes of weights");
    let written = engine.weight_bytes_written() - before;
    assert_eq!(written, (variants.len() * engine.weight_bytes_per_variant(&target)) as u64);
}
