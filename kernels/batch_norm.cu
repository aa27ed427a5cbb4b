// Batch normalisation with the statistics of the batch, forward and backward.
//
//   statistics:    mean and biased variance of a channel over all pixels of all images
//   coefficients:  scale = γ / √(var + ε), shift = β + (term − mean)·scale
//   gradients:     dγ = Σ dy·x̂, dβ = Σ dy                                  x̂ = (x − mean) / √(var + ε)
//   backward:      dx = then(γ / √(var + ε) · (dy − dβ/N − x̂·dγ/N))          lanes without an image become 0
//   update:        running ← (1 − momentum)·running + momentum·batch        the variance with Bessel's correction
//
// (Ioffe and Szegedy 2015.) Sums over a channel, in a fixed order, x (and dy) read once: a thread has up to 32 values of it in
// registers and finds their mean and the squared deviations from that in f32; those of the thread, of the block, and of the
// blocks of the channel are merged in f64 by the rule of Chan, Golub and LeVeque (1979). Sums of products go to f64 likewise.
// Grid: (channels, parts of the rows of a channel) and, for more than one part, a second kernel with a warp per channel;
// block: 256 threads, at most 192 bytes of shared memory. backward: as an elementwise operation, with 512 bytes. Registers
// (sm_80): 89 (statistics), 32 (gradients), 31 (backward). Bytes: x and dy once, dx once. FLOPs per element: 5 (statistics),
// 4 (gradients), 5 (backward). Overwrites; backward as `then` says.
#include "epilogue.cuh"

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / 32;

// Mirrors `Sums` of src/backend/cuda/batch_norm.rs.
struct Sums {
    const void* x;
    const void* dy;  // gradients only
    Place at, dy_at;
    const float* mean;
    const float* var;
    float* first;   // mean; Σ dy·x̂
    float* second;  // variance; Σ dy
    double* parts;  // [channel][part][3], where there is more than one
    uint32_t slabs, images;
    uint32_t part_rows;  // rows of a part; the last may have fewer
    float epsilon;
};
static_assert(sizeof(Sums) == 120);

// What is known of some values: how many they are, their mean, the sum of squared deviations from it.
struct Moments {
    double count, mean, squares;

    __device__ __forceinline__ void merge(const Moments& other) {
        if (other.count == 0.0) return;
        const double total = count + other.count, share = other.count / total, delta = other.mean - mean;
        squares += other.squares + delta * delta * count * share;
        mean += delta * share;
        count = total;
    }

    __device__ __forceinline__ Moments from_lane(int distance) const {
        return {__shfl_down_sync(0xffffffffu, count, distance), __shfl_down_sync(0xffffffffu, mean, distance),
                __shfl_down_sync(0xffffffffu, squares, distance)};
    }

    __device__ __forceinline__ void store(const Sums& p, uint32_t channel) const {
        p.first[channel] = static_cast<float>(mean);
        // Rounding can leave a constant channel just below zero.
        p.second[channel] = static_cast<float>((squares > 0.0 ? squares : 0.0) / (count > 1.0 ? count : 1.0));
    }
};

// Σ dy·(x − mean) and Σ dy.
struct Products {
    double product, sum, unused;

    __device__ __forceinline__ void merge(const Products& other) {
        product += other.product;
        sum += other.sum;
    }

    __device__ __forceinline__ Products from_lane(int distance) const {
        return {__shfl_down_sync(0xffffffffu, product, distance), __shfl_down_sync(0xffffffffu, sum, distance), 0.0};
    }

    __device__ __forceinline__ void store(const Sums& p, uint32_t channel) const {
        const double inverse = 1.0f / sqrtf(p.var[channel] + p.epsilon);
        p.first[channel] = static_cast<float>(product * inverse);
        p.second[channel] = static_cast<float>(sum);
    }
};

// What the first thread of a warp gets is that of all 32.
template <typename Sum> __device__ __forceinline__ void merge_warp(Sum& sum) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) sum.merge(sum.from_lane(distance));
}

// Merges what the threads of a block have, and stores it: the result of the channel, or that of this part.
template <typename Sum> __device__ __forceinline__ void merge_block(const Sums& p, Sum sum) {
    __shared__ Sum of_warps[WARPS];
    merge_warp(sum);
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x != 0) return;
    for (int warp = 1; warp < WARPS; warp++) sum.merge(of_warps[warp]);
    if (gridDim.y == 1) {
        sum.store(p, blockIdx.x);
    } else {
        reinterpret_cast<Sum*>(p.parts)[static_cast<size_t>(blockIdx.x) * gridDim.y + blockIdx.y] = sum;
    }
}

