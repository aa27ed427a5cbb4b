//! What one step does to the values of a tape, and what comes back through it.

use super::{Base, NormState, Run, Tape};
use crate::backend::{Backend, DropoutKey, NormGradients, Output, Sign, Then};
use crate::graph::ParamId;
use crate::graph::conv::Direction;
use crate::graph::program::{Flow, Kernel, Program, StepId, View};

impl<B: Backend> Tape<B> {
    /// Runs step `id`, reading from the base what is fresh.
    pub(super) fn step(
        &mut self,
        run: Run<B>,
        id: StepId,
        base: Option<Base<B>>,
        save: bool,
        dropout: Option<(u64, u64)>,
    ) {
        let Run { backend, program, prepared } = run;
        let step = &program.steps[id];
        let (storage, batch) = (step.out.storage, self.batch);
        let mut data = self.values.take(storage);
        let mut bits = self.bits[storage].take();
        let mut winners = self.winners[id].take();
        let mut norm = self.norms[id].take();
        if let Some(norm) = &mut norm {
            backend.norm_statistics(batch, self.read(base, step.x()), &mut norm.statistics);
            prepared.norm_by(backend, id, &norm.statistics, &mut norm.coefficients);
        }
        let (scale, shift) = match &norm {
            Some(NormState { coefficients: [scale, shift], .. }) => (Some(scale), Some(shift)),
            None => (prepared.scale(id), prepared.shift(id)),
        };
        let x = self.read(base, step.x());
        let sign = match (step.rectifier, &mut bits) {
            (None, _) => Sign::None,
            (Some(rectifier), Some(bits)) if save => Sign::RectifySave(rectifier, bits),
            (Some(rectifier), _) => Sign::Rectify(rectifier),
        };
        let add = step.add.map(|a| self.read(base, a));
        let out = Output { data: &mut data, place: step.out.place };
        let then = Then { scale, shift, add, accumulate: false, sign };
        match step.kernel {
            Kernel::Conv { .. } => backend.conv(batch, prepared.filter(id), Direction::Forward, x, out, then),
            Kernel::Norm(_) | Kernel::RunningNorm(_) | Kernel::Identity => backend.map(batch, x, out, then),
            Kernel::MaxPool(pool) => backend.max_pool(batch, pool, x, out, winners.as_mut().filter(|_| save)),
            Kernel::AvgPool(mean) => backend.avg_pool(batch, mean, x, out),
            Kernel::Activation(function) => backend.activate(batch, function, x, out),
            Kernel::Product => backend.product(batch, x, self.read(base, step.inputs[1]), out, then),
            Kernel::Dropout { p, stream } => {
                let (seed, step) = dropout.expect("training names its random stream");
                backend.dropout(batch, p, DropoutKey { seed, step, stream }, x, out, then);
            }
        }
        if save
            && step.rectifier.is_none()
            && let Some(bits) = &mut bits
        {
            // What is copied in passes its gradient on as it is: sign bits of its own are applied where it came from.
            backend.copy_bits(batch, None, (bits, step.out.place));
        }
        self.values.put(storage, data);
        self.bits[storage] = bits;
        self.winners[id] = winners;
        self.norms[id] = norm;
    }

