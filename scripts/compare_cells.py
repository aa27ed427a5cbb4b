#!/usr/bin/env python3
"""Compares the cells of pairs of runs: compare_cells.py RUN RUN [RUN RUN …].

Thresholds and kept counts must be equal; prints by how many images the counts of correct ones differ. Fails where a kept
count differs, or where accuracy differs by more than half a percent over all cells together (root of the mean square).
"""

import json
import sys


def cells(run):
    with open(f"{run}/cells.jsonl") as lines:
        rows = [json.loads(line) for line in lines]
    return {(row["layer"], row["filter"], row["k"]): row for row in rows}


def compare(first, second):
    a, b = cells(first), cells(second)
    common = a.keys() & b.keys()
    if not common:
        sys.exit(f"{first} and {second}: no cell in common")
    kept = [key for key in common if (a[key]["alpha"], a[key]["kept"]) != (b[key]["alpha"], b[key]["kept"])]
    print(f"{first} and {second}: {len(common)} cells, {len(kept)} with another threshold or kept count")
    worst = 0.0
    for what in ("correct_clean", "correct_adv"):
        shares = [abs(a[key][what] / a[key]["images"] - b[key][what] / b[key]["images"]) for key in common]
        spread = (sum(share**2 for share in shares) / len(shares)) ** 0.5
        worst = max(worst, spread)
        print(f"  {what}: equal in {shares.count(0)} cells, {spread:.3%} apart (rms), {max(shares):.3%} at most")
    return not kept and worst <= 0.005


def main():
    runs = sys.argv[1:]
    if len(runs) < 2 or len(runs) % 2:
        sys.exit(__doc__)
    if not all([compare(runs[i], runs[i + 1]) for i in range(0, len(runs), 2)]):
        sys.exit(1)


main()
