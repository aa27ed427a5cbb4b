#!/usr/bin/env bash
# Compiles ../../kernels/*.cu to the PTX beside this script. With --check nothing is written: fails where that PTX is not
# what nvcc makes of the sources. With --find it only says where nvcc is: NVCC, CUDA_HOME, CUDA_PATH, PATH and .cuda/ at the
# repository's root are tried. The committed PTX is of nvcc 13.0.88.
set -euo pipefail
cd "$(dirname "$0")"

find_nvcc() {
    local root candidate
    root=$(cd ../../.. && pwd)
    for candidate in "${NVCC:-}" "${CUDA_HOME:+$CUDA_HOME/bin/nvcc}" "${CUDA_PATH:+$CUDA_PATH/bin/nvcc}" \
        "$(command -v nvcc || true)" "$root"/.cuda/lib/python3*/site-packages/nvidia/cu13/bin/nvcc; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then
            echo "$candidate"
            return
        fi
    done
    echo "regenerate.sh: no nvcc (set NVCC, or install it into .cuda)" >&2
    return 1
}

nvcc=$(find_nvcc)
check=${1:-}
if [ "$check" = --find ]; then
    echo "$nvcc"
    exit
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
stale=0
for source in ../../kernels/*.cu; do
    name=$(basename "$source" .cu)
    # From the folder of the sources, so that no path of this machine is in the output.
    (cd ../../kernels && "$nvcc" -ptx -arch=compute_80 -O3 -std=c++17 "$name.cu" -o "$out/$name.ptx")
    if [ "$check" = --check ]; then
        cmp "$out/$name.ptx" "$name.ptx" || stale=1
    else
        cp "$out/$name.ptx" "$name.ptx"
    fi
done
for ptx in *.ptx; do
    if [ ! -e "../../kernels/${ptx%.ptx}.cu" ]; then
        echo "regenerate.sh: $ptx has no source" >&2
        stale=1
    fi
done
if [ "$stale" = 1 ]; then
    echo "regenerate.sh: PTX is not current; run emulator/tests/ptx/regenerate.sh" >&2
    exit 1
fi
