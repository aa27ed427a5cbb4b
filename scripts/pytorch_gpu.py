#!/usr/bin/env python3
"""Cell-images per second of PyTorch on a GPU: forward, backward to the images, forward; f16, channels_last.

pytorch_gpu.py [ARCH [SIDE [IMAGES]]]: by default resnet18 on 2,000 images of 28×28 with one channel. What a sweep would do
per variant once its weights are filtered; synfilter's own figure is the product of cells and images over its time.
"""

import sys
import time

import torch
import torchvision


def main():
    arch = sys.argv[1] if len(sys.argv) > 1 else "resnet18"
    side = int(sys.argv[2]) if len(sys.argv) > 2 else 28
    images = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
    device = "cuda" if torch.cuda.is_available() else "cpu"
    half = torch.float16 if device == "cuda" else torch.bfloat16
    channels = 1 if side == 28 else 3
    model = getattr(torchvision.models, arch)(num_classes=200 if side == 64 else 10)
    if channels == 1:
        model.conv1 = torch.nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    model = model.eval().to(device, half, memory_format=torch.channels_last).requires_grad_(False)
    x = torch.rand(images, channels, side, side, device=device, dtype=half)
    x = x.to(memory_format=torch.channels_last)
    labels = torch.randint(10, (images,), device=device)
    loss = torch.nn.CrossEntropyLoss(reduction="sum")

    def cell():
        clean = x.detach().requires_grad_(True)
        loss(model(clean).float(), labels).backward()
        with torch.inference_mode():
            adversarial = (x + 0.1 * clean.grad.sign()).clamp(0, 1)
            return model(adversarial).argmax(1).eq(labels).sum()

    def timed(repeats):
        started = time.perf_counter()
        for _ in range(repeats):
            correct = cell()
        int(correct)  # waits for the device
        return (time.perf_counter() - started) / repeats

    timed(2)
    seconds = min(timed(5) for _ in range(3))
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    print(f"{arch} {side}×{side}, {images} images on {name}, PyTorch {torch.__version__}: "
          f"{images / seconds:,.0f} cell-images/s")


main()
