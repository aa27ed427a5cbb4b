#!/usr/bin/python3
"""The same cells in PyTorch: the other side of synfilter's speed comparison, and a check of its counts.

    python3 benches/pytorch_reference.py --arch resnet18 --size 32 --dataset cifar10 --data cifar-10-batches-bin \\
        --checkpoint F.safetensors --images 1000 --layers layer2.1.conv1 --mode best --compare RUN/cells.jsonl

A cell is one variant of one filtered layer on all images: clean forward, gradient by the pixels, FGSM step,
adversarial forward, both top-1 counts. Cells per second times images is the rate (cell-images/s). Printed: one JSON
document. Filters and thresholds are those of the method: signed values, dropped weights exactly 0.

Modes
  eager  as the authors' notebooks work: one copy.deepcopy of the model per variant, every parameter requires a
         gradient (and gets one), batches of 100. Evaluation mode, so that the counts can be compared.
  best   what a PyTorch user can reach by trying hard: parameters frozen; batch norm folded into the convolutions (the
         thresholds act on the raw weight, the mask is applied to the folded one); channels_last; the one filtered
         weight overwritten in place; the activations that enter the filtered block computed once per batch and kept,
         with their graph, for the backward pass to the pixels; the adversarial forward under inference_mode; the
         fastest batch size of a few, measured first on the same cells. `--no-fold` and `--no-channels-last` show what
         each is worth; what else was tried stands in NOTES.
  train  training throughput of ResNet-18 on IDX digits, eager: Adam, lr 1e-3, batch 100.

Needs torch and torchvision (Debian: python3-torch, python3-torchvision). Debian's PyTorch takes whatever BLAS is
installed; with the reference BLAS its linear layers crawl, so install libopenblas0-pthread for a fair figure.
"""

import argparse
import copy
import gzip
import itertools
import json
import struct
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "golden"))
from generate import build, fill, hashes, uniform  # noqa: E402  (the formula of the golden files)

FILTERS = ("high-pass", "low-pass", "pulse")
DEFAULT_NORM = {28: ([0.1307], [0.3081]), 32: ([0.5] * 3, [0.5] * 3),
                64: ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])}


# Data: images as u8 [N, C, H, W] or f32 pixels in [0, 1], labels as int64.

def read_idx(path):
    raw = Path(path).read_bytes()
    raw = gzip.decompress(raw) if str(path).endswith(".gz") else raw
    dims = raw[3]
    shape = struct.unpack(f">{dims}I", raw[4:4 + 4 * dims])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)


def find_one(folder, stem):
    found = sorted(p for p in Path(folder).iterdir() if p.name.startswith(stem))
    if not found:
        sys.exit(f"{folder}: no file starts with {stem}")
    return found[0]


def read_tiny_imagenet(folder, count):
    from PIL import Image
    folder = Path(folder)
    classes = {wnid: i for i, wnid in enumerate(sorted((folder / "wnids.txt").read_text().split()))}
    rows = [line.split("\t") for line in (folder / "val" / "val_annotations.txt").read_text().splitlines()][:count]
    images = [np.asarray(Image.open(folder / "val" / "images" / row[0]).convert("RGB")) for row in rows]
    return np.stack(images).transpose(0, 3, 1, 2), np.array([classes[row[1]] for row in rows])


