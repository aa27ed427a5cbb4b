#!/usr/bin/env python3
"""What the machine code of the kernels must be like, and a table of what it is like.

    .cuda/bin/pip install 'nvidia-cuda-cuobjdump>=13.2' 'nvidia-cuda-nvdisasm>=13.2'
    .cuda/bin/python kernels/gates.py

Compiles every kernel for sm_80 and sm_90. No kernel may spill registers or have a stack frame. Matrix kernels must multiply
on matrix units (HMMA), read fragments with ldmatrix (LDSM) and copy asynchronously (LDGSTS); in the main loop of those
with tiles of 128 outputs, at least 40 % of the instructions must be HMMA. Fails with a list of what is otherwise.
"""

import glob
import os
import re
import subprocess
import sys
import sysconfig
import tempfile

ARCHITECTURES = ["sm_80", "sm_90"]
MATRIX = ["HMMA", "LDSM", "LDGSTS"]
LEAST_SHARE = 0.40


def tools():
    """The folder of nvcc, ptxas, cuobjdump and nvdisasm of this Python's packages."""
    return os.path.join(sysconfig.get_path("purelib"), "nvidia", "cu13", "bin")


def run(*command):
    path = {**os.environ, "PATH": tools() + os.pathsep + os.environ["PATH"]}
    done = subprocess.run(command, capture_output=True, text=True, env=path)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def resources(words):
    """Registers, bytes of stack and of spills per kernel, from `ptxas -v`."""
    kernels = {}
    for part in words.split("Compiling entry function ")[1:]:
        number = lambda pattern: int(re.search(pattern, part).group(1))
        kernels[re.match(r"'(\w+)'", part).group(1)] = (
            number(r"Used (\d+) registers"),
            number(r"(\d+) bytes stack frame"),
            number(r"(\d+) bytes spill stores"),
        )
    return kernels


def instructions(sass):
    """Address and text of every instruction per kernel."""
    kernels, name = {}, None
    for line in sass.splitlines():
        if found := re.search(r"Function : (\w+)", line):
            name = found.group(1)
            kernels[name] = []
        elif name and (found := re.match(r"\s+/\*([0-9a-f]{4,6})\*/\s+(.*?)\s*;", line)):
            kernels[name].append((int(found.group(1), 16), found.group(2)))
    return kernels


def main_loop(code):
    """Matrix instructions and all instructions of the loop with the most of the former."""
    best = (0, 0)  # of several loops, one within the other, the inner one
    for at, text in code:
        target = re.search(r"\bBRA\b.*?0x([0-9a-f]+)", text)
        if target and int(target.group(1), 16) < at:
            body = [text for address, text in code if int(target.group(1), 16) <= address <= at]
            loop = (sum("HMMA" in text for text in body), len(body))
            best = max(best, loop, key=lambda loop: (loop[0], -loop[1]))
    return best


def check(source, arch, folder):
    """Rows of the table, and what is wrong."""
    stem = os.path.splitext(os.path.basename(source))[0]
    ptx, cubin = (os.path.join(folder, f"{stem}.{end}") for end in ("ptx", f"{arch}.cubin"))
    if not os.path.exists(ptx):
        run("nvcc", "-ptx", "-arch=compute_80", "-O3", "-std=c++17", source, "-o", ptx)
    used = resources(run("ptxas", "-v", f"-arch={arch}", ptx, "-o", cubin))
    code = instructions(run("cuobjdump", "-sass", cubin))
    rows, wrong = [], []
    for name, (registers, stack, spills) in sorted(used.items()):
        if stack or spills:
            wrong.append(f"{name} for {arch}: {stack} bytes of stack, {spills} of spills")
        texts = [text for _, text in code[name]]
        share = ""
        if stem in ("conv_mma", "conv_strip"):
            wrong += [f"{name} for {arch}: no {i}" for i in MATRIX if not any(re.search(rf"\b{i}\b", t) for t in texts)]
            matrix, all_of_loop = main_loop(code[name])
            share = f"{matrix}/{all_of_loop} = {100 * matrix / max(all_of_loop, 1):.1f} %"
            wide = re.match(r"conv_mma_128x\d+_dense|conv_strip_128", name)
            if wide and matrix < LEAST_SHARE * all_of_loop:
                wrong.append(f"{name} for {arch}: {share} of the main loop multiply, less than {LEAST_SHARE:.0%}")
        rows.append(f"| {name} | {arch} | {registers} | {stack} | {spills} | {len(texts)} | {share} |")
    return rows, wrong


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    print("| kernel | architecture | registers | stack | spills | instructions | matrix instructions in the main loop |")
    print("|---|---|---|---|---|---|---|")
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted(glob.glob(os.path.join(here, "*.cu"))):
            for arch in ARCHITECTURES:
                rows, wrong = check(source, arch, folder)
                print("\n".join(rows))
                faults += wrong
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
