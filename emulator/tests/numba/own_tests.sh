#!/bin/sh
# Runs numba-cuda's own tests of its kernels (numba.cuda.tests.cudapy) on the emulator, module by module, and prints what
# passed, failed, was skipped: emulator/tests/numba/own_tests.sh [MODULE …]
# NUMBA_VENV, CUDA_EMULATOR: as for run.sh, which makes the virtual environment. LIMIT: seconds per module, 120 by default.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
venv=${NUMBA_VENV:-$root/target/numba-venv}
launcher=${CUDA_EMULATOR:-$root/target/debug/cuda-emulator}
limit=${LIMIT:-120}
# Some of the tests read memory that nothing has written, which no GPU minds; two go beyond the end of their arrays, which
# must not fail those that come after them.
export CUDA_EMULATOR_CHECKS="${CUDA_EMULATOR_CHECKS:-races,async_copies}"
export CUDA_EMULATOR_REPORT="${CUDA_EMULATOR_REPORT:-collect}"

if [ ! -x "$venv/bin/python" ] || [ ! -x "$launcher" ]; then
    "$here/run.sh" >/dev/null || exit 1
fi
tests=$("$venv/bin/python" -c 'import importlib.util as u; print(list(u.find_spec("numba.cuda.tests.cudapy").submodule_search_locations)[0])') || exit 1
[ $# -gt 0 ] || set -- $(cd "$tests" && ls test_*.py | sed 's/\.py$//')

out=$(mktemp)
trap 'rm -f "$out"' EXIT
ran=0 failed=0 skipped=0
for module in "$@"; do
    timeout -k 5 "$limit" "$launcher" run -- "$venv/bin/python" -m unittest "numba.cuda.tests.cudapy.$module" >"$out" 2>&1
    code=$?
    # Ran 24 tests in 1.9s … FAILED (failures=1, errors=11, skipped=1)
    last=$(grep -aE '^(OK|FAILED)' "$out" | tail -n 1)
    count() {
        number=$(echo "$last" | tr '(,)' '\n' | sed -n "s/^ *$1=\([0-9]*\)$/\1/p")
        echo "${number:-0}"
    }
    r=$(sed -n 's/^Ran \([0-9]*\) tests* in .*/\1/p' "$out")
    r=${r:-0}
    f=$(($(count failures) + $(count errors))) s=$(count skipped)
    words="$((r - f - s)) passed, $f failed, $s skipped"
    if [ $code -eq 124 ] || [ $code -eq 137 ]; then words="not finished in $limit s"; fi
    if [ $code -gt 128 ] && [ $code -ne 137 ]; then words="ended by signal $((code - 128))"; fi
    printf '%-44s %s\n' "$module" "$words"
    # Why: the last line of each trace, told once.
    grep -aE '^[A-Za-z_.]*(Error|Exception)\b' "$out" | cut -c 1-140 | sort | uniq -c | sort -rn | sed 's/^ */        /' | head -n 4
    ran=$((ran + r)) failed=$((failed + f)) skipped=$((skipped + s))
done
echo "all: $((ran - failed - skipped)) passed, $failed failed, $skipped skipped"