def load_data(args, split="test"):
    """(pixels in [0, 1] as f32 [N, C, H, W], labels)."""
    if args.dataset == "formula":
        channels = 1 if args.size == 28 else 3
        noise = uniform("images0", args.images, channels, args.size, args.size)
        labels = (hashes("labels", args.images) % np.uint64(args.classes)).astype(np.int64)
        return torch.from_numpy((noise + np.float32(1)) / np.float32(2)), torch.from_numpy(labels)
    if args.dataset in ("mnist", "digits"):
        prefixes = ("t10k", "test") if split == "test" else ("train",)
        names = [p.name for p in Path(args.data).iterdir()]
        prefix = next((p for p in prefixes if any(n.startswith(p) for n in names)), None)
        if prefix is None:
            sys.exit(f"{args.data}: no IDX files of the {split} split")
        pixels = read_idx(find_one(args.data, f"{prefix}-images"))[:, None]
        labels = read_idx(find_one(args.data, f"{prefix}-labels"))
    elif args.dataset == "cifar10":
        records = np.fromfile(Path(args.data) / "test_batch.bin", np.uint8).reshape(-1, 3073)
        pixels, labels = records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]
    elif args.dataset == "tiny-imagenet":
        pixels, labels = read_tiny_imagenet(args.data, args.images)
    else:  # npy: images.npy (u8 [N, C, H, W]) and labels.npy in one folder
        pixels, labels = (np.load(Path(args.data) / f"{stem}.npy") for stem in ("images", "labels"))
    if args.images is not None and len(labels) < args.images:
        sys.exit(f"{args.data}: expected {args.images} images, found {len(labels)}")
    pixels, labels = pixels[:args.images], labels[:args.images]
    # u8 / 255 in f32, as torchvision's ToTensor does.
    return torch.from_numpy(pixels.astype(np.float32) / np.float32(255)), torch.from_numpy(labels.astype(np.int64))


def read_safetensors(path):
    """(tensors, metadata) of a file of F32 tensors: u64 header length, JSON header, little-endian data."""
    raw = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + length])
    metadata, tensors = header.pop("__metadata__", {}), {}
    for name, entry in header.items():
        first, last = (8 + length + offset for offset in entry["data_offsets"])
        kinds = {"F32": np.float32, "I64": np.int64}
        if entry["dtype"] not in kinds:
            continue  # an optimiser's state may have other types; a missing weight is refused by load_state_dict
        tensors[name] = torch.from_numpy(np.frombuffer(raw[first:last], kinds[entry["dtype"]]).reshape(entry["shape"]).copy())
    return tensors, metadata


def load_model(args):
    """The network in evaluation mode, and mean and std of its input."""
    channels = 1 if args.size == 28 else 3
    model = build(args.arch, channels, args.classes)
    mean, std = DEFAULT_NORM[args.size]
    if args.checkpoint:
        tensors, metadata = read_safetensors(args.checkpoint)
        wanted = model.state_dict()
        for name, value in wanted.items():
            if name.endswith("num_batches_tracked"):
                tensors.setdefault(name, value)
        model.load_state_dict({name: tensors[name] for name in wanted if name in tensors})
        if "mean" in metadata:
            mean, std = ([float(v) for v in metadata[key].split(",")] for key in ("mean", "std"))
    else:
        fill(model, args.arch)
    shape = (1, channels, 1, 1)
    return model.eval(), torch.tensor(mean).view(shape), torch.tensor(std).view(shape)


# Filters.

