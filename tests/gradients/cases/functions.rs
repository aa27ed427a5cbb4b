//! Activations, products and means over windows within networks: where they stand, and what the backward pass keeps of them.

use super::Tried;
use super::check::{check, check_frozen};
use super::net::Net;
use synfilter::backend::Backend;
use synfilter::graph::build::ConvSpec;
use synfilter::graph::{Activation, Init, NodeId, Pool};

const LEAKY: Activation = Activation::LeakyRelu { slope: 0.25 };

impl Net {
    fn act(&mut self, x: NodeId, function: Activation) -> NodeId {
        self.builder.activation("function", x, function)
    }

    /// A 1×1 convolution with bias.
    fn gate(&mut self, x: NodeId, k: usize) -> NodeId {
        self.conv(x, ConvSpec::new(k, 1, 1, 0).bias(Init::Normal(0.3)))
    }
}

/// Behind a convolution, behind a norm that stands alone, with two readers, before and behind a sum.
pub fn activations<B: Backend>(tried: &Tried<B>) {
    let behind = [
        Activation::Relu6,
        LEAKY,
        Activation::HardSwish,
        Activation::HardSigmoid,
        Activation::Sigmoid,
        Activation::Silu,
        Activation::Tanh,
        Activation::Elu { alpha: 1.5 },
        Activation::Gelu,
    ];
    for function in behind {
        check(tried, &format!("{function:?}"), 3, 6, |net, x| {
            let x = net.conv3(x, 6);
            let y = net.norm(x);
            let y = net.act(y, function);
            let z = net.conv3(y, 6);
            let z = net.builder.add(z, y);
            let z = net.act(z, function);
            net.head(z)
        });
        check(tried, &format!("{function:?} before a convolution"), 3, 5, |net, x| {
            let x = net.conv3(x, 5);
            let pooled =
                net.builder.max_pool("pool", x, Pool { kernel: 2, stride: 1, pad: 0, ceil: false }).unwrap();
            let y = net.norm(pooled);
            let y = net.act(y, function);
            let y = net.conv3(y, 4);
            net.head(y)
        });
    }
    check_frozen(tried, "SiLU and leaky ReLU", |net, x| {
        let x = net.conv3(x, 5);
        let x = net.norm(x);
        let x = net.act(x, Activation::Silu);
        let x = net.conv3(x, 5);
        let x = net.act(x, LEAKY);
        net.head(x)
    });
}

/// Dense blocks and parts of concatenations with rectifiers of different slopes.
pub fn slopes<B: Backend>(tried: &Tried<B>) {
    check(tried, "slopes of a concatenation", 3, 6, |net, x| {
        let x = net.conv3(x, 4);
        let a = net.conv3(x, 3);
        let a = net.act(a, LEAKY);
        let b = net.conv3(x, 2);
        let b = net.relu(b);
        let c = net.conv3(x, 2);
        let d = net.conv3(x, 3);
        let d = net.act(d, LEAKY);
        let all = net.builder.concat(&[a, b, c, d]);
        let both = net.builder.concat(&[b, all]);
        let y = net.conv3(both, 4);
        let y = net.act(y, LEAKY);
        net.head(y)
    });
    check(tried, "a dense block", 3, 6, |net, x| {
        let mut features = vec![net.conv3(x, 4)];
        for _ in 0..2 {
            let y = net.builder.concat(&features);
            let y = net.norm(y);
            let y = net.relu(y);
            let y = net.conv3(y, 4);
            let y = net.block(y, 3);
            features.push(net.conv3(y, 3));
        }
        let y = net.builder.concat(&features);
        let y = net.norm(y);
        let y = net.relu(y);
        net.head(y)
    });
    check(tried, "a leaky end that is read elsewhere", 3, 3, |net, x| {
        let x = net.layer(x, 4);
        let x = net.head(x);
        net.act(x, LEAKY)
    });
}

/// Gates of squeeze and excitation, products of maps, a square, with sums and rectifiers behind them.
pub fn products<B: Backend>(tried: &Tried<B>) {
    for (what, first, second) in [
        ("ReLU and sigmoid", Activation::Relu, Activation::Sigmoid),
        ("SiLU and hard sigmoid", Activation::Silu, Activation::HardSigmoid),
    ] {
        check(tried, &format!("a gate, {what}"), 3, 6, |net, x| {
            let x = net.conv3(x, 6);
            let x = net.norm(x);
            let x = net.act(x, first);
            let gate = net.builder.global_avg_pool("squeeze", x);
            let gate = net.gate(gate, 3);
            let gate = net.act(gate, first);
            let gate = net.gate(gate, 6);
            let gate = net.act(gate, second);
            let y = net.builder.product(x, gate);
            let y = net.conv3(y, 6);
            let y = net.builder.add(y, x);
            net.head(y)
        });
    }
    check(tried, "a product of maps, sum and ReLU behind it", 3, 5, |net, x| {
        let x = net.layer(x, 4);
        let a = net.conv3(x, 4);
        let b = net.layer(x, 4);
        let y = net.builder.product(a, b);
        let y = net.builder.add(y, x);
        let y = net.relu(y);
        net.head(y)
    });
    check(tried, "a square", 3, 5, |net, x| {
        let x = net.conv3(x, 4);
        let y = net.builder.product(x, x);
        let y = net.conv3(y, 4);
        net.head(y)
    });
}

/// Windows with strides and padding, both ways of counting it, and windows that share the map.
pub fn means<B: Backend>(tried: &Tried<B>) {
    for (kernel, stride, pad, ceil, count_pad) in
        [(2, 2, 0, false, true), (3, 1, 1, false, false), (3, 2, 1, true, true), (3, 2, 0, true, false)]
    {
        let pool = Pool { kernel, stride, pad, ceil };
        check(tried, &format!("{pool:?}, count {count_pad}"), 3, 6, |net, x| {
            let x = net.layer(x, 5);
            let y = net.builder.avg_pool("pool", x, pool, count_pad).unwrap();
            net.head(y)
        });
    }
    for side in [1, 2, 4] {
        check(tried, &format!("to {side}×{side}"), 3, 5, |net, x| {
            let x = net.conv3(x, 5);
            let y = net.builder.adaptive_avg_pool("pool", x, [side, side]);
            let y = net.layer(y, 4);
            net.head(y)
        });
    }
}
