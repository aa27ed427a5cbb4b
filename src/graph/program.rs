//! From graph to program: what is fused, where every value lies, how gradients flow back.
//!
//! A [`Program`] is a list of [`Step`]s over *storages*. A storage is one slab buffer; several values may be
//! views of it, so that a split, a concatenation and a shuffle cost nothing where their parts can be written
//! in place. Outside training a convolution takes the batch norm, the residual sum and the ReLU that follow it
//! into its own step.

use super::{Graph, Node, NodeId, NormParams, Op, ParamId, Pool, Shape};
use crate::backend::Place;
use crate::backend::cpu::conv2d::ConvShape;

/// Index of a buffer in [`Program::storages`].
pub type StorageId = usize;

/// Index of a step in [`Program::steps`].
pub type StepId = usize;

/// How batch norm and dropout behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Batch norm by running statistics, fused into what it follows; no dropout.
    Inference,
    /// Batch norm by the statistics of the batch; no dropout.
    BatchStatistics,
    /// Batch norm by the statistics of the batch, dropout on.
    Training,
}

/// A value: some channels of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The buffer.
    pub storage: StorageId,
    /// Where in it.
    pub place: Place,
}

/// One buffer of the program.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    /// Its channels are the rows of a pixel.
    pub shape: Shape,
    /// Whether a sign bit per element is kept: set where the ReLU that wrote the element let it pass.
    pub signed: bool,
}

impl Storage {
    /// Rows of the buffer.
    pub fn rows(&self) -> usize {
        self.shape.c * self.shape.h * self.shape.w
    }
}

/// What a step computes.
#[derive(Clone, Copy, Debug)]
pub enum Kernel {
    /// Convolution, then the fused batch norm (running statistics).
    Conv {
        /// `[k, c / groups, r, s]`.
        weight: ParamId,
        /// `[k]`.
        bias: Option<ParamId>,
        /// Sizes.
        shape: ConvShape,
        /// The batch norm that follows.
        norm: Option<NormParams>,
    },
    /// Batch norm by itself.
    Norm(NormParams),
    /// Max pool, remembering winners.
    MaxPool(Pool),
    /// Mean over the map.
    GlobalAvgPool,
    /// Dropout, with a number that tells its random stream from others.
    Dropout {
        /// Share of elements set to zero.
        p: f32,
        /// Position among the network's dropouts.
        stream: u32,
    },
    /// The input itself: a copy, or the residual sum or ReLU alone.
    Identity,
}

/// One fused operation: `out = relu?(kernel(x) + add?)`.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What is computed.
    pub kernel: Kernel,
    /// The value read.
    pub x: View,
    /// The residual.
    pub add: Option<View>,
    /// Whether a ReLU ends the step.
    pub relu: bool,
    /// The value written.
    pub out: View,
    /// The node whose value `out` is.
    pub node: NodeId,
}

/// A network ready to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// How it was lowered.
    pub mode: Mode,
    /// Buffers; storage 0 holds the normalised images.
    pub storages: Vec<Storage>,
    /// In execution order.
    pub steps: Vec<Step>,
    /// The images.
    pub input: View,
    /// The logits.
    pub logits: View,
}

/// The part of a program that a changed step makes stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suffix {
    /// Stale steps, in execution order.
    pub steps: Vec<StepId>,
    /// For each storage, whether it is stale.
    pub dirty: Vec<bool>,
    /// Values that stay fresh but share a stale storage, each with the first stale step that reads or writes there:
    /// before that step they are copied from the base run.
    pub copies: Vec<(StepId, View)>,
}

/// One move of the backward pass.
#[derive(Clone, Copy, Debug)]
pub enum BackStep {
    /// Gradients of the parameters of a step.
    Params(StepId),
    /// The gradient that flows from a step's result into its `x`.
    Through {
        /// The step.
        step: StepId,
        /// Where it is written.
        into: Flow,
    },
    /// A gradient passed on as it is (residuals, copies).
    Pass {
        /// The gradient that is passed on.
        from: View,
        /// Where it is written.
        into: Flow,
    },
    /// Sets a whole gradient buffer to zero before parts are accumulated.
    Zero(StorageId),
    /// Applies the sign bits to a whole gradient buffer.
    Mask(StorageId),
}

