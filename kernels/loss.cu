// Softmax cross-entropy of every image: loss, arg-max, and the gradient by the logits.
//
//   loss = ln Σ exp(z − max) + max − z[label]        correct = (lowest index of the maximum is the label, loss is no NaN)
//   dz   = (softmax(z) − one-hot(label)) · factor    +0 in lanes without an image
//
// Logits are a 1×1 map: a row of 64 images per class. Grid: one block per slab; block: 256 threads, as groups of 16 (f32) or 8
// (16-bit) that share a row and take the classes in turn; 5.8 KB of shared memory, in which the warps' maxima and sums meet in a
// fixed order. Bytes: logits three times (the second and third time from L1), gradient once. Overwrites. Correct bits: one
// word of 64 per slab. Registers (sm_80): 43. FLOPs: about 20 per logit.
#include "epilogue.cuh"

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / 32;
// The label of a lane without an image.
constexpr float NO_IMAGE = -1.0f;

// Mirrors `CrossEntropy` of src/backend/cuda/loss.rs.
struct CrossEntropy {
    const void* logits;
    const uint16_t* labels;
    void* gradient;     // or null
    float* loss;        // per lane
    uint32_t* correct;  // two words per slab
    Place at, gradient_at;
    uint32_t images;
    float factor;
};
static_assert(sizeof(CrossEntropy) == 96);

// A number of each lane from each warp. A thread has four lanes, or twice four; the first four of all threads of a row lie
// side by side, then, half the banks further on, the others: so neither threads that have four nor threads that have one read
// or write the same bank.
constexpr int SLOTS = SLAB / 4 + 4;
struct Meeting {
    float4 of_warps[WARPS][SLOTS];
    float4 all[SLOTS];
};

// Where four lanes of a thread lie.
template <typename T> __device__ __forceinline__ int slot(int part, int four) {
    return four * (Row<T>::THREADS + 4) + part;
}
// The place of lane `lane` among the numbers.
template <typename T> __device__ __forceinline__ int place_of(uint32_t lane) {
    return slot<T>(lane / Row<T>::VEC, lane % Row<T>::VEC / 4) * 4 + lane % 4;
}

// Stores what the first group of a warp has of its lanes.
template <typename T> __device__ __forceinline__ void put(float4* row, int part, const float (&v)[Row<T>::VEC]) {
#pragma unroll
    for (int four = 0; four < Row<T>::VEC / 4; four++) {
        row[slot<T>(part, four)] = {v[4 * four], v[4 * four + 1], v[4 * four + 2], v[4 * four + 3]};
    }
}

template <typename T> __device__ __forceinline__ void get(const float4* row, int part, float (&v)[Row<T>::VEC]) {
#pragma unroll
    for (int four = 0; four < Row<T>::VEC / 4; four++) {
        const float4 q = row[slot<T>(part, four)];
        v[4 * four] = q.x, v[4 * four + 1] = q.y, v[4 * four + 2] = q.z, v[4 * four + 3] = q.w;
    }
}

// The greater of two candidates, of equal ones that of the lower index. No NaN is ever a candidate.
__device__ __forceinline__ void take(float& max, float& best, float other, float index) {
    if (other > max || (other == max && index < best)) {
        max = other;
        best = index;
    }
}

