// Softmax cross-entropy of every image: loss, arg-max, and the gradient by the logits.
//
//   loss = ln Σ exp(z − max) + max − z[label]        correct = (lowest index of the maximum is the label, loss is no NaN)
//   dz   = (softmax(z) − one-hot(label)) · factor    +0 in lanes without an image
//
// Logits are a 1×1 map: a row of 64 images per class. Grid: one block per slab; block: 64 threads, one image each, which go
// through the classes two or three times (the logits of a slab stay in L1). Bytes: logits 2–3 times, gradient once.
// Overwrites. Correct bits: one word of 64 per slab.
#include "epilogue.cuh"

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

template <typename T> __device__ __forceinline__ void cross_entropy(const CrossEntropy& p) {
    const uint32_t slab = blockIdx.x, lane = threadIdx.x, image = slab * SLAB + lane;
    const bool valid = image < p.images;
    const T* logits = static_cast<const T*>(p.logits);
    const auto at = [&](uint32_t k) { return to_float(logits[row_of(p.at, slab, 0, k) * SLAB + lane]); };
    const uint32_t label = valid ? p.labels[image] : 0;
    float max = -INFINITY;
    uint32_t best = 0;
    for (uint32_t k = 0; k < p.at.c; k++) {
        const float z = at(k);
        if (z > max) {
            best = k;
            max = z;
        }
    }
    float sum = 0.0f;
    for (uint32_t k = 0; k < p.at.c; k++) sum += expf(at(k) - max);
    const float loss = logf(sum) + (max - at(label));
    p.loss[image] = valid ? loss : 0.0f;
    const uint32_t word = __ballot_sync(0xffffffffu, valid && best == label && loss == loss);
    if (lane % 32 == 0) p.correct[slab * 2 + lane / 32] = word;
    if (p.gradient) {
        T* gradient = static_cast<T*>(p.gradient);
        const float share = p.factor / sum;
        for (uint32_t k = 0; k < p.at.c; k++) {
            float g = valid ? expf(at(k) - max) * share : 0.0f;
            if (valid && k == label) g -= p.factor;
            gradient[row_of(p.gradient_at, slab, 0, k) * SLAB + lane] = from_float<T>(g);
        }
    }
}

#define INSTANCE(T, suffix)                                                                                            \
    extern "C" __global__ void __launch_bounds__(64) cross_entropy_##suffix(const __grid_constant__ CrossEntropy p) { \
        cross_entropy<T>(p);                                                                                           \
    }
FOR_EACH_FORMAT(INSTANCE)