/// How a gradient is written.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// The value whose gradient this is.
    pub to: View,
    /// Another value's gradient that is added on the way.
    pub add: Option<View>,
    /// Whether it is added to what stands there.
    pub accumulate: bool,
    /// Whether the sign bits of the storage are applied: the last contribution does that.
    pub mask: bool,
}

impl Program {
    /// Lowers a graph.
    pub fn lower(graph: &Graph, mode: Mode) -> Program {
        Lowering::new(graph, mode).run()
    }

    /// The step that reads a parameter.
    pub fn step_of(&self, param: ParamId) -> Option<StepId> {
        self.steps.iter().position(|s| match s.kernel {
            Kernel::Conv { weight, bias, norm, .. } => {
                weight == param || bias == Some(param) || norm.is_some_and(|n| n.all().contains(&param))
            }
            Kernel::Norm(n) => n.all().contains(&param),
            _ => false,
        })
    }

    /// What must be computed again when the steps in `changed` change.
    pub fn suffix(&self, changed: &[StepId]) -> Suffix {
        let mut dirty = vec![false; self.storages.len()];
        let mut stale = vec![false; self.steps.len()];
        for (i, step) in self.steps.iter().enumerate() {
            if changed.contains(&i) || step.reads().any(|view| dirty[view.storage]) {
                stale[i] = true;
                dirty[step.out.storage] = true;
            }
        }
        let copies = (self.steps.iter().zip(&stale))
            .filter(|(step, stale)| !**stale && dirty[step.out.storage])
            .map(|(step, _)| {
                let touches = |&i: &usize| stale[i] && self.steps[i].touches(step.out.storage);
                let first = (0..self.steps.len()).find(touches).expect("a stale step made it dirty");
                (first, step.out)
            })
            .collect();
        let steps = (0..self.steps.len()).filter(|&i| stale[i]).collect();
        Suffix { steps, dirty, copies }
    }

    /// The backward pass from the gradient of the logits to the gradient of the input (where `input`) and of
    /// the parameters that `wanted` names. Nothing else is computed.
    pub fn backward(&self, input: bool, wanted: impl Fn(ParamId) -> bool) -> Vec<BackStep> {
        let has_params = |step: &Step| step.params().any(&wanted);
        // A storage's gradient is needed where the input's is, or where a parameter lies upstream of it.
        let mut needed = vec![false; self.storages.len()];
        needed[self.input.storage] = input;
        for step in &self.steps {
            needed[step.out.storage] |= has_params(step) || step.reads().any(|view| needed[view.storage]);
        }
        let mut moves = Vec::new();
        let mut flows = Flows::new(self, &needed);
        for (i, step) in self.steps.iter().enumerate().rev() {
            if !needed[step.out.storage] {
                continue;
            }
            flows.finish(step.out.storage, &mut moves);
            if has_params(step) {
                moves.push(BackStep::Params(i));
            }
            if let Some(add) = step.add.filter(|a| needed[a.storage]) {
                flows.pass(step.out, add, &mut moves);
            }
            if needed[step.x.storage] {
                match step.kernel {
                    Kernel::Identity => flows.pass(step.out, step.x, &mut moves),
                    _ => flows.through(i, step.x, &mut moves),
                }
            }
        }
        moves
    }
}

impl NormParams {
    /// The four of them.
    pub fn all(&self) -> [ParamId; 4] {
        [self.weight, self.bias, self.mean, self.var]
    }
}

impl Step {
    /// The values that are read.
    pub fn reads(&self) -> impl Iterator<Item = View> {
        [Some(self.x), self.add].into_iter().flatten()
    }