// The rows of a channel, pixel by pixel, slab by slab, as a thread of a part goes through them: RUN at a time.
template <typename T> struct Rows {
    static constexpr int VEC = Row<T>::VEC, RUN = 32 / VEC, APART = THREADS / Row<T>::THREADS;
    uint32_t next, end;
    uint32_t full;  // rows of slabs whose lanes are all images
    int part, rest;  // images of this thread in the others

    __device__ __forceinline__ Rows(const Sums& p) {
        const uint32_t pixels = p.at.h * p.at.w;
        part = static_cast<int>(threadIdx.x % Row<T>::THREADS);
        rest = min(max(static_cast<int>(p.images % SLAB) - part * VEC, 0), VEC);
        full = p.images / SLAB * pixels;
        const uint32_t first = blockIdx.y * p.part_rows;
        end = min(first + p.part_rows, pixels * p.slabs);
        next = first + threadIdx.x / Row<T>::THREADS;
    }

    // How many values of a row are those of images.
    __device__ __forceinline__ int valid(uint32_t row) const { return row >= end ? 0 : row < full ? VEC : rest; }

    // A row of a value at `at`.
    __device__ __forceinline__ void load(const void* x, const Place& at, uint32_t row, float (&v)[VEC]) const {
        const size_t line = static_cast<size_t>(row) * at.pixel + at.offset + blockIdx.x * at.step;
        load_row(static_cast<const T*>(x), line, part, v);
    }
};

template <typename T> __device__ __forceinline__ void statistics(const Sums& p) {
    using R = Rows<T>;
    Moments moments = {0.0, 0.0, 0.0};
    R rows(p);
    for (; rows.next < rows.end; rows.next += R::RUN * R::APART) {
        float v[R::RUN][R::VEC];
        int valid[R::RUN], count = 0;
#pragma unroll
        for (int r = 0; r < R::RUN; r++) {
            valid[r] = rows.valid(rows.next + r * R::APART);
            count += valid[r];
            if (valid[r] > 0) rows.load(p.x, p.at, rows.next + r * R::APART, v[r]);
        }
        if (count == 0) continue;
        float sum = 0.0f;
#pragma unroll
        for (int r = 0; r < R::RUN; r++) {
#pragma unroll
            for (int i = 0; i < R::VEC; i++) sum += i < valid[r] ? v[r][i] : 0.0f;
        }
        const float middle = sum / static_cast<float>(count);
        float rest = 0.0f, squares = 0.0f;
#pragma unroll
        for (int r = 0; r < R::RUN; r++) {
#pragma unroll
            for (int i = 0; i < R::VEC; i++) {
                const float d = i < valid[r] ? v[r][i] - middle : 0.0f;
                rest += d;
                squares = fmaf(d, d, squares);
            }
        }
        // `rest` is what rounding has left of the mean.
        const double n = count, off = rest / n;
        moments.merge({n, middle + off, squares - off * rest});
    }
    merge_block(p, moments);
}

template <typename T> __device__ __forceinline__ void gradients(const Sums& p) {
    using R = Rows<T>;
    const float mean = p.mean[blockIdx.x];
    Products products = {0.0, 0.0, 0.0};
    R rows(p);
    for (; rows.next < rows.end; rows.next += R::RUN * R::APART) {
        float product = 0.0f, sum = 0.0f;
#pragma unroll
        for (int r = 0; r < R::RUN; r++) {
            const int valid = rows.valid(rows.next + r * R::APART);
            if (valid > 0) {
                float x[R::VEC], dy[R::VEC];
                rows.load(p.x, p.at, rows.next + r * R::APART, x);
                rows.load(p.dy, p.dy_at, rows.next + r * R::APART, dy);
#pragma unroll
                for (int i = 0; i < R::VEC; i++) {
                    sum += i < valid ? dy[i] : 0.0f;
                    product = i < valid ? fmaf(dy[i], x[i] - mean, product) : product;
                }
            }
        }
        products.merge({product, sum, 0.0});
    }
    merge_block(p, products);
}

// Merges the parts of a channel, one warp for each.
template <typename Sum> __device__ __forceinline__ void merge_parts(const Sums& p, uint32_t parts, Sum sum) {
    const uint32_t channel = blockIdx.x * WARPS + threadIdx.x / 32;
    if (channel >= p.at.c) return;
    const Sum* of_parts = reinterpret_cast<const Sum*>(p.parts) + static_cast<size_t>(channel) * parts;
    for (uint32_t part = threadIdx.x % 32; part < parts; part += 32) sum.merge(of_parts[part]);
    merge_warp(sum);
    if (threadIdx.x % 32 == 0) sum.store(p, channel);
}

// Mirrors `Merge` of src/backend/cuda/batch_norm.rs.
struct Merge {
    Sums of;
    uint32_t parts, unused;
};
static_assert(sizeof(Merge) == 128);

extern "C" __global__ void __launch_bounds__(THREADS) merge_statistics(const __grid_constant__ Merge p) {
    merge_parts(p.of, p.parts, Moments{0.0, 0.0, 0.0});
}

extern "C" __global__ void __launch_bounds__(THREADS) merge_gradients(const __grid_constant__ Merge p) {
    merge_parts(p.of, p.parts, Products{0.0, 0.0, 0.0});
}

