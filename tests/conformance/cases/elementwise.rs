//! What may happen to every result, sign bits.

use super::bench::Bench;
use common::compare::{Tolerance, assert_close};
use common::oracle;
use synfilter::backend::{Backend, Output, Sign, Then};
use synfilter::graph::Rectifier;

/// Any of what may happen to a result, in its order; zeroing.
pub fn elementwise<B: Backend>(bench: &mut Bench<B>) {
    let shape = bench.shape();
    let (device, batch, place) = (bench.device, bench.batch, bench.place(shape));
    let [x, add, before, masking] = [(); 4].map(|()| bench.value(shape));
    let [scale, shift] = [(); 2].map(|()| bench.normals(shape.c));
    let (factors, terms) = (device.upload(&scale), device.upload(&shift));
    // Signs of another value, at the place of the result.
    let mut bits = device.bits(place.rows(), batch);
    let mut data = bench.filled(place, 0.0);
    let then = Then { sign: Sign::RectifySave(Rectifier::RELU, &mut bits), ..Then::default() };
    device.map(batch, masking.input(), Output { data: &mut data, place }, then);

    let [scaled, shifted, added, accumulate] = [(); 4].map(|()| bench.chance());
    let (rectified, masked) = [(false, false), (true, false), (false, true)][bench.between(0, 2)];
    let y = bench.written_to(place, |device, Output { data, place }| {
        device.map(batch, before.input(), Output { data, place }, Then::default());
        let sign = match (rectified, masked) {
            (true, _) => Sign::Rectify(Rectifier::RELU),
            (_, true) => Sign::Mask(&bits, 0.0),
            _ => Sign::None,
        };
        let then = Then {
            scale: scaled.then_some(&factors),
            shift: shifted.then_some(&terms),
            add: added.then(|| add.input()),
            accumulate,
            sign,
        };
        device.map(batch, x.input(), Output { data, place }, then);
    });
    let expected = x.map.map(|i, v| {
        let channel = x.map.channel(i);
        let v = if scaled { v * f64::from(scale[channel]) } else { v };
        let v = if shifted { v + f64::from(shift[channel]) } else { v };
        let v = if added { v + add.map.data[i] } else { v };
        let v = if accumulate { v + before.map.data[i] } else { v };
        if (rectified && v < 0.0) || (masked && masking.map.data[i] <= 0.0) { 0.0 } else { v }
    });
    let options = [scaled, shifted, added, accumulate, rectified, masked];
    bench.close(&format!("scale, shift, add, accumulate, ReLU, mask {options:?}"), &y, &expected.data, 4);

    let mut data = x.data;
    device.zero(&mut data);
    assert!(bench.all(&data, x.place).iter().all(|v| v.to_bits() == 0), "{}: zeroed", bench.what);
}

/// Bits saved by a ReLU, applied to a gradient as it is written and to a whole buffer; their copies.
pub fn sign_bits<B: Backend>(bench: &mut Bench<B>) {
    let shape = bench.shape();
    let (x, dy) = (bench.value(shape), bench.gradient(shape));
    let (device, batch, place) = (bench.device, bench.batch, bench.place(shape));
    let mut bits = device.bits(place.rows(), batch);
    let mut data = bench.filled(place, 0.0);
    let then = Then { sign: Sign::RectifySave(Rectifier::RELU, &mut bits), ..Then::default() };
    device.map(batch, x.input(), Output { data: &mut data, place }, then);
    let expected = oracle::relu_backward(&dy.map, &oracle::relu(&x.map));

    let masked = bench.written_to(place, |device, out| {
        let then = Then { sign: Sign::Mask(&bits, 0.0), ..Then::default() };
        device.map(batch, dy.input(), out, then);
    });
    assert_close(&bench.what, &masked, &expected.data, Tolerance::new(0.0, 0.0));

    let other = bench.place(shape);
    let mut copies = device.bits(other.rows(), batch);
    device.copy_bits(batch, Some((&bits, place)), (&mut copies, other));
    let mut buffer = bench.filled(other, 0.0);
    device.map(batch, dy.input(), Output { data: &mut buffer, place: other }, Then::default());
    device.mask(&mut buffer, &copies, 0.0);
    let masked = bench.nchw(&buffer, other);
    assert_close(&bench.what, &masked, &expected.data, Tolerance::new(0.0, 0.0));

    device.copy_bits(batch, None, (&mut copies, other));
    device.map(batch, dy.input(), Output { data: &mut buffer, place: other }, Then::default());
    device.mask(&mut buffer, &copies, 0.0);
    let open = bench.nchw(&buffer, other);
    assert_close(&bench.what, &open, &dy.map.data, Tolerance::new(0.0, 0.0));
}
