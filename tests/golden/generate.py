#!/usr/bin/python3
"""Writes the golden files that synfilter's networks and operations are held against.

    python3 tests/golden/generate.py                 (needs torch and torchvision; 2 cores, about 15 minutes)
    python3 tests/golden/generate.py resnet18-3x3    (that network alone: its file, its cases in manifest.json, and parameters.json)

Weights and images are not stored: both sides compute them from one formula (FORMULA below; the Rust side is
tests/common/formula.rs). What is stored is what PyTorch makes of them in float64, which serves as the truth, and
beside it how far PyTorch's own float32 run is from that truth, which gives every tolerance a reason.

Files, all in this folder
  manifest.json       versions, formula, networks, cases, arguments of the operation goldens
  parameters.json     torchvision's parameters, buffers and filterable tensors for 1,000 classes, in module order
  <arch>.safetensors  one network at its input shapes; keys start with the input size, e.g. `32.eval.logits`
  <arch>-<stem>.safetensors  the same of a ResNet with another stem, at one input shape
  ops.safetensors     inputs and results of single operations, keys start with the case's name

A tensor too large to be stored is represented by a row of six float64: its Euclidean norm, its dot products with
four vectors of ±1 (sign = top bit of the hash, names "check0".."check3"), and the Euclidean norm of the error of
PyTorch's float32 result. A dot product of an error vector with random signs has that norm as its standard
deviation, so `|difference| <= c * error norm` with c a small number is a test with a meaning.
"""

import json
import struct
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

HERE = Path(__file__).parent
GENERATOR_VERSION = 2
FORMULA_VERSION = 1
FORMULA = """h(name, i) = splitmix64(fnv1a64(utf8 name) + i), wrapping u64
u(name, i) = (h >> 40) as f32 / 2^24 * 2 - 1, exact in f32, in [-1, 1)
convolution and linear weight: u * sqrt(6 / fan_in); fan_in = product of all dimensions but the first; divide, root, multiply, each rounded to f32
batch-norm weight: gain + 0.1 * u, gain by architecture; running_var: 1 + 0.5 * |u|; any bias, running_mean: 0.1 * u
images: (noise + 3 * blob) / 4, where noise = (u("images<salt>", i) + 1) / 2 over [N, C, H, W] and blob the same of
  "blobs<salt>" over [N, C, 4, 4], enlarged to H x W (row h takes blob row h * 4 / H, rounded down); labels ("labels", over [N]): h mod classes
check vectors ("check0".."check3"): -1 where the top bit of h is set, else 1"""

