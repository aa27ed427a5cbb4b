//! kernels/optimizer.cu.

use crate::driver;
use crate::twins::{On, Operation, agree, normals};
use synfilter::backend::{Adam, Sgd};
use synfilter::backend::{Backend, Optimizer};

/// Steps with a new gradient each, one of them with zeros in it; everything that moved.
struct Steps {
    optimizer: Optimizer,
    len: usize,
    first: u64,
}

impl Operation for Steps {
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32> {
        let device = on.device;
        let mut weights = device.upload(&normals(1, self.len));
        let mut moments = [device.floats(self.len), device.floats(self.len)];
        for step in 0..4 {
            let mut gradient = normals(2 + step, self.len);
            gradient.iter_mut().skip(step as usize).step_by(7).for_each(|g| *g = 0.0);
            let gradient = device.upload(&gradient);
            device.optimize(self.optimizer, self.first + step, &mut weights, &gradient, &mut moments);
        }
        [&weights, &moments[0], &moments[1]].into_iter().flat_map(|buffer| on.floats(buffer)).collect()
    }
}

#[test]
fn steps_are_the_cpus() {
    let cuda = driver::open::<f32>();
    let sgd =
        |momentum, nesterov, weight_decay| Optimizer::Sgd(Sgd { lr: 0.07, momentum, nesterov, weight_decay });
    let optimizers = [
        Optimizer::Adam(Adam::new(1e-3)),
        Optimizer::Adam(Adam { weight_decay: 0.01, beta1: 0.8, epsilon: 1e-4, ..Adam::new(0.3) }),
        sgd(0.0, false, 0.0),
        sgd(0.9, false, 5e-4),
        sgd(0.9, true, 0.1),
    ];
    for optimizer in optimizers {
        // Blocks with and without threads to spare, first steps and late ones.
        for (len, first) in [(1, 1), (256, 2), (1000, 1 << 40)] {
            agree(
                &cuda,
                1,
                &format!("{optimizer:?}, {len} weights, step {first}"),
                &Steps { optimizer, len, first },
            );
        }
    }
}
