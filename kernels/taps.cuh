// The taps of a convolution that meet the map: an output pixel's taps along the two axes form a rectangle.
#pragma once

// Which taps of one axis meet the map: for i < count, tap first + i·tap_step reads source + i·source_step.
struct Axis {
    int first, count, tap_step, source, source_step;
};

__device__ __forceinline__ Axis axis(bool backward, int at, int taps, int stride, int pad, int size) {
    if (!backward) {
        const int first = max(0, pad - at * stride);
        const int end = min(taps, size + pad - at * stride);
        return {first, max(end - first, 0), 1, at * stride + first - pad, 1};
    }
    // Tap t reads (at + pad − t) / stride where that is whole and on the map.
    const int beyond = max((at + pad) / stride - (size - 1), 0);
    const int first = (at + pad) % stride + beyond * stride;
    const int source = (at + pad) / stride - beyond;
    const int count = min((taps - first + stride - 1) / stride, source + 1);
    return {first, max(count, 0), stride, source, -1};
}