    /// Whether a storage is read or written.
    pub fn touches(&self, storage: StorageId) -> bool {
        self.out.storage == storage || self.reads().any(|view| view.storage == storage)
    }

    /// The parameters that are trained in this step.
    pub fn params(&self) -> impl Iterator<Item = ParamId> {
        let list = match self.kernel {
            Kernel::Conv { weight, bias, norm, .. } => {
                [Some(weight), bias, norm.map(|n| n.weight), norm.map(|n| n.bias)]
            }
            Kernel::Norm(n) => [Some(n.weight), Some(n.bias), None, None],
            _ => [None; 4],
        };
        list.into_iter().flatten()
    }
}

/// Contributions to the gradient of every value, in the order in which the backward pass makes them.
struct Flows<'a> {
    program: &'a Program,
    state: Vec<FlowState>,
}

/// How far the gradient of a storage is.
#[derive(Clone, Default)]
struct FlowState {
    /// Distinct views that are read, the logits by the loss.
    regions: Vec<Region>,
    /// Whether the regions overlap without being equal or leave channels out: then everything accumulates onto zeros.
    onto_zeros: bool,
    /// Whether anything was written.
    begun: bool,
    /// Whether something was written that no sign bits were applied to.
    unmasked: bool,
}

#[derive(Clone)]
struct Region {
    view: View,
    /// Contributions still to come.
    expected: usize,
    /// Whether a contribution was written.
    written: bool,
    /// Another gradient as it is, that the next contribution takes along.
    waiting: Option<View>,
}

impl<'a> Flows<'a> {
    fn new(program: &'a Program, needed: &[bool]) -> Self {
        let mut state = vec![FlowState::default(); program.storages.len()];
        // The loss has written its gradient before the pass begins, and zeros beside it.
        let logits = Region { view: program.logits, expected: 0, written: true, waiting: None };
        state[program.logits.storage] =
            FlowState { regions: vec![logits], onto_zeros: false, begun: true, unmasked: true };
        for step in program.steps.iter().filter(|step| needed[step.out.storage]) {
            for view in step.reads().filter(|view| needed[view.storage]) {
                let regions = &mut state[view.storage].regions;
                match regions.iter_mut().find(|r| r.view == view) {
                    Some(region) => region.expected += 1,
                    None => regions.push(Region { view, expected: 1, written: false, waiting: None }),
                }
            }
        }
        for (state, storage) in state.iter_mut().zip(&program.storages) {
            let mut readers = vec![0; storage.shape.c];
            for place in state.regions.iter().map(|region| region.view.place) {
                for c in 0..place.c {
                    readers[place.offset + c * place.step] += 1;
                }
            }
            state.onto_zeros = readers.iter().any(|&n| n != 1);
        }
        Flows { program, state }
    }

    /// What must happen before a step that writes to `storage` is gone through: by then all contributions to the
    /// gradient of what it wrote are made.
    fn finish(&mut self, storage: StorageId, moves: &mut Vec<BackStep>) {
        let state = &mut self.state[storage];
        if !state.begun {
            state.begun = true;
            moves.push(BackStep::Zero(storage)); // nothing that counts reads it
        }
        if std::mem::take(&mut state.unmasked) && self.program.storages[storage].signed {
            moves.push(BackStep::Mask(storage));
        }
    }

    /// A contribution through the kernel of `step`.
    fn through(&mut self, step: StepId, to: View, moves: &mut Vec<BackStep>) {
        let into = self.next(to, moves);
        moves.push(BackStep::Through { step, into });
    }

    /// A contribution that is another gradient as it is: it waits for the next one to take it along, unless it is the last.
    fn pass(&mut self, from: View, to: View, moves: &mut Vec<BackStep>) {
        if !self.state[to.storage].onto_zeros {
            let region = self.region(to);
            if region.expected > 1 && region.waiting.is_none() {
                region.waiting = Some(from);
                region.expected -= 1;
                return;
            }
        }
        let into = self.next(to, moves);
        moves.push(BackStep::Pass { from, into });
    }

