//! Images that lie in memory: `cargo run --release --example own_images`. These are bars, upright and lying, which a network with
//! random weights does not know apart; the point is how they get in.

use synfilter::attack::{Eps, Method};
use synfilter::data::Images;
use synfilter::eval::{Accuracy, Tally};
use synfilter::model::Model;
use synfilter::models::{Arch, Stem};
use synfilter::{Device, Result};

const SIDE: usize = 32;

/// A bright bar on a dark ground, upright or lying.
fn bar(lies: bool, at: usize) -> impl Iterator<Item = u8> {
    (0..SIDE * SIDE).map(move |pixel| {
        let (row, column) = (pixel / SIDE, pixel % SIDE);
        let across = if lies { row } else { column };
        if across.abs_diff(at % SIDE) < 3 { 220 } else { 20 }
    })
}

fn main() -> Result<()> {
    let count = 64;
    let pixels = (0..count).flat_map(|i| bar(i % 2 == 1, 5 * i)).collect();
    let labels = (0..count as u16).map(|i| i % 2).collect();
    let images =
        Images::from_bytes(pixels, [count, 1, SIDE, SIDE], labels)?.with_classes(["upright", "lying"])?;
    let model = Model::untrained((Arch::Squeezenet1_1, Stem::Imagenet), &images, 1)?;
    let attack = Eps(8.0 / 255.0).attack(Method::Fgsm, true);
    let found = Accuracy::new(&Device::cpu(), &images, &model).under(&[attack])?;
    let correct = |verdicts| Tally::from(verdicts).correct;
    println!("{} of {count} clean, {} attacked", correct(&found.clean), correct(&found.adversarial[0]));
    Ok(())
}
