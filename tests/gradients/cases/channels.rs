//! Values that are parts of others: slices, concatenations, shuffles; what the network ends with.

use super::Tried;
use super::check::check;
use synfilter::backend::Backend;

pub fn slices<B: Backend>(tried: &Tried<B>) {
    check(tried, "channels that nothing reads", 3, 4, |net, x| {
        let x = net.layer(x, 8);
        let x = net.builder.slice(x, 2..5);
        net.head(x)
    });
    check(tried, "of the images", 4, 4, |net, x| {
        let x = net.builder.slice(x, 1..3);
        net.head(x)
    });
    check(tried, "overlapping", 3, 4, |net, x| {
        let x = net.layer(x, 8);
        let a = net.builder.slice(x, 0..5);
        let b = net.builder.slice(x, 3..8);
        let x = net.builder.add(a, b);
        net.head(x)
    });
    check(tried, "a slice beside its whole", 3, 4, |net, x| {
        let x = net.block(x, 8);
        let a = net.builder.slice(x, 4..8);
        let a = net.conv3(a, 8);
        let x = net.builder.add(a, x);
        let x = net.relu(x);
        net.head(x)
    });
    check(tried, "a slice of a slice, two halves", 3, 4, |net, x| {
        let x = net.layer(x, 8);
        let a = net.builder.slice(x, 0..4);
        let b = net.builder.slice(x, 4..8);
        let b = net.builder.slice(b, 1..4);
        let a = net.layer(a, 3);
        let x = net.builder.concat(&[b, a]);
        net.head(x)
    });
    check(tried, "logits that are a slice", 3, 4, |net, x| {
        let x = net.head(x);
        net.builder.slice(x, 1..4)
    });
}

pub fn concatenations<B: Backend>(tried: &Tried<B>) {
    check(tried, "of ReLUs", 3, 4, |net, x| {
        let x = net.layer(x, 4);
        let (a, b) = (net.layer(x, 3), net.layer(x, 5));
        let x = net.builder.concat(&[a, b]);
        net.head(x)
    });
    check(tried, "with and without ReLU", 3, 4, |net, x| {
        let x = net.layer(x, 4);
        let (a, b, c) = (net.conv3(x, 3), net.block(x, 5), net.norm(x));
        let x = net.builder.concat(&[a, b, c]);
        net.head(x)
    });
    check(tried, "of a value with itself", 3, 4, |net, x| {
        let x = net.layer(x, 4);
        let x = net.builder.concat(&[x, x]);
        net.head(x)
    });
    check(tried, "of a value with itself, and read by others", 3, 4, |net, x| {
        let x = net.block(x, 4);
        let y = net.conv3(x, 8);
        let z = net.builder.concat(&[x, x]);
        let x = net.builder.add(y, z);
        net.head(x)
    });
    check(tried, "of a value with a slice of it", 3, 4, |net, x| {
        let x = net.layer(x, 4);
        let a = net.builder.slice(x, 1..3);
        let x = net.builder.concat(&[x, a]);
        net.head(x)
    });
    check(tried, "of a value with what is made of it", 3, 4, |net, x| {
        let a = net.layer(x, 4);
        let b = net.layer(a, 3);
        let c = net.block(b, 5);
        let x = net.builder.concat(&[a, b, c]);
        let x = net.layer(x, 4);
        net.head(x)
    });
    check(tried, "of a value with what is made of it, with steps between", 3, 4, |net, x| {
        let a = net.layer(x, 4);
        let b = net.conv3(a, 3);
        let b = net.norm(b);
        let c = net.layer(b, 5);
        let d = net.builder.concat(&[a, c]);
        net.head(d)
    });
    check(tried, "a fresh part that a stale step reads before another part is written", 3, 4, |net, x| {
        let a = net.layer(x, 4);
        let b = net.conv3(x, 4);
        let c = net.builder.add(b, a);
        let c = net.norm(c);
        let d = net.layer(c, 5);
        let e = net.builder.concat(&[a, d]);
        net.head(e)
    });
    check(tried, "the same value in two of them", 3, 4, |net, x| {
        let (a, b) = (net.block(x, 4), net.block(x, 3));
        let c = net.builder.concat(&[a, b]);
        let d = net.builder.concat(&[b, a]);
        let x = net.builder.add(c, d);
        net.head(x)
    });
    check(tried, "nested, with the images", 3, 4, |net, x| {
        let a = net.layer(x, 4);
        let b = net.builder.concat(&[x, a]);
        let c = net.builder.concat(&[b, a, x]);
        net.head(c)
    });
    check(tried, "with a residual inside", 3, 4, |net, x| {
        let a = net.block(x, 4);
        let b = net.conv3(x, 4);
        let b = net.norm(b);
        let b = net.builder.add(b, a);
        let b = net.relu(b);
        let x = net.builder.concat(&[a, b]);
        net.head(x)
    });
    check(tried, "logits that are one", 3, 4, |net, x| {
        let a = net.head(x);
        let a = net.relu(a);
        let b = net.builder.linear("fc", a, 3);
        let b = net.relu(b);
        net.builder.concat(&[a, b])
    });
}

pub fn shuffles<B: Backend>(tried: &Tried<B>) {
    check(tried, "behind a concatenation", 3, 4, |net, x| {
        let (a, b) = (net.block(x, 4), net.block(x, 4));
        let x = net.builder.concat(&[a, b]);
        let x = net.builder.shuffle(x, 2);
        net.head(x)
    });
    check(tried, "behind a concatenation, as ShuffleNet's units have it", 3, 4, |net, x| {
        let x = net.block(x, 4);
        let (a, b) = (net.block(x, 4), net.block(x, 4));
        let x = net.builder.concat(&[a, b]);
        let x = net.builder.shuffle(x, 2);
        let (a, b) = (net.builder.slice(x, 0..4), net.builder.slice(x, 4..8));
        let b = net.block(b, 4);
        let x = net.builder.concat(&[a, b]);
        let x = net.builder.shuffle(x, 2);
        net.head(x)
    });
    check(tried, "behind parts of another size", 3, 4, |net, x| {
        let (a, b) = (net.layer(x, 4), net.layer(x, 2));
        let x = net.builder.concat(&[a, b]);
        let x = net.builder.shuffle(x, 3);
        net.head(x)
    });
    check(tried, "with a second reader of the concatenation", 3, 4, |net, x| {
        let (a, b) = (net.layer(x, 3), net.layer(x, 3));
        let x = net.builder.concat(&[a, b]);
        let y = net.builder.shuffle(x, 2);
        let x = net.builder.add(x, y);
        net.head(x)
    });
    check(tried, "not behind a concatenation", 3, 4, |net, x| {
        let x = net.block(x, 6);
        let x = net.builder.shuffle(x, 3);
        let x = net.layer(x, 4);
        net.head(x)
    });
    check(tried, "of the images", 6, 4, |net, x| {
        let x = net.builder.shuffle(x, 2);
        net.head(x)
    });
}

pub fn ends_of_the_network<B: Backend>(tried: &Tried<B>) {
    check(tried, "logits that end in a ReLU", 3, 4, |net, x| {
        let x = net.head(x);
        net.relu(x)
    });
    check(tried, "logits that something else reads too", 3, 4, |net, x| {
        let x = net.head(x);
        net.relu(x);
        x
    });
    check(tried, "a branch that leads nowhere", 3, 4, |net, x| {
        let x = net.layer(x, 4);
        let y = net.layer(x, 4);
        net.block(y, 3);
        net.head(x)
    });
}