// Mirrors `NormBackward` of src/backend/cuda/batch_norm.rs.
struct NormBackward {
    const void* x;
    const void* dy;
    void* dx;
    Place at, dy_at, to;
    const float* mean;
    const float* var;
    const float* gamma;
    const float* d_gamma;
    const float* d_beta;
    uint32_t slabs, images;
    float epsilon, count;
    Then then;
};
static_assert(sizeof(NormBackward) == 216);

template <typename T> __device__ __forceinline__ void backward(const NormBackward& p) {
    constexpr int VEC = Row<T>::VEC, ROWS = THREADS / Row<T>::THREADS;
    // a, b, mean, c of dx = a·dy + b·(x − mean) + c for the channels of the block's rows.
    __shared__ float4 terms[ROWS];
    if (threadIdx.x < ROWS) {
        const uint32_t channel = (blockIdx.x * ROWS + threadIdx.x) % p.to.c;
        const float inverse = 1.0f / sqrtf(p.var[channel] + p.epsilon), a = p.gamma[channel] * inverse;
        terms[threadIdx.x] = {a, -a * inverse * (p.d_gamma[channel] / p.count), p.mean[channel],
                              -a * (p.d_beta[channel] / p.count)};
    }
    __syncthreads();
    const Item item = item_of<T>(p.to, p.slabs);
    float v[VEC] = {};
    size_t row = 0, add_row = 0;
    if (item.live) {
        row = row_of(p.to, item.slab, item.pixel, item.channel);
        if (p.then.add) add_row = row_of(p.then.add_place, item.slab, item.pixel, item.channel);
        const float4 t = terms[threadIdx.x / Row<T>::THREADS];
        float x[VEC], dy[VEC];
        load_row(static_cast<const T*>(p.x), row_of(p.at, item.slab, item.pixel, item.channel), item.part, x);
        load_row(static_cast<const T*>(p.dy), row_of(p.dy_at, item.slab, item.pixel, item.channel), item.part, dy);
        const int valid = static_cast<int>(p.images) - static_cast<int>(item.slab * SLAB) - item.part * VEC;
#pragma unroll
        for (int i = 0; i < VEC; i++) v[i] = i < valid ? fmaf(t.y, x[i] - t.z, fmaf(t.x, dy[i], t.w)) : 0.0f;
    }
    finish(p.then, v, static_cast<T*>(p.dx), row, add_row, item.channel, item.part, item.live);
}

// Mirrors `Coefficients` of src/backend/cuda/batch_norm.rs.
struct Coefficients {
    const float* gamma;
    const float* beta;
    const float* mean;
    const float* var;
    const float* term;  // or null
    float* scale;
    float* shift;
    uint32_t channels;
    float epsilon;
};
static_assert(sizeof(Coefficients) == 64);

// In the order of the CPU's operations, one rounding each.
extern "C" __global__ void __launch_bounds__(256) coefficients(const __grid_constant__ Coefficients p) {
    const uint32_t c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= p.channels) return;
    const float scale = __fdiv_rn(p.gamma[c], __fsqrt_rn(__fadd_rn(p.var[c], p.epsilon)));
    float shift = __fsub_rn(p.beta[c], __fmul_rn(p.mean[c], scale));
    if (p.term) shift = __fadd_rn(shift, __fmul_rn(scale, p.term[c]));
    p.scale[c] = scale;
    p.shift[c] = shift;
}

// Mirrors `UpdateRunning` of src/backend/cuda/batch_norm.rs.
struct UpdateRunning {
    const float* mean;
    const float* var;
    float* running_mean;
    float* running_var;
    uint32_t channels;
    float momentum, unbiased;
    uint32_t unused;
};
static_assert(sizeof(UpdateRunning) == 48);

extern "C" __global__ void __launch_bounds__(256) update_running(const __grid_constant__ UpdateRunning p) {
    const uint32_t c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c >= p.channels) return;
    const float old = __fsub_rn(1.0f, p.momentum);
    const float var = __fmul_rn(p.var[c], p.unbiased);
    p.running_mean[c] = __fadd_rn(__fmul_rn(old, p.running_mean[c]), __fmul_rn(p.momentum, p.mean[c]));
    p.running_var[c] = __fadd_rn(__fmul_rn(old, p.running_var[c]), __fmul_rn(p.momentum, var));
}

#define INSTANCE(T, suffix)                                                                                          \
    extern "C" __global__ void __launch_bounds__(THREADS) norm_statistics_##suffix(const __grid_constant__ Sums p) {     \
        statistics<T>(p);                                                                                            \
    }                                                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS) norm_gradients_##suffix(const __grid_constant__ Sums p) {      \
        gradients<T>(p);                                                                                             \
    }                                                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS) norm_backward_##suffix(const __grid_constant__ NormBackward p) { \
        backward<T>(p);                                                                                              \
    }
FOR_EACH_FORMAT(INSTANCE)