    /// How the next contribution to `to` is written.
    fn next(&mut self, to: View, moves: &mut Vec<BackStep>) -> Flow {
        let state = &mut self.state[to.storage];
        let begun = std::mem::replace(&mut state.begun, true);
        if state.onto_zeros {
            if !begun {
                moves.push(BackStep::Zero(to.storage));
            }
            state.unmasked = true;
            return Flow { to, add: None, accumulate: true, mask: false };
        }
        let signed = self.program.storages[to.storage].signed;
        let region = self.region(to);
        region.expected -= 1;
        let accumulate = std::mem::replace(&mut region.written, true);
        Flow { to, add: region.waiting.take(), accumulate, mask: signed && region.expected == 0 }
    }

    fn region(&mut self, view: View) -> &mut Region {
        let regions = &mut self.state[view.storage].regions;
        regions.iter_mut().find(|r| r.view == view).expect("counted in new")
    }
}

/// State of a lowering.
struct Lowering<'a> {
    graph: &'a Graph,
    mode: Mode,
    /// The only reader of each node, where there is one.
    reader: Vec<Option<NodeId>>,
    /// Where the value of each node lies, once known.
    views: Vec<Option<View>>,
    /// Node → the view that a concatenation wants it in.
    wanted: Vec<Option<View>>,
    storages: Vec<Storage>,
    steps: Vec<Step>,
}

/// A convolution, norm, … with what it takes along.
struct Chain {
    norm: Option<NormParams>,
    add: Option<NodeId>,
    relu: bool,
    end: NodeId,
}