def linspace(start, end, count):
    """f32, end points exact: the lower half counts from the start, the upper half from the end."""
    start, end = np.float32(start), np.float32(end)
    step = (end - start) / np.float32(count - 1)
    return [start + step * np.float32(k) if k < count // 2 else end - step * np.float32(count - 1 - k) for k in range(count)]


def variants(weight, filters, thresholds):
    """(filter, k, alpha, mask of kept weights) of one layer."""
    low, high = (np.float32(v) for v in (weight.min(), weight.max()))
    delta = (high - low) / np.float32(2 * thresholds)
    for name in filters:
        ends = (high, low) if name == "low-pass" else (low, high)
        for k, alpha in enumerate(linspace(*ends, thresholds)):
            if name == "high-pass":
                kept = weight > float(alpha)
            elif name == "low-pass":
                kept = weight < float(alpha)
            else:
                kept = ~((weight >= float(alpha - delta)) & (weight < float(alpha + delta)))
            yield name, k, float(alpha), kept


def filterable(model):
    return {n: m for n, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}


class Counts(dict):
    """Cells by (layer, filter, k)."""

    def add(self, layer, name, k, alpha, kept, clean, adversarial):
        cell = self.setdefault((layer, name, k), {"layer": layer, "filter": name, "k": k, "alpha": alpha, "kept": int(kept),
                                                  "correct_clean": 0, "correct_adv": 0})
        cell["correct_clean"] += clean
        cell["correct_adv"] += adversarial


def correct(logits, labels):
    return int((logits.argmax(1) == labels).sum())


def fgsm(pixels, gradient, eps):
    return (pixels + eps * gradient.sign()).clamp_(0, 1)


# Eager: as the authors did.

def sweep_eager(args, model, mean, std, pixels, labels):
    counts = Counts()
    for layer in args.layers:
        for name, k, alpha, kept in variants(filterable(model)[layer].weight.detach(), args.filters, args.thresholds):
            variant = copy.deepcopy(model)
            weight = filterable(variant)[layer].weight
            weight.data = torch.where(kept, weight.data, torch.zeros(()))
            for x, y in zip(pixels.split(100), labels.split(100)):
                x = x.clone().requires_grad_()
                logits = variant((x - mean) / std)
                variant.zero_grad()
                F.cross_entropy(logits, y, reduction="sum").backward()
                adversarial = variant((fgsm(x.detach(), x.grad, args.eps) - mean) / std)
                counts.add(layer, name, k, alpha, kept.sum(), correct(logits, y), correct(adversarial, y))
    return counts


# Best effort.

def fold_batch_norms(model):
    """Folds every batch norm into the convolution registered just before it: torchvision registers them so.
    Names stay; returns nothing. A masked raw weight, folded, is the folded weight with the same mask."""
    previous = None
    for name, module in list(model.named_modules()):
        if list(module.children()):
            continue
        if isinstance(module, nn.BatchNorm2d):
            conv_name, conv = previous
            fused = fuse_conv_bn_eval(conv, module)
            for path, new in ((conv_name, fused), (name, nn.Identity())):
                parent, _, leaf = path.rpartition(".")
                setattr(model.get_submodule(parent), leaf, new)
        if not isinstance(module, nn.ReLU):
            previous = name, module


def stages(model, arch):
    """The network as a list of (prefixes of module names, function), the finest chain of torchvision's own blocks."""
    if arch.startswith("resnet"):
        chain = [("conv1", lambda x: model.maxpool(model.relu(model.bn1(model.conv1(x)))))]
        for i in range(1, 5):
            chain += [(f"layer{i}.{j}", block) for j, block in enumerate(getattr(model, f"layer{i}"))]
        return chain + [("fc", lambda x: model.fc(torch.flatten(model.avgpool(x), 1)))]
    if arch.startswith("squeezenet"):
        chain = [(f"features.{j}", block) for j, block in enumerate(model.features)]
        return chain + [("classifier", lambda x: torch.flatten(model.classifier(x), 1))]
    chain = [("conv1", lambda x: model.maxpool(model.conv1(x)))]
    for i in range(2, 5):
        chain += [(f"stage{i}.{j}", block) for j, block in enumerate(getattr(model, f"stage{i}"))]
    return chain + [("conv5", model.conv5), ("fc", lambda x: model.fc(x.mean([2, 3])))]


def run_chain(chain, x):
    for _, stage in chain:
        x = stage(x)
    return x


class Best:
    """The best-effort engine for one model."""

    def __init__(self, args, model, mean, std):
        self.args, self.mean, self.std = args, mean, std
        self.raw = {n: m.weight.detach().clone() for n, m in filterable(model).items()}
        self.model = copy.deepcopy(model).requires_grad_(False)
        if args.fold:
            fold_batch_norms(self.model)
            self.model.requires_grad_(False)
        if args.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.chain = stages(self.model, args.arch)

    def sweep(self, pixels, labels, batch, layers, limit=None):
        """Counts of all variants (of the first `limit` of each layer)."""
        args, counts = self.args, Counts()
        plans = {layer: list(itertools.islice(variants(self.raw[layer], args.filters, args.thresholds), limit)) for layer in layers}
        modules = filterable(self.model)
        for x, y in zip(pixels.split(batch), labels.split(batch)):
            if args.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            for at, (prefix, _) in enumerate(self.chain):
                here = [layer for layer in layers if layer == prefix or layer.startswith(prefix + ".")]
                if here:
                    self.stage(x, y, at, {layer: (modules[layer].weight, plans[layer]) for layer in here}, counts)
        return counts

    def stage(self, x, y, at, work, counts):
        """All variants of the layers in stage `at` on one batch; what lies before is computed once."""
        above, below = self.chain[:at], self.chain[at:]
        source = x.detach().requires_grad_()
        entering = run_chain(above, (source - self.mean) / self.std)
        for layer, (weight, plan) in work.items():
            whole = weight.clone()
            for name, k, alpha, kept in plan:
                torch.mul(whole, kept, out=weight)
                start = entering.detach().requires_grad_()
                logits = run_chain(below, start)
                (gradient,) = torch.autograd.grad(F.cross_entropy(logits, y, reduction="sum"), start)
                (gradient,) = torch.autograd.grad(entering, source, gradient, retain_graph=True)
                with torch.inference_mode():
                    adversarial = run_chain(self.chain, (fgsm(x, gradient, self.args.eps) - self.mean) / self.std)
                    hits = correct(adversarial, y)
                counts.add(layer, name, k, alpha, kept.sum(), correct(logits, y), hits)
            weight.copy_(whole)

    def fastest_batch(self, pixels, labels):
        """Times a few variants of one layer in the middle at each batch size."""
        layer, rates = self.args.layers[len(self.args.layers) // 2], {}
        for batch in self.args.batches:
            x, y = pixels[:max(batch, 256)], labels[:max(batch, 256)]
            self.sweep(x[:batch], y[:batch], batch, [layer], 1)
            start = time.perf_counter()
            cells = self.sweep(x, y, batch, [layer], 3)
            rates[batch] = len(cells) * len(x) / (time.perf_counter() - start)
        return max(rates, key=rates.get), rates


# Training.

def train(args):
    pixels, labels = load_data(args, "train")
    torch.manual_seed(0)
    model = build(args.arch, pixels.shape[1], args.classes).train()
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in DEFAULT_NORM[args.size])
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    seen, start = 0, None
    for step, (x, y) in enumerate(zip(pixels.split(100), labels.split(100))):
        if len(y) < 100:
            break
        if step == 3:  # the first steps pay for allocation
            start = time.perf_counter()
        optimiser.zero_grad()
        loss = F.cross_entropy(model((x - mean) / std), y)
        loss.backward()
        optimiser.step()
        seen += len(y) if start else 0
    if not seen:
        sys.exit("training needs at least 400 images")
    return {"images_per_s": seen / (time.perf_counter() - start), "images": seen, "last_loss": loss.item()}


# Comparison with synfilter.

def compare(path, counts, args):
    """Matches cells by (layer, filter, k) and lists the differences in kept weights and counts."""
    strip = lambda name: name[:-len(".weight")] if name.endswith(".weight") else name
    theirs = {}
    for line in Path(path).read_text().splitlines():
        cell = json.loads(line)
        if cell.get("scope", "layer") == "layer" and cell.get("layer"):
            theirs[strip(cell["layer"]), cell["filter"], cell["k"]] = cell
    shared = [key for key in counts if key in theirs]
    if not shared:
        sys.exit(f"{path}: no cell in common")
    wrong = {key: theirs[key]["images"] for key in shared if theirs[key]["images"] != args.images}
    if wrong:
        sys.exit(f"{path}: counts of {next(iter(wrong.values()))} images, here {args.images}")
    differences, total = [], {"kept": 0, "correct_clean": 0, "correct_adv": 0}
    for key in shared:
        off = {field: theirs[key][field] - counts[key][field] for field in total}
        for field, value in off.items():
            total[field] += abs(value)
        if any(off.values()):
            differences.append({"layer": key[0], "filter": key[1], "k": key[2], **off})
    largest = max((abs(d[f]) for d in differences for f in ("correct_clean", "correct_adv")), default=0)
    return {"matched": len(shared), "only_here": len(counts) - len(shared), "only_there": len(theirs) - len(shared),
            "cells_that_differ": len(differences), "largest_count_difference": largest, "sum_of_differences": total,
            "differences": differences}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=("eager", "best", "train"), default="best")
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--size", type=int, choices=(28, 32, 64), default=32)
    parser.add_argument("--classes", type=int, help="default: 10, at 64 pixels 200")
    parser.add_argument("--images", type=int, help="default: all; formula images: 512")
    parser.add_argument("--dataset", choices=("formula", "mnist", "digits", "cifar10", "tiny-imagenet", "npy"), default="formula")
    parser.add_argument("--data", help="folder of the data set's files")
    parser.add_argument("--checkpoint", help="safetensors; default: the weights of the golden files' formula")
    parser.add_argument("--layers", help="comma-separated module names, with or without .weight; default: all")
    parser.add_argument("--filters", default=",".join(FILTERS))
    parser.add_argument("--thresholds", type=int, default=25)
    parser.add_argument("--eps", default="8/255")
    parser.add_argument("--batch", type=int, help="best: this batch size; default: the fastest of --batches")
    parser.add_argument("--batches", default="64,128,256,512")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-fold", dest="fold", action="store_false", help="best: keep batch norm as it is")
    parser.add_argument("--no-channels-last", dest="channels_last", action="store_false", help="best: NCHW")
    parser.add_argument("--compare", help="cells.jsonl of a synfilter run")
    parser.add_argument("--no-cells", dest="cells", action="store_false", help="leave the single counts out of the output")
    args = parser.parse_args()
    args.classes = args.classes or (200 if args.size == 64 else 10)
    args.filters = args.filters.split(",")
    args.batches = [int(b) for b in args.batches.split(",")]
    numerator, _, denominator = args.eps.partition("/")
    args.eps = float(np.float32(numerator) / np.float32(denominator or 1))
    if args.dataset == "formula":
        args.images = args.images or 512
    elif not args.data:
        parser.error(f"--dataset {args.dataset} needs --data")
    if unknown := set(args.filters) - set(FILTERS):
        parser.error(f"unknown filter {unknown.pop()}; known: {', '.join(FILTERS)}")
    if args.thresholds < 2:
        parser.error("--thresholds: at least 2")
    return args, parser