# Channels, side, classes, mean and std of the data set (METHOD.md, section 3).
SHAPES = [
    (1, 28, 10, [0.1307], [0.3081]),
    (3, 32, 10, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
    (3, 64, 200, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
]
# Networks: a batch-norm gain, chosen so that logits neither vanish nor explode under running statistics, and the inputs it is
# tried on. A family's first are tried on all; the others differ from them in numbers alone, which one input shape shows.
NETWORKS = {
    "resnet18": (0.9, SHAPES),
    "resnet34": (0.8, SHAPES[1:2]),
    "resnet50": (0.9, SHAPES),
    "resnet101": (0.8, SHAPES[1:2]),
    "resnet152": (0.75, SHAPES[1:2]),
    "wide_resnet50_2": (0.9, SHAPES[1:2]),
    "resnext50_32x4d": (0.9, SHAPES[1:2]),
    "squeezenet1_1": (1.0, SHAPES),
    "squeezenet1_0": (1.0, SHAPES[1:2]),
    "shufflenet_v2_x1_0": (1.1, SHAPES),
    "shufflenet_v2_x0_5": (1.1, SHAPES),
    "shufflenet_v2_x1_5": (1.1, SHAPES[1:2]),
    "shufflenet_v2_x2_0": (1.1, SHAPES[1:2]),
    "mobilenet_v2": (1.1, SHAPES),
    "densenet121": (1.1, SHAPES[1:2]),
}
# Stems for small images, which torchvision does not have: an architecture, its stem, and the input it is tried on.
STEMS = {"resnet18-3x3": ("resnet18", "3x3", SHAPES[1])}
BATCH = 6
TRAIN_BATCH = 8
# A ReLU whose input is within rounding of 0 moves every gradient below it, by up to a tenth under the statistics of a
# small batch, and which way it falls is no program's merit. So the images are, of this many, those whose ReLU inputs
# keep the greatest distance from 0, measured in float32's own largest error of the same tensor ("margin"). A network with one
# input shape takes the first: what is tight is tried on its siblings.
SALTS = {28: 60, 32: 60, 64: 24}
TRIES = {"resnet101": 4, "shufflenet_v2_x2_0": 8}  # more than the first, where that moves float32's own gradients
ENOUGH = 5.0
INPUT_GRAD_STRIDE = 7  # every 7th pixel of the batch is stored: coprime to every map side and channel count
CHECKS = 4
ADAM_LR = 1e-3


# The formula.

def hashes(name, n):
    """h(name, 0..n) as u64."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(n, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(name, *shape):
    """u(name, i) as an f32 array."""
    top = (hashes(name, int(np.prod(shape))) >> np.uint64(40)).astype(np.float32)
    return (top / np.float32(1 << 24) * np.float32(2) - np.float32(1)).reshape(shape)


def signs(j, n):
    return np.where(hashes(f"check{j}", n) >> np.uint64(63), -1.0, 1.0)


def formula_images(salt, count, channels, side):
    """[count, C, H, W] in [0, 1), f32. Pure noise would make all images alike after some pooling, and batch
    normalisation would then magnify rounding errors: each image has coarse structure of its own."""
    half = lambda name, *shape: (uniform(f"{name}{salt}", *shape) + np.float32(1)) / np.float32(2)
    cell = np.arange(side) * 4 // side
    blobs = half("blobs", count, channels, 4, 4)[:, :, cell][:, :, :, cell]
    return (half("images", count, channels, side, side) + np.float32(3) * blobs) / np.float32(4)


def parameter(name, shape, is_norm, gain):
    """One tensor of a state dict, f32."""
    u = uniform(name, *shape)
    tenth = np.float32(0.1) * u
    if name.endswith("running_var"):
        return np.float32(1) + np.float32(0.5) * np.abs(u)
    if name.endswith(("running_mean", "bias")):
        return tenth
    if is_norm:
        return np.float32(gain) + tenth
    return u * np.sqrt(np.float32(6) / np.float32(np.prod(shape[1:])))


# Networks.

def build(network, channels, classes):
    """torchvision's network with its first convolution replaced where the images have one channel, or with another stem."""
    arch, stem, _ = STEMS.get(network, (network, None, None))
    model = getattr(torchvision.models, arch)(num_classes=classes)
    if stem == "3x3":
        model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        model.maxpool = nn.Identity()
    if channels == 1:
        name, old = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], nn.Conv2d(
            1, old.out_channels, old.kernel_size, old.stride, old.padding, bias=old.bias is not None))
    return model


