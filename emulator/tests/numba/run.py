"""Kernels of numba-cuda on the emulator, each against numpy. Start it with run.sh."""

import math
import sys
import traceback

import numpy as np
from numba import config, cuda, float32, float64, int32

config.CUDA_LOW_OCCUPANCY_WARNINGS = 0
config.CUDA_WARN_ON_IMPLICIT_COPY = 0

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


@check
def vector_add():
    @cuda.jit
    def add(a, b, c):
        i = cuda.grid(1)
        if i < c.size:
            c[i] = a[i] + b[i]

    a = np.arange(10_001, dtype=np.float32)
    b = 2 * a
    c = np.zeros_like(a)
    add[(c.size + 255) // 256, 256](a, b, c)
    np.testing.assert_array_equal(c, a + b)


TILE = 16


@check
def matmul_in_shared_memory():
    @cuda.jit
    def matmul(a, b, c):
        left = cuda.shared.array((TILE, TILE), float32)
        right = cuda.shared.array((TILE, TILE), float32)
        x, y = cuda.grid(2)
        tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
        total = float32(0)
        for start in range(0, a.shape[1], TILE):
            left[tx, ty] = a[x, start + ty] if x < a.shape[0] and start + ty < a.shape[1] else 0
            right[tx, ty] = b[start + tx, y] if start + tx < b.shape[0] and y < b.shape[1] else 0
            cuda.syncthreads()
            for k in range(TILE):
                total += left[tx, k] * right[k, ty]
            cuda.syncthreads()
        if x < c.shape[0] and y < c.shape[1]:
            c[x, y] = total

    random = np.random.default_rng(1)
    a = random.integers(-8, 8, (50, 37)).astype(np.float32)
    b = random.integers(-8, 8, (37, 41)).astype(np.float32)
    c = np.zeros((50, 41), np.float32)
    matmul[(4, 3), (TILE, TILE)](a, b, c)
    np.testing.assert_array_equal(c, a @ b)


@check
def dynamic_shared_memory():
    @cuda.jit
    def reverse(a):
        shared = cuda.shared.array(0, int32)
        i = cuda.threadIdx.x
        shared[i] = a[i]
        cuda.syncthreads()
        a[i] = shared[a.size - 1 - i]

    a = np.arange(200, dtype=np.int32)
    reverse[1, 200, 0, 4 * 200](a)
    np.testing.assert_array_equal(a, np.arange(200)[::-1])


@check
def atomics():
    @cuda.jit
    def count(values, bins, largest, total, swapped):
        i = cuda.grid(1)
        if i < values.size:
            cuda.atomic.add(bins, values[i], 1)
            cuda.atomic.max(largest, 0, values[i])
            cuda.atomic.add(total, 0, float64(values[i]))
            cuda.atomic.compare_and_swap(swapped, -1, i)

    values = np.random.default_rng(2).integers(0, 64, 5000).astype(np.int32)
    bins = np.zeros(64, np.int32)
    largest = np.zeros(1, np.int32)
    total = np.zeros(1, np.float64)
    swapped = np.full(1, -1, np.int32)
    count[20, 256](values, bins, largest, total, swapped)
    np.testing.assert_array_equal(bins, np.bincount(values, minlength=64))
    assert largest[0] == values.max()
    assert total[0] == values.sum()
    assert 0 <= swapped[0] < 5120


@check
def reduction():
    @cuda.reduce
    def add(a, b):
        return a + b

    values = np.arange(1, 4097, dtype=np.float64)
    assert add(values) == values.sum()


@check
def warp_shuffles():
    @cuda.jit
    def sums(values, out):
        value = values[cuda.grid(1)]
        for offset in (16, 8, 4, 2, 1):
            value += cuda.shfl_down_sync(0xFFFFFFFF, value, offset)
        if cuda.laneid == 0:
            out[cuda.grid(1) // 32] = value

    values = np.arange(256, dtype=np.int32)
    out = np.zeros(8, np.int32)
    sums[2, 128](values, out)
    np.testing.assert_array_equal(out, values.reshape(8, 32).sum(axis=1))


@check
def votes():
    @cuda.jit
    def vote(values, ballots, everybody):
        i = cuda.threadIdx.x
        ballot = cuda.ballot_sync(0xFFFFFFFF, values[i] > 0)
        every = cuda.all_sync(0xFFFFFFFF, values[i] >= 0)
        if cuda.laneid == 0:
            ballots[i // 32] = ballot
            everybody[i // 32] = every

    values = np.arange(64, dtype=np.int32) % 3
    ballots = np.zeros(2, np.uint32)
    everybody = np.zeros(2, np.int32)
    vote[1, 64](values, ballots, everybody)
    expected = [sum(1 << i for i in range(32) if values[w * 32 + i] > 0) for w in range(2)]
    np.testing.assert_array_equal(ballots, np.array(expected, np.uint32))
    assert everybody.tolist() == [1, 1]


@check
def grid_synchronization():
    @cuda.jit
    def waves(matrix):
        column = cuda.grid(1)
        grid = cuda.cg.this_grid()
        for row in range(1, matrix.shape[0]):
            matrix[row, column] = matrix[row - 1, matrix.shape[1] - 1 - column] + 1
            grid.sync()

    matrix = np.zeros((16, 256), np.int32)
    waves[4, 64](matrix)
    np.testing.assert_array_equal(matrix, np.repeat(np.arange(16)[:, None], 256, axis=1))


TABLE = np.arange(1, 65, dtype=np.float64) ** 2


@check
def constant_arrays():
    @cuda.jit
    def gather(out):
        table = cuda.const.array_like(TABLE)
        i = cuda.grid(1)
        if i < out.size:
            out[i] = table[(i * 7) % 64]

    out = np.zeros(100)
    gather[1, 128](out)
    np.testing.assert_array_equal(out, TABLE[(np.arange(100) * 7) % 64])


@check
def local_arrays():
    @cuda.jit
    def sort(rows):
        i = cuda.grid(1)
        own = cuda.local.array(8, int32)
        for j in range(8):
            own[j] = rows[i, j]
        for j in range(8):
            for k in range(7 - j):
                if own[k] > own[k + 1]:
                    own[k], own[k + 1] = own[k + 1], own[k]
        for j in range(8):
            rows[i, j] = own[j]

    rows = np.random.default_rng(3).integers(0, 99, (64, 8)).astype(np.int32)
    expected = np.sort(rows, axis=1)
    sort[2, 32](rows)
    np.testing.assert_array_equal(rows, expected)


@check
def math_functions():
    @cuda.jit
    def evaluate(x, out):
        i = cuda.grid(1)
        if i < x.size:
            v = x[i]
            out[0, i] = math.sin(v)
            out[1, i] = math.exp(v)
            out[2, i] = math.log(v + 4)
            out[3, i] = math.sqrt(v + 4)
            out[4, i] = math.atan2(v, 2.0)
            out[5, i] = math.erf(v)
            out[6, i] = math.tanh(v)
            out[7, i] = math.pow(v + 4, 1.5)

    for dtype, tolerance in ((np.float64, 1e-14), (np.float32, 2e-6)):
        x = np.linspace(-3, 3, 97).astype(dtype)
        out = np.zeros((8, x.size), dtype)
        evaluate[1, 128](x, out)
        w = x.astype(np.float64)
        expected = [
            np.sin(w), np.exp(w), np.log(w + 4), np.sqrt(w + 4), np.arctan2(w, 2.0),
            np.vectorize(math.erf)(w), np.tanh(w), (w + 4) ** 1.5,
        ]
        np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance)


@check
def half_precision():
    @cuda.jit
    def scale(x, out):
        i = cuda.grid(1)
        if i < x.size:
            out[i] = x[i] * x[i] + x[i]

    x = np.linspace(-4, 4, 65).astype(np.float16)
    out = np.zeros_like(x)
    scale[1, 96](x, out)
    np.testing.assert_allclose(out, x * x + x, rtol=2e-3, atol=2e-3)


@check
def device_functions():
    @cuda.jit(device=True)
    def collatz(n):
        steps = 0
        while n != 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            steps += 1
        return steps

    @cuda.jit
    def run(out):
        i = cuda.grid(1)
        if i < out.size:
            out[i] = collatz(i + 1)

    def host(n):
        steps = 0
        while n != 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            steps += 1
        return steps

    out = np.zeros(300, np.int64)
    run[3, 128](out)
    np.testing.assert_array_equal(out, [host(i + 1) for i in range(300)])


@check
def streams_events_and_pinned_memory():
    @cuda.jit
    def double(x):
        i = cuda.grid(1)
        if i < x.size:
            x[i] *= 2

    stream = cuda.stream()
    host = cuda.pinned_array(1000, np.float64)
    host[:] = np.arange(1000)
    start, end = cuda.event(), cuda.event()
    start.record(stream)
    device = cuda.to_device(host, stream=stream)
    double[4, 256, stream](device)
    device.copy_to_host(host, stream=stream)
    end.record(stream)
    end.synchronize()
    assert start.elapsed_time(end) >= 0
    np.testing.assert_array_equal(host, 2 * np.arange(1000))
    mapped = cuda.mapped_array(16, np.int64)
    mapped[:] = 21
    double[1, 16](mapped)
    cuda.synchronize()
    assert mapped.tolist() == [42] * 16


@check
def ufuncs():
    from numba import vectorize

    @vectorize(["float32(float32, float32)"], target="cuda")
    def hypotenuse(a, b):
        return math.sqrt(a * a + b * b)

    a = np.arange(100, dtype=np.float32)
    np.testing.assert_allclose(hypotenuse(a, a), np.hypot(a, a), rtol=1e-6)


@check
def random_numbers():
    from numba.cuda.random import create_xoroshiro128p_states, xoroshiro128p_uniform_float32

    @cuda.jit
    def pi(states, out):
        i = cuda.grid(1)
        inside = 0
        for _ in range(200):
            x = xoroshiro128p_uniform_float32(states, i)
            y = xoroshiro128p_uniform_float32(states, i)
            inside += x * x + y * y <= 1
        out[i] = inside

    out = np.zeros(256, np.int32)
    pi[4, 64](create_xoroshiro128p_states(256, seed=1), out)
    assert abs(4 * out.sum() / (256 * 200) - math.pi) < 0.05


@check
def faults_are_reported():
    """Last: the context does not recover."""
    from numba.cuda.cudadrv.driver import CudaAPIError

    @cuda.jit
    def beyond(x):
        x[cuda.grid(1) + 1_000_000] = 1

    x = cuda.to_device(np.zeros(16))
    beyond[1, 16](x)
    try:
        cuda.synchronize()
    except CudaAPIError as error:
        assert error.code == 700, error
    else:
        raise AssertionError("the write out of bounds was not reported")


def main():
    wanted = sys.argv[1:]
    failed = []
    for function in CHECKS:
        if wanted and function.__name__ not in wanted:
            continue
        try:
            function()
            print(f"{function.__name__}: ok", flush=True)
        except Exception:
            failed.append(function.__name__)
            traceback.print_exc()
            print(f"{function.__name__}: FAILED", flush=True)
    print(f"{len(failed)} failed" if failed else "all passed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