def main():
    args, parser = parse()
    torch.set_num_threads(args.threads)
    record = {"mode": args.mode, "arch": args.arch, "size": args.size, "classes": args.classes, "threads": args.threads,
              "torch": torch.__version__, "torchvision": torchvision.__version__}
    if args.mode == "train":
        print(json.dumps({**record, **train(args)}))
        return
    model, mean, std = load_model(args)
    pixels, labels = load_data(args)
    args.images = len(labels)
    names = list(filterable(model))
    args.layers = [name.removesuffix(".weight") for name in args.layers.split(",")] if args.layers else names
    if unknown := set(args.layers) - set(names):
        parser.error(f"unknown layer {unknown.pop()}; the network has {', '.join(names)}")
    if args.mode == "eager":
        for x in pixels[:100].split(100):  # one pass to warm up
            model((x - mean) / std)
        start = time.perf_counter()
        counts = sweep_eager(args, model, mean, std, pixels, labels)
    else:
        engine = Best(args, model, mean, std)
        batch, rates = (args.batch, {}) if args.batch else engine.fastest_batch(pixels, labels)
        record.update(batch=batch, batch_rates={b: round(r, 1) for b, r in rates.items()}, fold=args.fold,
                      channels_last=args.channels_last)
        start = time.perf_counter()
        counts = engine.sweep(pixels, labels, batch, args.layers)
    seconds = time.perf_counter() - start
    record.update(layers=len(args.layers), cells=len(counts), images=args.images, eps=args.eps, seconds=round(seconds, 3),
                  cell_images_per_s=round(len(counts) * args.images / seconds, 1))
    if args.compare:
        record["compare"] = compare(args.compare, counts, args)
    if args.cells:
        record["counts"] = list(counts.values())
    print(json.dumps(record))


if __name__ == "__main__":
    main()
