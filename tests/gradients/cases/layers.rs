//! Layers: convolutions, norms, sums, pools, dropouts; and those that are not trained.

use super::check::{check, check_frozen, check_mode};
use super::net::graph;
use super::{CLASSES, Tried};
use synfilter::backend::Backend;
use synfilter::graph::build::ConvSpec;
use synfilter::graph::program::Mode;
use synfilter::graph::{Init, Pool};

pub fn convolutions<B: Backend>(tried: &Tried<B>) {
    let bias = Init::Normal(0.3);
    for (what, spec, side) in [
        ("dense 3×3", ConvSpec::new(9, 3, 1, 1), 6),
        ("dense 3×3 with bias", ConvSpec::new(16, 3, 1, 1).bias(bias), 5),
        ("dense 3×3 on 2×2", ConvSpec::new(16, 3, 1, 1), 2),
        ("no padding", ConvSpec::new(5, 3, 1, 0), 6),
        ("stride 2", ConvSpec::new(7, 3, 2, 1).bias(bias), 7),
        ("stride 2 that skips a border", ConvSpec::new(7, 3, 2, 0), 6),
        ("grouped", ConvSpec::new(12, 3, 1, 1).groups(2).bias(bias), 5),
        ("depthwise", ConvSpec::new(8, 3, 1, 1).groups(8), 5),
        ("depthwise, stride 2", ConvSpec::new(8, 3, 2, 1).groups(8).bias(bias), 6),
        ("1×1", ConvSpec::new(11, 1, 1, 0).bias(bias), 4),
        ("1×1, stride 2", ConvSpec::new(11, 1, 2, 0), 5),
        ("7×7, stride 2", ConvSpec::new(6, 7, 2, 3), 9),
    ] {
        // Once on the images, once on a value that is a ReLU's.
        check(tried, what, 8, side, |net, x| {
            let x = net.conv(x, spec);
            let x = net.relu(x);
            net.head(x)
        });
        check(tried, &format!("{what}, later"), 3, side, |net, x| {
            let x = net.layer(x, 8);
            let x = net.conv(x, spec);
            net.head(x)
        });
    }
    check(tried, "stem of three channels", 3, 16, |net, x| {
        let x = net.conv(x, ConvSpec::new(6, 7, 2, 3));
        net.head(x)
    });
}

pub fn norms<B: Backend>(tried: &Tried<B>) {
    check(tried, "convolution, norm, ReLU", 3, 5, |net, x| {
        let x = net.block(x, 7);
        net.head(x)
    });
    check(tried, "convolution with bias, norm, ReLU", 3, 5, |net, x| {
        let x = net.conv(x, ConvSpec::new(7, 3, 1, 1).bias(Init::Normal(0.3)));
        let x = net.norm(x);
        let x = net.relu(x);
        net.head(x)
    });
    check(tried, "norm on its own", 3, 5, |net, x| {
        let x = net.norm(x);
        let x = net.layer(x, 6);
        let x = net.norm(x);
        net.head(x)
    });
    check(tried, "norm of a value with two readers", 3, 5, |net, x| {
        let x = net.conv3(x, 6);
        let y = net.norm(x);
        let x = net.builder.add(x, y);
        net.head(x)
    });
}

/// Layers that are not trained, with their batch norms by running statistics, between others that are.
pub fn frozen_layers<B: Backend>(tried: &Tried<B>) {
    check_frozen(tried, "residual", |net, x| {
        let x = net.block(x, 6);
        let y = net.block(x, 6);
        let y = net.conv3(y, 6);
        let y = net.norm(y);
        let x = net.builder.add(x, y);
        let x = net.relu(x);
        net.head(x)
    });
    check_frozen(tried, "dropout and bias", |net, x| {
        let x = net.layer(x, 6);
        let x = net.builder.dropout("dropout", x, 0.5);
        let x = net.layer(x, 5);
        net.head(x)
    });
    // A norm that no convolution takes along.
    let graph = graph(3, 5, |net, x| {
        let x = net.conv3(x, 6);
        let y = net.norm(x);
        let x = net.builder.add(x, y);
        net.head(x)
    });
    let first = graph.layer(graph.filterable()[0]);
    check_mode(tried, "norm of a value with two readers, frozen", &graph, Mode::Training, &first);
}

