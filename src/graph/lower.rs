//! Lowering: what is fused into one step, and where every value lies.

use super::place::Place;
use super::program::{Kernel, Mode, Program, Step, Storage, View};
use super::{Graph, Mean, Node, NodeId, NormParams, Op, ParamId, Rectifier, Shape};

impl Program {
    /// Lowers a graph.
    pub fn lower(graph: &Graph, mode: Mode) -> Program {
        Lowering::new(graph, mode, &[]).run()
    }

    /// Lowers a graph for training in which the parameters `frozen` are not trained: a batch norm among them is one by
    /// running statistics, as in inference, and leaves these as they are.
    pub fn lower_frozen(graph: &Graph, frozen: &[ParamId]) -> Program {
        Lowering::new(graph, Mode::Training, frozen).run()
    }
}

/// State of a lowering.
struct Lowering<'a> {
    graph: &'a Graph,
    mode: Mode,
    /// Parameters that are not trained.
    frozen: &'a [ParamId],
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
    rectifier: Option<Rectifier>,
    end: NodeId,
}

impl<'a> Lowering<'a> {
    fn new(graph: &'a Graph, mode: Mode, frozen: &'a [ParamId]) -> Self {
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
            frozen,
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
        for (i, start) in by_end.into_iter().enumerate().skip(1) {
            if let Some(start) = start {
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
        self.storages.push(Storage { shape, signed: None });
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

    /// Whether a batch norm is one by running statistics.
    fn running(&self, norm: &NormParams) -> bool {
        self.mode == Mode::Inference || self.frozen.contains(&norm.weight)
    }

    fn chain(&self, start: NodeId, taken: &mut [bool]) -> Chain {
        let mut chain = Chain { norm: None, add: None, rectifier: None, end: start };
        let mut next = |end: NodeId, accept: &dyn Fn(&Op) -> bool| -> Option<NodeId> {
            let reader = self.reader[end].filter(|&r| !taken[r] && accept(&self.graph.nodes[r].op))?;
            taken[reader] = true;
            Some(reader)
        };
        let op = &self.graph.nodes[start].op;
        if let Op::Conv { .. } = op
            && let Some(norm) = next(chain.end, &|op| matches!(op, Op::Norm(norm) if self.running(norm)))
        {
            chain.end = norm;
            if let Op::Norm(params) = self.graph.nodes[norm].op {
                chain.norm = Some(params);
            }
        }
        let sums = matches!(op, Op::Conv { .. } | Op::Norm(_) | Op::Product);
        if sums && let Some(add) = next(chain.end, &|op| *op == Op::Add) {
            let inputs = &self.graph.nodes[add].inputs;
            chain.add = Some(if inputs[0] == chain.end { inputs[1] } else { inputs[0] });
            chain.end = add;
        } else if *op == Op::Add {
            chain.add = Some(self.graph.nodes[start].inputs[1]);
        }
        if let Some(own) = rectifier(op) {
            chain.rectifier = Some(own);
        } else if (sums || *op == Op::Add)
            && let Some(end) = next(chain.end, &|op| rectifier(op).is_some())
        {
            chain.rectifier = rectifier(&self.graph.nodes[end].op);
            chain.end = end;
        }
        chain
    }

    /// Lets the parts of a concatenation (and of the shuffle behind it) be written where they belong.
    ///
    /// Sign bits, and the slope where they are not set, belong to a storage: a part without rectifier, or with one of another
    /// slope than the first part that has one, is copied in, so that all its bits can be set. And no step may read the
    /// storage that it writes: a part that another one is made from is copied in as well.
    fn place_concats(&mut self, chains: &[Option<Chain>]) {
        // What the step that ends at a node in a rectifier reads, and the slope of that.
        let mut sources: Vec<Option<(Vec<NodeId>, f32)>> = vec![None; self.graph.nodes.len()];
        for (start, chain) in chains.iter().enumerate() {
            if let Some((chain, end)) = chain.as_ref().and_then(|chain| Some((chain, chain.rectifier?))) {
                let reads = self.graph.nodes[start].inputs.iter().copied().chain(chain.add);
                sources[chain.end] = Some((reads.map(|node| self.owner(node)).collect(), end.below));
            }
        }
        for (i, node) in self.graph.nodes.iter().enumerate() {
            if node.op != Op::Concat {
                continue;
            }
            let target = self.allocate(node.shape);
            let owners: Vec<NodeId> = node.inputs.iter().map(|&part| self.owner(part)).collect();
            let mut placed: Vec<NodeId> = Vec::new();
            let mut slope = None;
            for (part, view) in self.parts(i, target) {
                let Some((reads, below)) = &sources[part] else { continue };
                let once = owners.iter().filter(|&&owner| owner == part).count() == 1;
                let apart = placed.iter().all(|other| {
                    let feeds = sources[*other].as_ref().is_some_and(|(reads, _)| reads.contains(&part));
                    !feeds && !reads.contains(other)
                });
                if self.wanted[part].is_none() && once && apart && slope.is_none_or(|slope| slope == *below) {
                    slope = Some(*below);
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
            Op::Norm(norm) if self.running(&norm) => Kernel::RunningNorm(norm),
            Op::Norm(norm) => Kernel::Norm(norm),
            Op::MaxPool(pool) => Kernel::MaxPool(pool),
            Op::GlobalAvgPool => Kernel::AvgPool(Mean::Adaptive),
            Op::AvgPool(mean) => Kernel::AvgPool(mean),
            Op::Activation(function) if chain.rectifier.is_none() => Kernel::Activation(function),
            Op::Product => Kernel::Product,
            Op::Dropout { p } => {
                *dropouts += 1;
                Kernel::Dropout { p, stream: *dropouts - 1 }
            }
            _ => Kernel::Identity,
        };
        // The second term of a sum is what its step adds.
        let read = if node.op == Op::Add { &node.inputs[..1] } else { &node.inputs };
        let inputs = read.iter().map(|&input| self.view(input)).collect();
        let add = chain.add.map(|a| self.view(a));
        let out = match self.wanted[chain.end] {
            Some(view) => view,
            None => self.allocate(self.graph.nodes[chain.end].shape),
        };
        if let Some(rectifier) = chain.rectifier {
            self.storages[out.storage].signed = Some(rectifier.below);
        }
        self.views[chain.end] = Some(out);
        self.steps.push(Step { kernel, inputs, add, rectifier: chain.rectifier, out, node: chain.end });
    }

    /// Copies in the parts that were not written in place.
    fn emit_concat(&mut self, i: NodeId) {
        let target = self.wanted[i].expect("place_concats placed it");
        for (part, out) in self.parts(i, target) {
            let x = self.view(part);
            if x != out {
                self.copy(x, out, i);
            }
        }
    }

    /// A step that copies a value.
    fn copy(&mut self, x: View, out: View, node: NodeId) {
        let kernel = Kernel::Identity;
        self.steps.push(Step { kernel, inputs: vec![x], add: None, rectifier: None, out, node });
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
            self.copy(x, out, i);
        }
        self.views[i] = Some(target);
    }
}

/// The rectifier that an operation is, if it is one.
fn rectifier(op: &Op) -> Option<Rectifier> {
    match op {
        Op::Activation(function) => function.rectifier(),
        _ => None,
    }
}
