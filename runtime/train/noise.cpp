#include "train/noise.h"

#include "base/rng.h"

namespace trireme {

void draw_noise(uint64_t seed, int64_t step, int64_t first_sample, int64_t count, int64_t latent,
                float* noise) {
  for (int64_t s = 0; s < count; ++s) {
    RandomStream stream(seed, Purpose::noise, static_cast<uint64_t>(step),
                        static_cast<uint32_t>(first_sample + s));
    for (int64_t i = 0; i < latent; ++i) *noise++ = stream.normal();
  }
}

}  // namespace trireme