pub fn sums<B: Backend>(tried: &Tried<B>) {
    check(tried, "residual with ReLU", 3, 5, |net, x| {
        let x = net.block(x, 6);
        let y = net.block(x, 6);
        let y = net.conv3(y, 6);
        let y = net.norm(y);
        let x = net.builder.add(y, x);
        let x = net.relu(x);
        net.head(x)
    });
    check(tried, "residual with its own convolution", 3, 5, |net, x| {
        let x = net.layer(x, 6);
        let y = net.conv(x, ConvSpec::new(8, 3, 2, 1));
        let z = net.conv(x, ConvSpec::new(8, 1, 2, 0));
        let z = net.norm(z);
        let x = net.builder.add(y, z);
        let x = net.relu(x);
        net.head(x)
    });
    check(tried, "a value added to itself", 3, 4, |net, x| {
        let x = net.layer(x, 6);
        let x = net.builder.add(x, x);
        let x = net.relu(x);
        net.head(x)
    });
    check(tried, "both operands used twice", 3, 4, |net, x| {
        let a = net.layer(x, 6);
        let b = net.conv3(x, 6);
        let c = net.builder.add(a, b);
        let d = net.builder.add(b, a);
        let c = net.relu(c);
        let e = net.builder.add(c, d);
        net.head(e)
    });
    check(tried, "sums of the images", 6, 4, |net, x| {
        let y = net.conv3(x, 6);
        let y = net.builder.add(x, y);
        let y = net.builder.add(y, x);
        net.head(y)
    });
    check(tried, "a value with five readers of two kinds", 3, 4, |net, x| {
        let x = net.layer(x, 6);
        let a = net.conv3(x, 6);
        let b = net.builder.add(x, a);
        let c = net.builder.add(b, x);
        let d = net.conv3(x, 6);
        let e = net.builder.add(d, c);
        let f = net.builder.add(e, x);
        net.head(f)
    });
}

pub fn pools_and_linear_layers<B: Backend>(tried: &Tried<B>) {
    for (what, side, kernel, stride, pad, ceil) in [
        ("2×2", 6, 2, 2, 0, false),
        ("3×3 with padding", 7, 3, 2, 1, false),
        ("3×3, ceil", 6, 3, 2, 0, true),
        ("3×3 with padding, ceil", 8, 3, 2, 1, true),
        ("overlapping", 5, 3, 1, 1, false),
        ("one window that hangs over the map", 2, 3, 2, 0, true),
    ] {
        let pool = Pool { kernel, stride, pad, ceil };
        check(tried, &format!("max pool {what}"), 3, side, |net, x| {
            let x = net.layer(x, 5);
            let x = net.builder.max_pool("pool", x, pool).unwrap();
            net.head(x)
        });
        check(tried, &format!("max pool {what} of the images"), 3, side, |net, x| {
            let x = net.builder.max_pool("pool", x, pool).unwrap();
            let x = net.relu(x);
            net.head(x)
        });
    }
    check(tried, "average pool and linear layers", 3, 5, |net, x| {
        let x = net.layer(x, 7);
        let x = net.builder.global_avg_pool("pool", x);
        let x = net.builder.linear("hidden", x, 9);
        let x = net.relu(x);
        net.builder.linear("fc", x, CLASSES)
    });
}

pub fn dropouts<B: Backend>(tried: &Tried<B>) {
    check(tried, "dropout", 3, 4, |net, x| {
        let x = net.layer(x, 6);
        let x = net.builder.dropout("first", x, 0.5);
        let x = net.layer(x, 5);
        let x = net.builder.dropout("second", x, 0.2);
        net.head(x)
    });
    check(tried, "a value beside its dropout", 3, 4, |net, x| {
        let x = net.layer(x, 4);
        let y = net.builder.dropout("drop", x, 0.3);
        let x = net.builder.concat(&[y, x]);
        net.head(x)
    });
    check(tried, "logits behind a dropout", 3, 4, |net, x| {
        let x = net.head(x);
        net.builder.dropout("drop", x, 0.4)
    });
}
