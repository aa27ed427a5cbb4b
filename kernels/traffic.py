#!/usr/bin/env python3
"""The kernels' memory traffic as the software CUDA device counted it, and whether it is as good as it was.

    CUDA_EMULATOR_PROFILE=profile.json cargo test --features cuda --test cuda
    python3 kernels/traffic.py profile.json            compares with kernels/traffic.json
    python3 kernels/traffic.py profile.json --write    makes that record anew

Per kernel, over all launches of the tests: the share of the 32-byte sectors of global memory that is used; bank conflicts,
wavefronts of shared memory beyond the ideal per request; bytes asked for per distinct byte of a launch. Fails where a kernel
reported a fault, where a matrix kernel uses less than 95 % of its sectors or has more than 0.05 conflicts per request, and
where a figure is worse than in the record by more than a fiftieth.
"""

import json
import pathlib
import sys

RECORD = pathlib.Path(__file__).with_name("traffic.json")
FIGURES = ("sectors used", "conflicts", "bytes per distinct byte")
SLACK = 0.02


def figures(counters):
    accesses = [counters["global_loads"], counters["global_stores"]]
    total = lambda name: sum(access[name] for access in accesses)
    shared = [counters[name] for name in ("shared_loads", "shared_stores", "async_copies")]
    requests = sum(access["requests"] for access in shared)
    conflicts = sum(access["wavefronts"] - access["ideal_wavefronts"] for access in shared)
    used = total("used_bytes") / (32 * total("sectors")) if total("sectors") else 1.0
    again = total("bytes") / total("distinct_bytes") if total("distinct_bytes") else 1.0
    return [round(used, 3), round(conflicts / requests if requests else 0.0, 3), round(again, 2)]


def worse(now, before):
    """What is worse than it was."""
    limits = [
        ("sectors used", now[0] < before[0] - SLACK),
        ("conflicts", now[1] > before[1] + SLACK),
        ("bytes per distinct byte", now[2] > before[2] * (1 + SLACK)),
    ]
    return [name for name, beyond in limits if beyond]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    kernels = json.loads(pathlib.Path(sys.argv[1]).read_text())["kernels"]
    found, wrong = {}, []
    for kernel in kernels:
        name, now = kernel["name"], figures(kernel["counters"])
        found[name] = now
        if kernel["faults"]:
            wrong.append(f"{name}: {kernel['faults']} faults")
        if name.startswith(("conv_mma", "conv_strip")) and (now[0] < 0.95 or now[1] > 0.05):
            wrong.append(f"{name}: {now[0]:.1%} of sectors used, {now[1]} conflicts per request")
    if "--write" in sys.argv:
        lines = (f"  {json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found))
        RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    record = json.loads(RECORD.read_text())
    print("| kernel | " + " | ".join(FIGURES) + " |\n|---|---|---|---|")
    for name in sorted(found):
        print(f"| {name} | {found[name][0]:.1%} | {found[name][1]} | {found[name][2]} |")
        if name not in record:
            wrong.append(f"{name}: not in {RECORD.name}; --write makes it anew")
        else:
            wrong += [f"{name}: {what} was {record[name]}, is {found[name]}" for what in worse(found[name], record[name])]
    wrong += [f"{name}: in {RECORD.name}, but no test launched it" for name in sorted(record.keys() - found.keys())]
    if wrong:
        sys.exit("\n".join(wrong))


main()
