//! Which stem a checkpoint has.

use super::arch::Arch;
use super::stem::Stem;
use crate::error::{Error, Result};
use std::path::Path;

/// The stem of a network in a checkpoint: `said` by the user, `recorded` in the checkpoint's metadata, or that of the first
/// convolution's shape `conv1` (`[k, c, r, s]`; anything else, as nothing, leaves it open).
///
/// Nothing of a file tells a pool, nor a stride: a 7×7 convolution is taken for torchvision's if nobody says otherwise, and
/// of a 3×3 one it has to be said.
///
/// # Errors
/// [`Error::Usage`] for what was said against the metadata or the shape, of an architecture that has no stems to choose
/// from, and where it has to be said; [`Error::Input`] for metadata that contradict the shape. `path` is the file to name.
pub fn stem_of(
    arch: Arch,
    conv1: &[usize],
    said: Option<Stem>,
    recorded: Option<Stem>,
    path: &Path,
) -> Result<Stem> {
    if !arch.has_stems() {
        return arch.check_stem(said.unwrap_or_default()).map(|()| Stem::Imagenet);
    }
    let file = path.display();
    if let (Some(said), Some(recorded)) = (said, recorded)
        && said != recorded
    {
        let what = "as its metadata say";
        return Err(Error::usage(format!("--stem {said}: {file} has the stem {recorded}, {what}")));
    }
    let fitting = Stem::fitting(conv1);
    let &[a, b] = fitting else { return Ok(said.or(recorded).unwrap_or_default()) };
    match (said, recorded) {
        (Some(stem), _) | (None, Some(stem)) if fitting.contains(&stem) => Ok(stem),
        (Some(said), _) => Err(Error::usage(format!(
            "--stem {said}: expected {a} or {b} for {file}, whose first convolution has the shape {conv1:?}"
        ))),
        (None, Some(recorded)) => {
            let expected = format!("{a} or {b}, as the first convolution has the shape {conv1:?}");
            Err(Error::input(path, "metadata `stem`", expected, recorded))
        }
        (None, None) if a.is_imagenet() => Ok(a),
        (None, None) => Err(Error::usage(format!(
            "{file}: a {arch} for small images, whose first convolution has the shape {conv1:?}; nothing in the file tells \
             whether a max pool follows: expected --stem {a} (no pool) or --stem {b}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Stem::*;

    const SEVEN: &[usize] = &[64, 3, 7, 7];
    const THREE: &[usize] = &[64, 1, 3, 3];

    fn of(conv1: &[usize], said: Option<Stem>, recorded: Option<Stem>) -> Result<Stem> {
        stem_of(Arch::Resnet18, conv1, said, recorded, Path::new("net.pth"))
    }

    #[test]
    fn shapes_flags_and_metadata_decide_together() {
        for (conv1, said, recorded, expected) in [
            (SEVEN, None, None, Imagenet),
            (SEVEN, Some(NoPool), None, NoPool),
            (SEVEN, None, Some(NoPool), NoPool),
            (SEVEN, Some(Imagenet), None, Imagenet),
            (THREE, Some(Small), None, Small),
            (THREE, Some(SmallPool), Some(SmallPool), SmallPool),
            (THREE, None, Some(Small), Small),
            // Whatever that is, it is no ResNet: its shapes are told later.
            (&[64, 3, 5, 5][..], None, None, Imagenet),
            (&[32, 3, 3, 3], None, None, Imagenet),
            (&[], Some(Small), None, Small),
        ] {
            assert_eq!(of(conv1, said, recorded).unwrap(), expected, "{conv1:?} {said:?} {recorded:?}");
        }
    }

    #[test]
    fn what_is_open_or_contradictory_is_refused() {
        for (conv1, said, recorded, code, expected) in [
            (
                THREE,
                None,
                None,
                2,
                "net.pth: a resnet18 for small images, whose first convolution has the shape [64, 1, 3, 3]; nothing in the \
                 file tells whether a max pool follows: expected --stem 3x3 (no pool) or --stem 3x3-pool",
            ),
            (
                THREE,
                Some(NoPool),
                None,
                2,
                "--stem 7x7-no-pool: expected 3x3 or 3x3-pool for net.pth, whose first convolution has the shape [64, 1, 3, 3]",
            ),
            (SEVEN, Some(Small), None, 2, "--stem 3x3: expected imagenet or 7x7-no-pool for net.pth"),
            (
                THREE,
                Some(Small),
                Some(SmallPool),
                2,
                "--stem 3x3: net.pth has the stem 3x3-pool, as its metadata say",
            ),
            (SEVEN, Some(Imagenet), Some(NoPool), 2, "--stem imagenet: net.pth has the stem 7x7-no-pool"),
            (SEVEN, None, Some(Small), 3, "metadata `stem`: expected imagenet or 7x7-no-pool, as the first"),
        ] {
            let error = of(conv1, said, recorded).unwrap_err();
            assert_eq!(error.exit_code(), code, "{error}");
            assert!(error.to_string().contains(expected), "{error}\n{expected}");
        }
    }

    #[test]
    fn other_architectures_have_one_way_to_begin() {
        let of = |said| stem_of(Arch::Squeezenet1_1, THREE, said, Some(Small), Path::new("net.pth"));
        assert_eq!(of(None).unwrap(), Imagenet);
        assert_eq!(of(Some(Imagenet)).unwrap(), Imagenet);
        let error = of(Some(Small)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let error = error.to_string();
        assert!(error.contains("--stem 3x3: resnet18"), "{error}");
        assert!(error.contains(" have stems; squeezenet1_1 has one of its own"), "{error}");
    }

    #[test]
    fn names_tell_stems_apart() {
        assert_eq!(Imagenet.named("resnet18"), "resnet18");
        assert_eq!(SmallPool.named("resnet50"), "resnet50 (3x3-pool stem)");
        for stem in [Imagenet, Small, SmallPool, NoPool] {
            assert_eq!(stem.to_string().parse::<Stem>().unwrap(), stem);
        }
        let error = "5x5".parse::<Stem>().unwrap_err().to_string();
        assert!(
            error.contains(r#"unknown stem "5x5": expected imagenet or 3x3 or 3x3-pool or 7x7-no-pool"#),
            "{error}"
        );
    }
}
