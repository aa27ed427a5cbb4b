#!/bin/sh
# Runs numba-cuda's kernels on the emulator: emulator/tests/numba/run.sh [check …]
# NUMBA_VENV: where the virtual environment is or goes. CUDA_EMULATOR: the launcher.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
venv=${NUMBA_VENV:-$root/target/numba-venv}
launcher=${CUDA_EMULATOR:-$root/target/debug/cuda-emulator}

if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet 'numba-cuda[cu13]==0.30.4' numpy pytest
    # With nvJitLink, numba links to machine code; without it, it links through the driver, which keeps PTX.
    "$venv/bin/pip" uninstall --quiet --yes nvidia-nvjitlink
fi
if [ ! -x "$launcher" ]; then
    cargo build --package cuda-emulator --manifest-path "$root/Cargo.toml"
fi
exec "$launcher" run -- "$venv/bin/python" "$here/run.py" "$@"
