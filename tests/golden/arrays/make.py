"""Small `.npz` files as NumPy writes them, in the forms and under the names that people save images with.

    python make.py        # NumPy 2.4; writes beside this script

Pixels come from formulas that the test (tests/data/arrays.rs) knows too: pixel (n, c, h, w) is
(97 n + 31 c + 7 h + 3 w + 5) % 251, label n is LABELS[n].
"""

import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
LABELS = np.array([2, 0, 1])
N, C, H, W = np.mgrid[0:3, 0:3, 0:4, 0:5]
CHW = ((97 * N + 31 * C + 7 * H + 3 * W + 5) % 251).astype(np.uint8)
HWC = np.ascontiguousarray(CHW.transpose(0, 2, 3, 1))
GREY = CHW[:, 0]


def versions(path: Path, **arrays: np.ndarray) -> None:
    """Like `savez`, with the headers of versions 2 and 3 of the format."""
    with zipfile.ZipFile(path, "w") as archive:
        for version, (name, array) in zip([(2, 0), (3, 0)], arrays.items()):
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as file:
                np.lib.format.write_array(file, array, version=version)


def main() -> None:
    # torch's order, stored; Keras's names and order, deflated, and a train half that has one class more.
    np.savez(HERE / "chw.npz", images=CHW, labels=LABELS)
    np.savez_compressed(HERE / "hwc.npz", x_test=HWC, y_test=LABELS.astype(np.uint8), x_train=HWC[::-1], y_train=LABELS + 1)
    # MedMNIST's names and shapes.
    column = LABELS.astype(np.uint8)[:, None]
    medical = {f"{split}_{part}": array for split in ("train", "val", "test") for part, array in (("images", GREY), ("labels", column))}
    np.savez_compressed(HERE / "medical.npz", **medical)
    # The other byte order, the other order of elements, the other versions of the header.
    np.savez(HERE / "fortran.npz", data=np.asfortranarray(CHW), targets=LABELS.astype(">i4"))
    np.savez(HERE / "big.npz", X=HWC.astype(">i2"), y=LABELS.astype("<i2"))
    versions(HERE / "versions.npz", images=CHW, labels=LABELS.astype(np.uint64))
    # Floats.
    np.savez(HERE / "unit32.npz", images=CHW.astype(np.float32) / 255, labels=LABELS)
    np.savez(HERE / "unit64.npz", images=CHW.astype(">f8") / 255, labels=LABELS)
    np.savez(HERE / "unit16.npz", images=(CHW / 255).astype(np.float16), labels=LABELS)
    np.savez(HERE / "bytes32.npz", images=CHW.astype(np.float32), labels=LABELS)
    np.savez(HERE / "between.npz", images=(CHW + 0.25).astype(np.float32), labels=LABELS)
    # No names at all; names of classes; something else beside.
    np.savez(HERE / "positional.npz", CHW, LABELS)
    np.savez(HERE / "classes.npz", images=CHW, labels=LABELS, class_names=np.array(["ant", "bée", "cow", "dog"]), note=np.array({"by": "hand"}, dtype=object))
    np.savez(HERE / "classes_bytes.npz", images=CHW, labels=LABELS, classes=np.array([b"ant", b"bee", b"cow"]))


if __name__ == "__main__":
    main()
