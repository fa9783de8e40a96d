// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011). A draw is a pure function of (seed, purpose, counters), so it depends neither on the number of
// ranks or threads nor on the order in which draws are made.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace trireme {

// What a draw is for; two purposes never share a stream. Use stream_purpose to number layers within one.
enum class Purpose : uint32_t {
  initialize = 1,
  shuffle = 2,
  dropout = 3,
  augment = 4,
  test = 5,
  text_offset = 6,
  noise = 7,     // what a generator learns by
  generate = 8,  // text and images of a trained model
  sweep = 9,     // what is tried next
};

using RandomBlock = std::array<uint32_t, 4>;

// Four independent 32-bit words for key (k0, k1) and counter (c0..c3).
constexpr RandomBlock philox(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
  for (int round = 0; round < 10; ++round) {
    uint64_t p0 = uint64_t{0xD2511F53u} * c0;
    uint64_t p1 = uint64_t{0xCD9E8D57u} * c2;
    uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {c0, c1, c2, c3};
}

// [0, 1) with 24 bits, exactly representable in float32.
constexpr float uniform_float(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

// A keyed stream of draws: (seed, purpose, a, b) names the stream, its position is the draw's index.
// Example: RandomStream(seed, Purpose::augment, epoch, sample).uniform() .
class RandomStream {
 public:
  RandomStream(uint64_t seed, Purpose purpose, uint64_t a = 0, uint32_t b = 0)
      : key_{static_cast<uint32_t>(seed),
             static_cast<uint32_t>(seed >> 32) ^ (static_cast<uint32_t>(purpose) << 24)},
        a_(a),
        b_(b) {}

  uint32_t next() {
    uint32_t lane = index_ % 4;
    if (lane == 0) {
      block_ = philox(key_[0], key_[1], index_ / 4, static_cast<uint32_t>(a_),
                      static_cast<uint32_t>(a_ >> 32), b_);
    }
    ++index_;
    return block_[lane];
  }
  float uniform() { return uniform_float(next()); }
  // Uniform in [0, bound) for bound >= 1, without bias (Lemire's method with rejection).
  uint32_t below(uint32_t bound) {
    uint64_t product = uint64_t{next()} * bound;
    if (static_cast<uint32_t>(product) < bound) {
      uint32_t threshold = (0u - bound) % bound;
      while (static_cast<uint32_t>(product) < threshold) product = uint64_t{next()} * bound;
    }
    return static_cast<uint32_t>(product >> 32);
  }
  // Standard normal (Box-Muller, cosine branch).
  float normal();

 private:
  std::array<uint32_t, 2> key_;
  uint64_t a_;
  uint32_t b_;
  uint32_t index_ = 0;
  RandomBlock block_{};
};

// A permutation of 0..n-1 drawn from (seed, epoch): Fisher-Yates over one stream. n < 2^32.
std::vector<uint32_t> random_permutation(uint32_t n, uint64_t seed, uint64_t epoch);

}  // namespace trireme