template <typename T> __device__ __forceinline__ void cross_entropy(const CrossEntropy& p) {
    constexpr int VEC = Row<T>::VEC, PER_ROW = Row<T>::THREADS;
    constexpr uint32_t GROUPS = THREADS / PER_ROW;
    __shared__ Meeting maxima, indices;
    const uint32_t slab = blockIdx.x, group = threadIdx.x / PER_ROW, classes = p.at.c;
    const int part = static_cast<int>(threadIdx.x % PER_ROW), warp = static_cast<int>(threadIdx.x / 32);
    const bool first_of_warp = threadIdx.x % 32 < PER_ROW, decides = threadIdx.x < SLAB;
    const uint32_t lane = threadIdx.x, place = decides ? place_of<T>(lane) : 0;  // of threads that decide
    const T* logits = static_cast<const T*>(p.logits);
    const size_t row = row_of(p.at, slab, 0, 0);

    // Maximum and its class; classes are below 2^16, which f32 counts.
    float max[VEC], best[VEC];
#pragma unroll
    for (int i = 0; i < VEC; i++) max[i] = -INFINITY, best[i] = 0.0f;
    for (uint32_t k = group; k < classes; k += GROUPS) {
        float z[VEC];
        load_row(logits, row + k * p.at.step, part, z);
#pragma unroll
        for (int i = 0; i < VEC; i++) {
            if (z[i] > max[i]) max[i] = z[i], best[i] = static_cast<float>(k);
        }
    }
#pragma unroll
    for (int distance = PER_ROW; distance < 32; distance *= 2) {
#pragma unroll
        for (int i = 0; i < VEC; i++) {
            const float other = __shfl_xor_sync(0xffffffffu, max[i], distance);
            const float index = __shfl_xor_sync(0xffffffffu, best[i], distance);
            take(max[i], best[i], other, index);
        }
    }
    if (first_of_warp) {
        put<T>(maxima.of_warps[warp], part, max);
        put<T>(indices.of_warps[warp], part, best);
    }
    __syncthreads();
    float greatest = -INFINITY, predicted = 0.0f;
    if (decides) {
        for (int w = 0; w < WARPS; w++) {
            const float* others = reinterpret_cast<const float*>(maxima.of_warps[w]);
            take(greatest, predicted, others[place], reinterpret_cast<const float*>(indices.of_warps[w])[place]);
        }
        reinterpret_cast<float*>(maxima.all)[place] = greatest;
    }
    __syncthreads();

    // Σ exp(z − max).
    get<T>(maxima.all, part, max);
    float sum[VEC] = {};
    for (uint32_t k = group; k < classes; k += GROUPS) {
        float z[VEC];
        load_row(logits, row + k * p.at.step, part, z);
#pragma unroll
        for (int i = 0; i < VEC; i++) sum[i] += expf(z[i] - max[i]);
    }
#pragma unroll
    for (int distance = PER_ROW; distance < 32; distance *= 2) {
#pragma unroll
        for (int i = 0; i < VEC; i++) sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], distance);
    }
    if (first_of_warp) put<T>(indices.of_warps[warp], part, sum);
    __syncthreads();
    if (decides) {
        float total = 0.0f;
        for (int w = 0; w < WARPS; w++) total += reinterpret_cast<const float*>(indices.of_warps[w])[place];
        const uint32_t image = slab * SLAB + lane;
        const bool valid = image < p.images;
        const uint32_t label = valid ? p.labels[image] : 0;
        const float loss = logf(total) + (greatest - to_float(logits[(row + label * p.at.step) * SLAB + lane]));
        p.loss[image] = valid ? loss : 0.0f;
        const bool correct = valid && predicted == static_cast<float>(label) && loss == loss;
        const uint32_t word = __ballot_sync(0xffffffffu, correct);
        if (lane % 32 == 0) p.correct[slab * 2 + lane / 32] = word;
        reinterpret_cast<float*>(indices.all)[place] = p.factor / total;
        reinterpret_cast<float*>(maxima.of_warps[0])[place] = valid ? static_cast<float>(label) : NO_IMAGE;
    }
    if (!p.gradient) return;
    __syncthreads();

    float share[VEC], label[VEC];
    get<T>(indices.all, part, share);
    get<T>(maxima.of_warps[0], part, label);
    T* gradient = static_cast<T*>(p.gradient);
    const size_t gradient_row = row_of(p.gradient_at, slab, 0, 0);
    for (uint32_t k = group; k < classes; k += GROUPS) {
        float z[VEC];
        load_row(logits, row + k * p.at.step, part, z);
#pragma unroll
        for (int i = 0; i < VEC; i++) {
            const float g = __fmul_rn(expf(z[i] - max[i]), share[i]);
            const float rest = static_cast<float>(k) == label[i] ? __fsub_rn(g, p.factor) : g;
            z[i] = label[i] == NO_IMAGE ? 0.0f : rest;
        }
        store_row(gradient, gradient_row + k * p.gradient_at.step, part, z);
    }
}

#define INSTANCE(T, suffix)                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS)                           \
        cross_entropy_##suffix(const __grid_constant__ CrossEntropy p) {            \
        cross_entropy<T>(p);                                                        \
    }
FOR_EACH_FORMAT(INSTANCE)
