#!/usr/bin/python3
"""synfilter's sweep and training against PyTorch, whole processes on the same cells, counts compared.

    cargo build --release
    python3 benches/side_by_side.py --data DIR [--only resnet18/32,...] [--checkpoints DIR] [--out benches/record/side-by-side.json]

DIR holds cifar-10-batches-bin/ and tiny-imagenet-200/ (the full sets or subsets in the same layout). For every network
and input size: one epoch of training makes a checkpoint, `synfilter sweep` measures some cells (its time is that of the
whole process, start to written tables), benches/pytorch_reference.py measures the same cells in PyTorch three times: eager (one
deep copy per variant, as the method's authors did), best effort (parameters frozen, channels_last, weights filtered in
place, prefix cached, inference mode), and folded (best effort with batch norms folded into the convolutions before);
PyTorch's time leaves out start-up, loading and setting up. Then the counts of all cells are compared one by one. Needs
torch, torchvision, numpy, Pillow; libopenblas0-pthread makes PyTorch's linear layers faster.

64-pixel images are decoded once by Pillow and given to both sides as PNG / raw bytes.
"""

import argparse
import json
import pathlib
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
SYNFILTER = ROOT / "target/release/synfilter"
# Images and layers chosen so that PyTorch takes some ten seconds per mode on two cores; whole slabs for two threads.
CASES = {
    ("resnet18", 32): (512, ["conv1", "layer2.1.conv1", "fc"]),
    ("resnet50", 32): (256, ["layer1.1.conv2", "layer3.2.conv1", "fc"]),
    ("squeezenet1_1", 32): (1024, ["features.3.squeeze", "features.9.expand3x3", "classifier.1"]),
    ("shufflenet_v2_x1_0", 32): (512, ["stage2.1.branch2.0", "stage3.4.branch2.5", "fc"]),
    ("resnet18", 64): (128, ["conv1", "layer2.1.conv1", "fc"]),
    ("resnet50", 64): (128, ["layer1.1.conv2", "layer3.2.conv1", "fc"]),
    ("squeezenet1_1", 64): (384, ["features.3.squeeze", "features.9.expand3x3", "classifier.1"]),
    ("shufflenet_v2_x1_0", 64): (256, ["stage2.1.branch2.0", "stage3.4.branch2.5", "fc"]),
}
FILTERS, THRESHOLDS, EPS = "high-pass,pulse", 5, "8/255"
MODES = {"best": ["--mode", "best", "--no-fold"], "folded": ["--mode", "best"], "eager": ["--mode", "eager"]}


def run(command):
    started = time.perf_counter()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout, time.perf_counter() - started


def png(path, pixels):
    """Writes [H, W, 3] bytes."""
    height, width, _ = pixels.shape
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b""))


def tiny_as_png(data, folder, per_class):
    """Validation images as class folders of PNG, and the same as .npy in the order in which synfilter reads them."""
    import numpy as np
    from PIL import Image

    source = data / "tiny-imagenet-200"
    ids = sorted((source / "wnids.txt").read_text().split())
    lines = [line.split("\t") for line in (source / "val/val_annotations.txt").read_text().splitlines()]
    images, labels = [], []
    for label, wnid in enumerate(ids):
        (folder / wnid).mkdir(parents=True)
        for i, name in enumerate([line[0] for line in lines if line[1] == wnid][:per_class]):
            pixels = np.asarray(Image.open(source / "val/images" / name).convert("RGB"))
            png(folder / wnid / f"{i}.png", pixels)
            images.append(pixels.transpose(2, 0, 1))
            labels.append(label)
    arrays = folder.parent / (folder.name + "-arrays")
    arrays.mkdir()
    np.save(arrays / "images.npy", np.stack(images))
    np.save(arrays / "labels.npy", np.array(labels, dtype=np.int64))
    return arrays


def checkpoint(arch, size, data, work, made):
    """One epoch of training, or what `made` holds already."""
    if made and (made / f"{arch}-{size}.safetensors").exists():
        return made / f"{arch}-{size}.safetensors"
    dataset = "cifar10" if size == 32 else "tiny-imagenet"
    out = work / f"train-{arch}-{size}"
    run([SYNFILTER, "train", "--arch", arch, "--dataset", dataset, "--data-dir", data, "--epochs", 1, "--save-every", 1,
         "--seed", 0, "--out", out])
    return out / "epoch-0001.safetensors"


def case(arch, size, data, work, arrays, made, modes):
    images, layers = CASES[arch, size]
    file = checkpoint(arch, size, data, work, made)
    out = work / f"sweep-{arch}-{size}"
    names = ",".join(f"{layer}.weight" for layer in layers)
    source = ["--dataset", "cifar10", "--data-dir", data] if size == 32 else \
        ["--dataset", "folder", "--data-dir", arrays.parent / "tiny"]
    _, seconds = run([SYNFILTER, "sweep", "--checkpoint", file, *source, "--out", out, "--images", images, "--pick", "first",
                      "--layers", names, "--filters", FILTERS, "--thresholds", THRESHOLDS, "--eps", EPS])
    cells = 2 * THRESHOLDS * len(layers)
    ours = cells * images / seconds
    row = {"arch": arch, "size": size, "images": images, "layers": layers, "cells": cells,
           "synfilter_whole_process_cell_images_per_s": round(ours, 1)}
    for mode in modes:
        numerator, denominator = EPS.split("/")
        theirs = ["--dataset", "cifar10", "--data", data / "cifar-10-batches-bin"] if size == 32 else \
            ["--dataset", "npy", "--data", arrays]
        text, _ = run(["/usr/bin/python3", ROOT / "benches/pytorch_reference.py", *MODES[mode], "--arch", arch,
                       "--size", size, "--checkpoint", file, *theirs, "--images", images, "--layers", ",".join(layers),
                       "--filters", FILTERS, "--thresholds", THRESHOLDS, "--eps", int(numerator) / int(denominator),
                       "--no-cells", "--compare", out / "cells.jsonl"])
        result = json.loads(text.strip().splitlines()[-1])
        row[f"pytorch_{mode}_cell_images_per_s"] = result["cell_images_per_s"]
        row[f"ratio_{mode}"] = round(ours / result["cell_images_per_s"], 2)
        row[f"cells_that_differ_{mode}"] = result["compare"]["cells_that_differ"]
        row[f"largest_count_difference_{mode}"] = result["compare"]["largest_count_difference"]
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--only", help="comma-separated ARCH/SIZE")
    parser.add_argument("--modes", default=",".join(MODES), help="comma-separated, of %(default)s")
    parser.add_argument("--checkpoints", type=pathlib.Path, help="folder of ARCH-SIZE.safetensors made earlier")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    only = arguments.only.split(",") if arguments.only else [f"{a}/{s}" for a, s in CASES]
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    record = {"machine": f"{platform.machine()}, {cpu}", "rustc": run(["rustc", "--version"])[0].strip(), "rows": []}
    work = pathlib.Path(tempfile.mkdtemp(prefix="side-by-side-"))
    try:
        arrays = tiny_as_png(arguments.data, work / "tiny", 2) if any(o.endswith("/64") for o in only) else None
        for arch, size in CASES:
            if f"{arch}/{size}" in only:
                row = case(arch, size, arguments.data, work, arrays, arguments.checkpoints, arguments.modes.split(","))
                record["rows"].append(row)
                print(json.dumps(row), flush=True)
                if arguments.out:
                    arguments.out.write_text(json.dumps(record, indent=1) + "\n")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