impl<'a> Lowering<'a> {
    fn new(graph: &'a Graph, mode: Mode) -> Self {
        let mut uses = graph.uses();
        uses[graph.logits] += 1; // by the loss
        let mut reader = vec![None; graph.nodes.len()];
        for (i, node) in graph.nodes.iter().enumerate() {
            for &input in &node.inputs {
                reader[input] = (uses[input] == 1).then_some(i);
            }
        }
        let n = graph.nodes.len();
        Lowering {
            graph,
            mode,
            reader,
            views: vec![None; n],
            wanted: vec![None; n],
            storages: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn run(mut self) -> Program {
        let input = self.allocate(self.graph.input());
        self.views[0] = Some(input);
        let chains = self.chains();
        self.place_concats(&chains);
        let mut dropouts = 0;
        // A chain is emitted where it ends: by then everything it adds exists.
        let mut by_end: Vec<Option<NodeId>> = vec![None; self.graph.nodes.len()];
        for (start, chain) in chains.iter().enumerate() {
            if let Some(chain) = chain {
                by_end[chain.end] = Some(start);
            }
        }
        for i in 1..self.graph.nodes.len() {
            if let Some(start) = by_end[i] {
                let chain = chains[start].as_ref().expect("by_end names chains");
                self.emit(start, chain, &mut dropouts);
                continue;
            }
            let node = &self.graph.nodes[i];
            match node.op {
                Op::Slice { start } => {
                    let x = self.view(node.inputs[0]);
                    self.views[i] = Some(View { place: x.place.channels(start..start + node.shape.c), ..x });
                }
                Op::Dropout { .. } if self.mode != Mode::Training => {
                    self.views[i] = Some(self.view(node.inputs[0]));
                }
                Op::Concat => self.emit_concat(i),
                Op::Shuffle { groups } => self.emit_shuffle(i, groups),
                _ => {} // taken along by a chain that ends later
            }
        }
        let logits = self.view(self.graph.logits);
        Program { mode: self.mode, storages: self.storages, steps: self.steps, input, logits }
    }

    fn view(&self, node: NodeId) -> View {
        self.views[node].expect("nodes are in topological order")
    }

    fn allocate(&mut self, shape: Shape) -> View {
        self.storages.push(Storage { shape, signed: false });
        View { storage: self.storages.len() - 1, place: Place::dense(shape) }
    }

    /// Which nodes start a step, and how far each step reaches.
    fn chains(&self) -> Vec<Option<Chain>> {
        let mut taken = vec![false; self.graph.nodes.len()];
        let mut chains: Vec<Option<Chain>> = Vec::with_capacity(self.graph.nodes.len());
        for (i, node) in self.graph.nodes.iter().enumerate() {
            let starts = match node.op {
                Op::Input | Op::Slice { .. } | Op::Concat | Op::Shuffle { .. } => false,
                Op::Dropout { .. } => self.mode == Mode::Training,
                _ => !taken[i],
            };
            chains.push(starts.then(|| self.chain(i, &mut taken)));
        }
        chains
    }

    fn chain(&self, start: NodeId, taken: &mut [bool]) -> Chain {
        let mut chain = Chain { norm: None, add: None, relu: false, end: start };
        let mut next = |end: NodeId, accept: &dyn Fn(&Op) -> bool| -> Option<NodeId> {
            let reader = self.reader[end].filter(|&r| !taken[r] && accept(&self.graph.nodes[r].op))?;
            taken[reader] = true;
            Some(reader)
        };
        let op = &self.graph.nodes[start].op;
        if let Op::Conv { .. } = op
            && self.mode == Mode::Inference
            && let Some(norm) = next(chain.end, &|op| matches!(op, Op::Norm(_)))
        {
            chain.end = norm;
            if let Op::Norm(params) = self.graph.nodes[norm].op {
                chain.norm = Some(params);
            }
        }
        let sums = matches!(op, Op::Conv { .. } | Op::Norm(_));
        if sums && let Some(add) = next(chain.end, &|op| *op == Op::Add) {
            let inputs = &self.graph.nodes[add].inputs;
            chain.add = Some(if inputs[0] == chain.end { inputs[1] } else { inputs[0] });
            chain.end = add;
        } else if *op == Op::Add {
            chain.add = Some(self.graph.nodes[start].inputs[1]);
        }
        if *op == Op::Relu {
            chain.relu = true;
        } else if (sums || *op == Op::Add)
            && let Some(relu) = next(chain.end, &|op| *op == Op::Relu)
        {
            chain.relu = true;
            chain.end = relu;
        }
        chain
    }

    /// Lets the parts of a concatenation (and of the shuffle behind it) be written where they belong.
    ///
    /// Sign bits belong to a storage: a part without ReLU is copied in, so that all its bits can be set. And no step
    /// may read the storage that it writes: a part that another one is made from is copied in as well.
    fn place_concats(&mut self, chains: &[Option<Chain>]) {
        // What the step that ends at a node in a ReLU reads.
        let mut sources: Vec<Option<Vec<NodeId>>> = vec![None; self.graph.nodes.len()];
        for (start, chain) in chains.iter().enumerate() {
            if let Some(chain) = chain.as_ref().filter(|chain| chain.relu) {
                let reads = [self.graph.nodes[start].inputs[0]].into_iter().chain(chain.add);
                sources[chain.end] = Some(reads.map(|node| self.owner(node)).collect());
            }
        }
        for (i, node) in self.graph.nodes.iter().enumerate() {
            if node.op != Op::Concat {
                continue;
            }
            let target = self.allocate(node.shape);
            let owners: Vec<NodeId> = node.inputs.iter().map(|&part| self.owner(part)).collect();
            let mut placed: Vec<NodeId> = Vec::new();
            for (part, view) in self.parts(i, target) {
                let Some(reads) = &sources[part] else { continue };
                let once = owners.iter().filter(|&&owner| owner == part).count() == 1;
                let apart = placed.iter().all(|other| {
                    let feeds = sources[*other].as_ref().is_some_and(|reads| reads.contains(&part));
                    !feeds && !reads.contains(other)
                });
                if self.wanted[part].is_none() && once && apart {
                    self.wanted[part] = Some(view);
                    placed.push(part);
                }
            }
            let result = self.shuffle_behind(i).map_or(i, |(shuffle, _)| shuffle);
            self.views[result] = Some(target);
            self.wanted[i] = Some(target);
        }
    }

    /// The node whose buffer a node's value lies in, as far as slices and switched-off dropouts go.
    fn owner(&self, node: NodeId) -> NodeId {
        let Node { op, inputs, .. } = &self.graph.nodes[node];
        match op {
            Op::Slice { .. } => self.owner(inputs[0]),
            Op::Dropout { .. } if self.mode != Mode::Training => self.owner(inputs[0]),
            _ => node,
        }
    }

    /// Where in `target` the parts of concatenation `i` belong, the shuffle behind it included.
    fn parts(&self, i: NodeId, target: View) -> Vec<(NodeId, View)> {
        let shuffle = self.shuffle_behind(i);
        let mut start = 0;
        let part = |&part: &NodeId| {
            let c = self.graph.nodes[part].shape.c;
            let place = match shuffle {
                Some((_, groups)) => Place { c, offset: start / c, step: groups, ..target.place },
                None => target.place.channels(start..start + c),
            };
            start += c;
            (part, View { place, ..target })
        };
        self.graph.nodes[i].inputs.iter().map(part).collect()
    }

    /// The shuffle that alone reads concatenation `i`, and its groups, if each part of `i` is one group.
    fn shuffle_behind(&self, i: NodeId) -> Option<(NodeId, usize)> {
        let node = &self.graph.nodes[i];
        let reader = self.reader[i]?;
        let Op::Shuffle { groups } = self.graph.nodes[reader].op else { return None };
        let per_group = node.shape.c / groups;
        node.inputs.iter().all(|&p| self.graph.nodes[p].shape.c == per_group).then_some((reader, groups))
    }

    fn emit(&mut self, start: NodeId, chain: &Chain, dropouts: &mut u32) {
        let node = &self.graph.nodes[start];
        let kernel = match node.op {
            Op::Conv { weight, bias, shape } => Kernel::Conv { weight, bias, shape, norm: chain.norm },
            Op::Norm(norm) => Kernel::Norm(norm),
            Op::MaxPool(pool) => Kernel::MaxPool(pool),
            Op::GlobalAvgPool => Kernel::GlobalAvgPool,
            Op::Dropout { p } => {
                *dropouts += 1;
                Kernel::Dropout { p, stream: *dropouts - 1 }
            }
            _ => Kernel::Identity,
        };
        let x = self.view(node.inputs[0]);
        let add = chain.add.map(|a| self.view(a));
        let out = match self.wanted[chain.end] {
            Some(view) => view,
            None => self.allocate(self.graph.nodes[chain.end].shape),
        };
        self.storages[out.storage].signed |= chain.relu;
        self.views[chain.end] = Some(out);
        self.steps.push(Step { kernel, x, add, relu: chain.relu, out, node: chain.end });
    }

    /// Copies in the parts that were not written in place.
    fn emit_concat(&mut self, i: NodeId) {
        let target = self.wanted[i].expect("place_concats placed it");
        for (part, out) in self.parts(i, target) {
            let x = self.view(part);
            if x != out {
                self.steps.push(Step { kernel: Kernel::Identity, x, add: None, relu: false, out, node: i });
            }
        }
    }

    /// A shuffle that its concatenation could not take along: one strided copy per group.
    fn emit_shuffle(&mut self, i: NodeId, groups: usize) {
        if self.views[i].is_some() {
            return;
        }
        let node = &self.graph.nodes[i];
        let x = self.view(node.inputs[0]);
        let target = self.allocate(node.shape);
        let per_group = node.shape.c / groups;
        for group in 0..groups {
            let x = View { place: x.place.channels(group * per_group..(group + 1) * per_group), ..x };
            let place = Place { c: per_group, offset: group, step: groups, ..target.place };
            let out = View { place, ..target };
            self.steps.push(Step { kernel: Kernel::Identity, x, add: None, relu: false, out, node: i });
        }
        self.views[i] = Some(target);
    }
}