def filterable(model):
    return [f"{n}.weight" for n, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


def gain(network):
    arch, *_ = STEMS.get(network, (network,))
    return NETWORKS[arch][0]


def fill(model, network):
    norms = {n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                value = parameter(name, tuple(tensor.shape), name.rpartition(".")[0] in norms, gain(network))
                tensor.copy_(torch.from_numpy(np.ascontiguousarray(value)))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # its mask is the one random thing in a training step
    return model


def margin(network, salt, count, channels, side, classes, mean, std, training):
    """Over all ReLU inputs: least distance from a corner, in units of the largest float32 error of the same tensor."""
    seen = {}
    for dtype in (torch.float64, torch.float32):
        model = fill(build(network, channels, classes), network).to(dtype).train(training)
        inputs = seen.setdefault(dtype, [])
        for module in model.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
                module.register_forward_pre_hook(lambda _, x, inputs=inputs: inputs.append(x[0].double()))
            if isinstance(module, nn.ReLU6):
                module.inplace = False
                module.register_forward_pre_hook(
                    lambda _, x, inputs=inputs: inputs.extend([x[0].double(), x[0].double() - 6]))
        mean_, std_ = (torch.tensor(v, dtype=torch.float64).to(dtype).view(1, -1, 1, 1) for v in (mean, std))
        with torch.no_grad():
            model((torch.from_numpy(formula_images(salt, count, channels, side)).to(dtype) - mean_) / std_)
    pairs = zip(seen[torch.float64], seen[torch.float32])
    return min(float(truth.abs().min() / (single - truth).abs().max()) for truth, single in pairs)


def best_salt(network, side, *case):
    """(salt, margin) of the images with the greatest margin, or of the first that is enough."""
    best = (0, 0.0)
    alone = network not in STEMS and len(NETWORKS[network][1]) == 1
    for salt in range(TRIES.get(network, 1) if alone else SALTS[side]):
        found = margin(network, salt, *case)
        best = max(best, (salt, found), key=lambda b: b[1])
        if found >= ENOUGH:
            break
    return best


def run(network, salts, channels, side, classes, mean, std, dtype):
    """Everything of one case in one precision: a dict of f64 arrays."""
    pixels, images = (torch.from_numpy(formula_images(salt, count, channels, side)).to(dtype)
                      for salt, count in zip(salts, (BATCH, TRAIN_BATCH)))
    labels = torch.from_numpy((hashes("labels", TRAIN_BATCH) % np.uint64(classes)).astype(np.int64))
    mean, std = (torch.tensor(v, dtype=torch.float64).to(dtype).view(1, -1, 1, 1) for v in (mean, std))
    out = {}

    model = fill(build(network, channels, classes), network).to(dtype).eval()
    pixels.requires_grad_()
    logits = model((pixels - mean) / std)
    F.cross_entropy(logits, labels[:BATCH], reduction="sum").backward()
    out["eval.logits"] = logits
    out["eval.loss"] = F.cross_entropy(logits, labels[:BATCH]).reshape(1)
    out["eval.input_grad"] = pixels.grad

    model = fill(build(network, channels, classes), network).to(dtype).train()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimiser = torch.optim.Adam(model.parameters(), lr=ADAM_LR)
    logits = model((images - mean) / std)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    out["train.logits"], out["train.loss"] = logits, loss.reshape(1)
    out["train.grads"] = [p.grad.clone() for p in model.parameters()]
    out["train.running"] = [b.clone() for n, b in model.named_buffers() if not n.endswith("num_batches_tracked")]
    optimiser.step()
    out["adam.change"] = [p.detach() - before[n] for n, p in model.named_parameters()]

    array = lambda t: t.detach().to(torch.float64).numpy().copy()
    return {k: [array(t) for t in v] if isinstance(v, list) else array(v) for k, v in out.items()}


def check_row(truth, single):
    """Norm, four signed sums, norm of float32's error."""
    flat = truth.reshape(-1)
    sums = [float(signs(j, flat.size) @ flat) for j in range(CHECKS)]
    return [np.linalg.norm(flat), *sums, np.linalg.norm(single.reshape(-1) - flat)]


def case_tensors(network, salts, shape):
    """What is stored of one case: name -> array."""
    truth, single = run(network, salts, *shape, torch.float64), run(network, salts, *shape, torch.float32)
    out = {}
    for key in ("eval.logits", "eval.loss", "train.logits", "train.loss"):
        out[key] = truth[key]
        out[f"{key}.error"] = np.array([np.abs(single[key] - truth[key]).max()])
    grad, grad32 = truth["eval.input_grad"], single["eval.input_grad"]
    out["eval.input_grad.sample"] = grad.reshape(-1)[::INPUT_GRAD_STRIDE].astype(np.float32)
    out["eval.input_grad.check"] = np.array([check_row(g, s) for g, s in zip(grad, grad32)])
    out["eval.input_grad.error"] = np.array([np.abs(grad32 - grad).max()])
    for key in ("train.grads", "train.running", "adam.change"):
        if truth[key]:
            out[key] = np.array([check_row(t, s) for t, s in zip(truth[key], single[key])])
    return out


# Single operations.

def op_goldens():
    """(arguments by case for the manifest, tensors). All in float64 on float32 inputs."""
    cases, tensors = [], {}

    def case(op, name, inputs, outputs, **arguments):
        cases.append({"op": op, "name": name, **arguments})
        for key, value in {**inputs, **outputs}.items():
            value = value.detach().numpy() if torch.is_tensor(value) else np.asarray(value)
            tensors[f"{name}.{key}"] = value.astype(np.float32) if key in inputs else value.astype(np.float64)

    def formula(name, *shape):
        return torch.from_numpy(uniform(name, *shape)).double()

    def leaf(t):
        return t.clone().requires_grad_()

    for i, (n, c, h, w, k, kh, kw, stride, pad, groups, bias) in enumerate([
        (2, 3, 9, 7, 4, 3, 3, 1, 1, 1, True),
        (2, 1, 12, 12, 3, 7, 7, 2, 3, 1, False),
        (1, 4, 1, 1, 5, 3, 3, 2, 1, 1, False),
        (2, 6, 6, 5, 6, 3, 3, 2, 1, 6, False),
        (1, 4, 5, 5, 6, 3, 1, 1, 0, 2, True),
        (2, 3, 8, 8, 4, 3, 3, 2, 0, 1, True),
        (1, 5, 4, 3, 7, 1, 1, 2, 0, 1, False),
    ]):
        name = f"conv{i}"
        x, weight = leaf(formula(f"{name}.x", n, c, h, w)), leaf(formula(f"{name}.weight", k, c // groups, kh, kw))
        b = leaf(formula(f"{name}.bias", k))
        y = F.conv2d(x, weight, b if bias else None, stride, pad, 1, groups)
        dy = formula(f"{name}.dy", *y.shape)
        y.backward(dy)
        grads = {"y": y, "dx": x.grad, "dweight": weight.grad, **({"dbias": b.grad} if bias else {})}
        case("conv", name, {"x": x, "weight": weight, "dy": dy, **({"bias": b} if bias else {})}, grads,
             stride=stride, pad=pad, groups=groups)

    # Ceil mode adds a window only if it starts inside the map or its left padding; values on a grid of three make
    # ties in nearly every window.
    for i, (h, w, k, stride, pad, ceil, grid) in enumerate([
        (13, 13, 3, 2, 0, True, 0), (6, 6, 3, 2, 0, True, 3), (7, 4, 3, 2, 0, True, 3), (8, 8, 3, 2, 1, False, 3),
        (16, 14, 3, 2, 1, False, 0), (5, 5, 2, 2, 0, True, 0), (3, 3, 3, 2, 0, True, 1), (4, 4, 3, 3, 1, True, 3),
    ]):
        name = f"max_pool{i}"
        x = formula(f"{name}.x", 2, 2, h, w)
        x = leaf(torch.round(x * grid / 2) if grid else x)
        y = F.max_pool2d(x, k, stride, pad, ceil_mode=ceil)
        dy = formula(f"{name}.dy", *y.shape)
        y.backward(dy)
        case("max_pool", name, {"x": x, "dy": dy}, {"y": y, "dx": x.grad}, kernel=k, stride=stride, pad=pad, ceil=ceil)

    for i, (h, w) in enumerate([(1, 1), (2, 3), (7, 7)]):
        name = f"global_avg_pool{i}"
        x = leaf(formula(f"{name}.x", 2, 3, h, w))
        y = F.adaptive_avg_pool2d(x, 1)
        dy = formula(f"{name}.dy", *y.shape)
        y.backward(dy)
        case("global_avg_pool", name, {"x": x, "dy": dy}, {"y": y, "dx": x.grad})

    # Training normalises with the biased variance but moves running_var by the unbiased one.
    for i, (n, h, w, train) in enumerate([(4, 3, 2, True), (3, 1, 1, True), (6, 1, 1, True), (4, 3, 2, False)]):
        name = f"batch_norm{i}"
        x = leaf(formula(f"{name}.x", n, 3, h, w) * 2 + formula(f"{name}.shift", 1, 3, 1, 1))
        x.data = x.data.float().double()
        weight, bias = leaf(formula(f"{name}.weight", 3)), leaf(formula(f"{name}.bias", 3))
        mean, var = formula(f"{name}.running_mean", 3), formula(f"{name}.running_var", 3).abs() + 0.5
        var = var.float().double()
        before = {"running_mean": mean.clone(), "running_var": var.clone()}
        y = F.batch_norm(x, mean, var, weight, bias, train, 0.1, 1e-5)
        dy = formula(f"{name}.dy", *y.shape)
        y.backward(dy)
        case("batch_norm", name, {"x": x, "weight": weight, "bias": bias, "dy": dy, **before},
             {"y": y, "dx": x.grad, "dweight": weight.grad, "dbias": bias.grad, "new_mean": mean, "new_var": var},
             train=train, momentum=0.1, eps=1e-5)

    x, weight, bias = leaf(formula("linear0.x", 3, 7)), leaf(formula("linear0.weight", 5, 7)), leaf(formula("linear0.bias", 5))
    y = F.linear(x, weight, bias)
    dy = formula("linear0.dy", 3, 5)
    y.backward(dy)
    case("linear", "linear0", {"x": x, "weight": weight, "bias": bias, "dy": dy},
         {"y": y, "dx": x.grad, "dweight": weight.grad, "dbias": bias.grad})

    # The last scale makes exp overflow unless the maximum is subtracted first.
    for i, (n, classes, scale) in enumerate([(4, 10, 1.0), (3, 200, 8.0), (4, 5, 2000.0)]):
        name = f"cross_entropy{i}"
        x = leaf((formula(f"{name}.x", n, classes) * scale).float().double())
        labels = torch.from_numpy((hashes(f"{name}.labels", n) % np.uint64(classes)).astype(np.int64))
        mean, total = F.cross_entropy(x, labels), F.cross_entropy(x, labels, reduction="sum")
        (dx_mean,) = torch.autograd.grad(mean, x)
        (dx_sum,) = torch.autograd.grad(total, x)
        case("cross_entropy", name, {"x": x, "labels": labels},
             {"mean": mean.reshape(1), "sum": total.reshape(1), "dx_mean": dx_mean, "dx_sum": dx_sum})

    x = formula("channel_shuffle0.x", 2, 8, 2, 1)
    case("channel_shuffle", "channel_shuffle0", {"x": x},
         {"y": torchvision.models.shufflenetv2.channel_shuffle(x, 2)}, groups=2)

    # Optimisers: the gradient of step t is given; every parameter after every step is stored.
    steps, size = 6, 5
    for op, name, arguments in [
        ("sgd", "sgd0", {"lr": 0.1, "momentum": 0.0, "weight_decay": 0.0}),
        ("sgd", "sgd1", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0}),
        ("sgd", "sgd2", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
        ("adam", "adam0", {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}),
        ("adam", "adam1", {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.1}),
    ]:
        start, grads = formula(f"{name}.start", size), formula(f"{name}.grads", steps, size)
        grads[:, 0] = 0.0  # a gradient of nothing moves nothing but the weight decay
        grads[:, 1] *= 2.0 ** -24  # of the order of Adam's eps
        p = leaf(start)
        if op == "sgd":
            optimiser = torch.optim.SGD([p], **arguments, dampening=0, nesterov=False)
        else:
            rest = {k: v for k, v in arguments.items() if not k.startswith("beta")}
            optimiser = torch.optim.Adam([p], betas=(arguments["beta1"], arguments["beta2"]), **rest)
        after = []
        for g in grads:
            p.grad = g.clone()
            optimiser.step()
            after.append(p.detach().clone())
        case(op, name, {"start": start, "grads": grads}, {"after": torch.stack(after)}, **arguments)
    return cases, tensors


# Files.

def save_safetensors(path, tensors, metadata):
    """The format is a u64 header length, a JSON header, the raw little-endian data."""
    kinds = {np.dtype("float32"): "F32", np.dtype("float64"): "F64"}
    header, blobs, offset = {"__metadata__": metadata}, [], 0
    # Widest elements first keep every tensor aligned to its element size.
    for name, value in sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])):
        blob = np.ascontiguousarray(value).tobytes()
        header[name] = {"dtype": kinds[value.dtype], "shape": list(value.shape), "data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def lines(items):
    """A JSON list with one item a line, so that a change shows as a line in a diff."""
    return "[\n" + ",\n".join("    " + json.dumps(item) for item in items) + "\n  ]"


def parameters_json(archs):
    """Writes those of some architectures beside those that are there."""
    path = HERE / "parameters.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    for arch in archs:
        model = build(arch, 3, 1000)
        entries = lambda pairs: [{"name": n, "shape": list(t.shape)} for n, t in pairs]
        known[arch] = {"filterable": filterable(model), "parameters": entries(model.named_parameters()),
                       "buffers": entries(model.named_buffers())}
    blocks = [f'"{arch}": {{\n  "filterable_count": {len(known[arch]["filterable"])},\n'
              f'  "filterable": {lines(known[arch]["filterable"])},\n'
              f'  "parameters": {lines(known[arch]["parameters"])},\n'
              f'  "buffers": {lines(known[arch]["buffers"])}\n}}' for arch in NETWORKS if arch in known]
    path.write_text("{\n" + ",\n".join(blocks) + "\n}\n")


def tensor_samples():
    """Sums over whole tensors of the formula, one of each kind, for the Rust side to agree with."""
    samples = []
    for kind, name, salt, shape in [
        ("images", "", 0, (2, 3, 28, 28)), ("images", "", 3, (1, 1, 30, 30)), ("parameter", "conv1.weight", 0, (64, 3, 7, 7)),
        ("parameter", "fc.weight", 0, (10, 512)), ("parameter", "bn1.weight", 0, (64,)), ("parameter", "bn1.bias", 0, (64,)),
        ("parameter", "bn1.running_mean", 0, (64,)), ("parameter", "bn1.running_var", 0, (64,)),
    ]:
        if kind == "images":
            value = formula_images(salt, *shape[:3])
        else:
            value = parameter(name, shape, name == "bn1.weight", 0.9)
        flat = value.astype(np.float64).reshape(-1)
        samples.append({"kind": kind, "name": name, "salt": salt, "shape": shape, "bn_gain": 0.9,
                        "sums": [float(signs(j, flat.size) @ flat) for j in range(CHECKS)]})
    return samples


def network_cases(network, metadata):
    """Writes the file of a network; its cases for the manifest."""
    arch, stem, shape = STEMS.get(network, (network, None, None))
    cases, tensors = [], {}
    for shape in [shape] if stem else NETWORKS[arch][1]:
        channels, side, classes, mean, std = shape
        margins = [best_salt(network, side, count, *shape, training)
                   for count, training in ((BATCH, False), (TRAIN_BATCH, True))]
        salts = [salt for salt, _ in margins]
        case = {"arch": arch, **({"stem": stem} if stem else {}), "channels": channels, "side": side, "classes": classes,
                "mean": mean, "std": std, "batch": BATCH, "train_batch": TRAIN_BATCH,
                "bn_gain": gain(network), "salt": salts[0], "train_salt": salts[1],
                "margin": margins[0][1], "train_margin": margins[1][1]}
        try:
            results = case_tensors(network, salts, shape)
        except (RuntimeError, ValueError) as why:  # torchvision refuses this input size
            cases.append({**case, "refused": str(why).splitlines()[0]})
            print(f"{network} {side}: refused: {why}")
            continue
        cases.append(case)
        tensors.update({f"{side}.{k}": v for k, v in results.items()})
        grads = results["train.grads"]
        # Where another batch norm follows with no ReLU between, a bias has a gradient of exactly 0.
        ratio = [g[5] / g[0] for g in grads if g[0] > 1e-12]
        print(f"{network} {side}: margins {margins}, logits' spread {results['eval.logits'].std():.3g}, float32 error "
              f"{results['eval.logits.error'][0]:.2g}, relative float32 error of training gradients, median "
              f"{np.median(ratio):.1e}, largest {max(ratio):.1e}")
    save_safetensors(HERE / f"{network}.safetensors", tensors, metadata)
    return cases


def write_manifest(head, samples, cases, ops):
    text = json.dumps(head, indent=2)[:-2]
    (HERE / "manifest.json").write_text(
        f'{text},\n  "tensor_samples": {lines(samples)},\n  "cases": {lines(cases)},\n  "ops": {lines(ops)}\n}}\n')


def some(networks, metadata):
    """These networks alone; a file's own metadata name the PyTorch that it is of."""
    parameters_json([network for network in networks if network in NETWORKS])
    head = json.loads((HERE / "manifest.json").read_text())
    samples, cases, ops = (head.pop(key) for key in ("tensor_samples", "cases", "ops"))
    for network in networks:
        found = network_cases(network, metadata)
        key = lambda case: (case["arch"], case.get("stem"))
        cases = [case for case in cases if key(case) != key(found[0])] + found
    write_manifest(head, samples, cases, ops)


def main():
    warnings.filterwarnings("ignore")
    torch.set_num_threads(2)
    metadata = {"generator": str(GENERATOR_VERSION), "formula": str(FORMULA_VERSION), "torch": torch.__version__}
    if sys.argv[1:]:
        return some(sys.argv[1:], metadata)
    parameters_json(NETWORKS)
    cases = [case for network in [*NETWORKS, *STEMS] for case in network_cases(network, metadata)]
    ops, tensors = op_goldens()
    save_safetensors(HERE / "ops.safetensors", tensors, metadata)
    head = {
        "generator_version": GENERATOR_VERSION, "formula_version": FORMULA_VERSION, "formula": FORMULA.splitlines(),
        "torch": torch.__version__, "torchvision": torchvision.__version__, "input_grad_stride": INPUT_GRAD_STRIDE,
        "checks": CHECKS, "adam_lr": ADAM_LR,
        "formula_samples": [{"name": n, "index": i, "hash": f"{int(hashes(n, i + 1)[i]):016x}", "u": float(uniform(n, i + 1)[i])}
                            for n, i in [("images", 0), ("images", 100), ("conv1.weight", 7), ("labels", 3), ("", 0)]],
    }
    write_manifest(head, tensor_samples(), cases, ops)
    print("bytes:", sum(f.stat().st_size for f in HERE.iterdir() if f.suffix in (".json", ".safetensors")))


if __name__ == "__main__":
    main()
