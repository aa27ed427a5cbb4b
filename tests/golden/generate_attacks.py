#!/usr/bin/python3
"""Writes the golden file that synfilter's attacks are held against: adversarial images by torchattacks' FGSM and PGD.

    pip install --no-deps --target DIR torchattacks==3.5.1
    PYTHONPATH=DIR python3 tests/golden/generate_attacks.py          (needs torch and torchvision; a minute)

Networks and images are those of generate.py's formula; images are rounded down to 256 levels, as data sets hold them, and
labels are what the network says of the clean image, so that an attack has something to take.

Files, both in this folder
  attacks.json         versions, cases: network, images, labels, settings of the attack; how many images are still classified
                       as before; in which share of all pixels torchattacks in float32 differs from itself in float64
  attacks.safetensors  per case every STRIDE-th pixel of the adversarial images of the float64 run, and its logits

Where a gradient is within rounding of 0, float32 may step the other way. That share is measured, so that the test's
tolerance has a reason. Only two modules of torchattacks are loaded: the package as a whole wants SciPy and others.
"""

import importlib.metadata
import importlib.util
import json
import sys
import types
import warnings

import numpy as np
import torch
import torchvision
from torch import nn

from generate import FORMULA_VERSION, HERE, SHAPES, build, fill, formula_images, gain, lines, save_safetensors

VERSION = "3.5.1"
STRIDE = 7
# Architecture, position in SHAPES, images, attacks as (name, arguments), all without a random start.
CASES = [
    ("resnet18", 0, 24, [("FGSM", {"eps": 2 / 255}), ("PGD", {"eps": 2 / 255, "alpha": 0.5 / 255, "steps": 7}),
                         ("PGD", {"eps": 16 / 255, "alpha": 4 / 255, "steps": 3})]),
    ("squeezenet1_1", 1, 12, [("FGSM", {"eps": 32 / 255}), ("PGD", {"eps": 8 / 255, "alpha": 2 / 255, "steps": 10})]),
]


def torchattacks():
    """FGSM and PGD of torchattacks, without the other attacks."""
    assert importlib.metadata.version("torchattacks") == VERSION
    folder = importlib.util.find_spec("torchattacks").submodule_search_locations
    for name, path in [("torchattacks", folder), ("torchattacks.attacks", [f"{p}/attacks" for p in folder])]:
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = list(path)
    from torchattacks.attacks.fgsm import FGSM
    from torchattacks.attacks.pgd import PGD
    return {"FGSM": FGSM, "PGD": lambda model, **arguments: PGD(model, random_start=False, **arguments)}


class Normalised(nn.Module):
    def __init__(self, network, mean, std):
        super().__init__()
        self.network = network
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1))

    def forward(self, x):
        return self.network((x - self.mean) / self.std)


def main():
    warnings.filterwarnings("ignore")
    attacks = torchattacks()
    cases, tensors = [], {}
    for arch, shape, count, settings in CASES:
        channels, side, classes, mean, std = SHAPES[shape]
        images = np.floor(formula_images(0, count, channels, side) * np.float32(256)).astype(np.uint8)
        images = torch.from_numpy(images).float() / 255
        models = {d: Normalised(fill(build(arch, channels, classes), arch), mean, std).to(d).eval()
                  for d in (torch.float64, torch.float32)}
        labels = models[torch.float64](images.double()).argmax(1)
        for number, (method, arguments) in enumerate(settings):
            made = {d: attacks[method](model, **arguments)(images.to(d), labels) for d, model in models.items()}
            truth, single = made[torch.float64].detach(), made[torch.float32].detach().double()
            logits = models[torch.float64](truth).detach()
            key = f"{arch}.{number}"
            flips = float(((truth - single).abs() > 1e-5).double().mean())
            cases.append({"key": key, "arch": arch, "channels": channels, "side": side, "classes": classes,
                          "mean": mean, "std": std, "bn_gain": gain(arch), "images": count, "labels": labels.tolist(),
                          "method": method, **arguments, "correct": int((logits.argmax(1) == labels).sum()),
                          "float32_flips": flips})
            tensors[f"{key}.pixels"] = truth.reshape(-1)[::STRIDE].float().numpy()
            tensors[f"{key}.logits"] = logits.numpy()
            top = logits.sort(1, descending=True).values
            print(f"{key} {method} {arguments}: {cases[-1]['correct']} of {count} as before, flips {flips:.2e}, "
                  f"least lead of a class {float((top[:, 0] - top[:, 1]).min()):.2e}")
    head = {"torchattacks": VERSION, "torch": torch.__version__, "torchvision": torchvision.__version__,
            "formula_version": FORMULA_VERSION, "stride": STRIDE}
    text = json.dumps(head, indent=2)[:-2]
    (HERE / "attacks.json").write_text(f'{text},\n  "cases": {lines(cases)}\n}}\n')
    save_safetensors(HERE / "attacks.safetensors", tensors, {"torchattacks": VERSION, "torch": torch.__version__})


if __name__ == "__main__":
    main()
