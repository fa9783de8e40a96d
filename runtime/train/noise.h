// What a generator makes images from: standard normal values that depend on (seed, step, sample) alone, never
// on how ranks or micro-batches share samples out.
#pragma once

#include <cstdint>
#include <limits>

namespace trireme {

// Steps that no training step has: the noise of validation and of samples for people to look at.
inline constexpr int64_t validation_noise = std::numeric_limits<int64_t>::max();
inline constexpr int64_t sample_noise = validation_noise - 1;

// Writes `count` x `latent` values: of the samples from number `first_sample` on (of the step's global batch,
// or of the data set). Sample numbers must fit into 32 bits.
void draw_noise(uint64_t seed, int64_t step, int64_t first_sample, int64_t count, int64_t latent,
                float* noise);

}  // namespace trireme
