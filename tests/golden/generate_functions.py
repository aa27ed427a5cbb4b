#!/usr/bin/python3
"""Writes the golden file of activations, means over windows and products with a factor per channel.

    python3 tests/golden/generate_functions.py          (needs torch and torchvision; seconds)

Inputs are numbers that float32 holds exactly, from generate.py's formula; everything is computed in float64.

Files, both in this folder
  functions.json         version, cases: operation, name and settings
  functions.safetensors  per case x, dy (what flows back), y and dx; of products factor and dfactor too. All activations
                         have one x and dy: `x` and `dy`
"""

import json

import numpy as np
import torch
from torch.nn import functional as F

from generate import HERE, lines, save_safetensors, uniform

ACTIVATIONS = [
    ("relu", F.relu, None), ("relu6", F.relu6, None), ("leaky_relu", lambda x: F.leaky_relu(x, 0.25), 0.25),
    ("hardswish", F.hardswish, None), ("hardsigmoid", F.hardsigmoid, None), ("sigmoid", torch.sigmoid, None),
    ("silu", F.silu, None), ("tanh", torch.tanh, None), ("elu", lambda x: F.elu(x, 1.5), 1.5), ("gelu", F.gelu, None),
]
# Height, width, kernel, stride, padding, ceil, whether padding counts.
WINDOWS = [(6, 5, 2, 2, 0, False, True), (5, 7, 3, 1, 1, False, True), (5, 7, 3, 2, 1, True, False),
           (7, 4, 3, 2, 1, True, True), (4, 6, 3, 3, 0, True, True), (1, 1, 3, 2, 1, False, False)]
# Height, width, results along both.
ADAPTIVE = [(7, 5, 3, 2), (4, 4, 2, 2), (2, 3, 5, 4), (6, 5, 1, 1)]


def numbers(name, shape, scale=1.0):
    return torch.from_numpy(np.asarray(uniform(name, *shape), dtype=np.float32)).double() * scale


def main():
    cases, tensors = [], {}

    def record(case, inputs, result):
        """Runs back from `result`, and keeps everything."""
        name = case["name"]
        dy = numbers(f"{name}.dy", tuple(result.shape)) if case["op"] != "activation" else tensors["dy"]
        result.backward(dy)
        if case["op"] != "activation":
            tensors[f"{name}.dy"] = dy
        for key, value in inputs.items():
            if case["op"] != "activation":
                tensors[f"{name}.{key}"] = value.detach()
            tensors[f"{name}.d{key}"] = value.grad
        tensors[f"{name}.y"] = result.detach()
        cases.append(case)

    # From −8 to 8, close around 0, and the corners.
    x = torch.cat([numbers("functions.x", (24,), 8.0), numbers("functions.near", (12,), 0.25),
                   torch.tensor([3.5, -3.5, 6.5, 0.0078125], dtype=torch.float64)])
    tensors["x"], tensors["dy"] = x, numbers("functions.dy", tuple(x.shape))
    for name, function, parameter in ACTIVATIONS:
        own = x.clone().requires_grad_()
        record({"op": "activation", "name": name, "parameter": parameter or 0.0}, {"x": own}, function(own))
    for number, (h, w, kernel, stride, pad, ceil, count_pad) in enumerate(WINDOWS):
        name = f"avg_pool.{number}"
        own = numbers(f"{name}.x", (1, 2, h, w)).requires_grad_()
        result = F.avg_pool2d(own, kernel, stride, pad, ceil, count_pad)
        record({"op": "avg_pool", "name": name, "kernel": kernel, "stride": stride, "pad": pad, "ceil": ceil,
                "count_pad": count_pad}, {"x": own}, result)
    for number, (h, w, down, right) in enumerate(ADAPTIVE):
        name = f"adaptive_avg_pool.{number}"
        own = numbers(f"{name}.x", (1, 2, h, w)).requires_grad_()
        record({"op": "adaptive_avg_pool", "name": name, "h": down, "w": right}, {"x": own},
               F.adaptive_avg_pool2d(own, (down, right)))
    for number, factor in enumerate([(2, 3, 1, 1), (2, 3, 3, 2)]):
        name = f"product.{number}"
        both = {"x": numbers(f"{name}.x", (2, 3, 3, 2)).requires_grad_(),
                "factor": numbers(f"{name}.factor", factor).requires_grad_()}
        record({"op": "product", "name": name}, both, both["x"] * both["factor"])
    text = json.dumps({"torch": torch.__version__}, indent=2)[:-2]
    (HERE / "functions.json").write_text(f'{text},\n  "cases": {lines(cases)}\n}}\n')
    save_safetensors(HERE / "functions.safetensors", {k: v.numpy() for k, v in tensors.items()},
                     {"torch": torch.__version__})


if __name__ == "__main__":
    main()