    /// Takes a gradient through step `id` to its input number `input`.
    pub(super) fn through(
        &mut self,
        run: Run<B>,
        base: Option<Base<B>>,
        (id, input): (StepId, usize),
        into: Flow,
        dropout: Option<(u64, u64)>,
    ) {
        let Run { backend, program, prepared } = run;
        let step = &program.steps[id];
        let batch = self.batch;
        let mut data = self.gradients.take(into.to.storage);
        let mut norm_gradients = self.norms[id].as_mut().and_then(|norm| norm.gradients.take());
        let dy = self.gradient(step.out);
        let out = Output { data: &mut data, place: into.to.place };
        let mut then = self.then(program, base, into);
        match step.kernel {
            Kernel::Conv { .. } => {
                backend.conv(batch, prepared.filter(id), Direction::BackwardInput, dy, out, then)
            }
            Kernel::RunningNorm(_) => {
                then.scale = prepared.scale(id);
                backend.map(batch, dy, out, then)
            }
            Kernel::Norm(norm) => {
                let x = self.read(base, step.x());
                let owner = self.owner(base, id);
                let statistics = owner.statistics(id).expect("kept by forward");
                let gradients = match &mut norm_gradients {
                    Some([weight, bias]) => {
                        let x = self.read(base, step.x());
                        backend.norm_gradients(batch, x, self.gradient(step.out), statistics, weight, bias);
                        NormGradients { weight, bias }
                    }
                    None => {
                        let of = |param: ParamId| self.param_gradient(param).expect("computed before");
                        NormGradients { weight: of(norm.weight), bias: of(norm.bias) }
                    }
                };
                let weight = prepared.norm_weight(id);
                backend.norm_backward(batch, x, dy, statistics, gradients, weight, out, then)
            }
            Kernel::MaxPool(pool) => {
                let winners = self.owner(base, id).winners[id].as_ref().expect("kept by forward");
                backend.max_pool_backward(batch, pool, dy, winners, out, then)
            }
            Kernel::AvgPool(mean) => backend.avg_pool_backward(batch, mean, dy, out, then),
            Kernel::Activation(function) => {
                let x = self.read(base, step.x());
                backend.activate_backward(batch, function, x, dy, out, then)
            }
            Kernel::Product => {
                let other = self.read(base, step.inputs[1 - input]);
                let spread = input == 1 && step.inputs[1].place.values() < step.out.place.values();
                match spread {
                    true => backend.product_sum(batch, dy, other, out, then),
                    false => backend.product(batch, dy, other, out, then),
                }
            }
            Kernel::Dropout { p, stream } => {
                let (seed, step) = dropout.expect("training names its random stream");
                backend.dropout(batch, p, DropoutKey { seed, step, stream }, dy, out, then)
            }
            Kernel::Identity => backend.map(batch, dy, out, then),
        }
        if let Some(norm) = &mut self.norms[id] {
            norm.gradients = norm_gradients;
        }
        self.gradients.put(into.to.storage, data);
    }

    /// Passes a gradient on as it is.
    pub(super) fn pass(&mut self, run: Run<B>, base: Option<Base<B>>, from: View, into: Flow) {
        let mut data = self.gradients.take(into.to.storage);
        let out = Output { data: &mut data, place: into.to.place };
        run.backend.map(self.batch, self.gradient(from), out, self.then(run.program, base, into));
        self.gradients.put(into.to.storage, data);
    }

    /// How a gradient is stored.
    fn then<'t>(&'t self, program: &Program, base: Option<Base<'t, B>>, into: Flow) -> Then<'t, B> {
        let storage = into.to.storage;
        let sign = match program.storages[storage].signed.filter(|_| into.mask) {
            Some(below) => Sign::Mask(self.sign_bits(base, storage), below),
            None => Sign::None,
        };
        let add = into.add.map(|a| self.gradient(a));
        Then { scale: None, shift: None, add, accumulate: into.accumulate, sign }
    }

    /// Gradients of the parameters of step `id`.
    pub(super) fn params(&mut self, run: Run<B>, base: Option<Base<B>>, id: StepId) {
        let Run { backend, program, prepared } = run;
        let step = &program.steps[id];
        self.param_gradients.resize_with(prepared.params(), || None);
        let take = |gradients: &mut Vec<Option<B::Floats>>, param: ParamId| {
            gradients[param].take().unwrap_or_else(|| prepared.like(backend, param))
        };
        match step.kernel {
            Kernel::Conv { weight, bias, shape, .. } => {
                let mut dw = take(&mut self.param_gradients, weight);
                let mut db = bias.map(|b| take(&mut self.param_gradients, b));
                let (x, dy) = (self.read(base, step.x()), self.gradient(step.out));
                backend.conv_weight_gradient(self.batch, shape, x, dy, &mut dw, db.as_mut());
                self.param_gradients[weight] = Some(dw);
                if let Some(bias) = bias {
                    self.param_gradients[bias] = db;
                }
            }
            Kernel::Norm(norm) => {
                let mut dw = take(&mut self.param_gradients, norm.weight);
                let mut db = take(&mut self.param_gradients, norm.bias);
                let statistics = self.owner(base, id).statistics(id).expect("kept by forward");
                let (x, dy) = (self.read(base, step.x()), self.gradient(step.out));
                backend.norm_gradients(self.batch, x, dy, statistics, &mut dw, &mut db);
                self.param_gradients[norm.weight] = Some(dw);
                self.param_gradients[norm.bias] = Some(db);
            }
            _ => unreachable!("only these have parameters"),
        }
    }
}
