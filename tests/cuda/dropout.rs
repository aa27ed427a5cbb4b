//! kernels/dropout.cu.

use crate::in_every_format;
use crate::twins::{Ending, On, Operation, Rounded, agree, numbers, places};
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::{Backend, DropoutKey, Input};
use synfilter::graph::Shape;
use synfilter::graph::place::Place;

struct Dropout {
    p: f32,
    key: DropoutKey,
    from: Place,
    to: Place,
    ending: Ending,
}

impl Operation for Dropout {
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32> {
        let x = on.value(&numbers(1, on.batch.images * self.from.c * self.from.h * self.from.w), self.from);
        self.ending.write(on, self.to, |out, then| {
            let x = Input { data: &x, place: self.from };
            on.device.dropout(on.batch, self.p, self.key, x, out, then);
        })
    }
}

fn dropout<T: Rounded>(cuda: &Cuda<T>) {
    let [dense, sparse] = places(Shape { c: 5, h: 2, w: 3 });
    let keys = [(7, 1, 0), (u64::MAX - 5, 1 << 20, 3)];
    for (seed, step, stream) in keys {
        let key = DropoutKey { seed, step, stream };
        for (p, ending) in [0.5, 0.0, 0.2, 0.9].into_iter().zip(Ending::few()) {
            let case = Dropout { p, key, from: dense, to: sparse, ending };
            agree(cuda, 90, &format!("{p} {key:?}"), &case);
            let case = Dropout { from: sparse, to: dense, ..case };
            agree(cuda, 3, &format!("{p} {key:?}"), &case);
        }
    }
}

#[test]
fn dropout_draws_the_cpus_numbers() {
    in_every_format!(dropout);
}
