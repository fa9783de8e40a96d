// Quasi-random search: Sobol's sequence (Boost's direction numbers), scrambled as Owen proposes, so that
// points fill the space evenly however many there are, and another seed gives another such set. Each
// parameter has its own dimension; one that is not active leaves its own unused. Points that constraints
// forbid, and in spaces of few values those that come again, are passed over.
#include <algorithm>
#include <boost/random/sobol.hpp>
#include <cmath>
#include <limits>
#include <set>

#include "base/error.h"
#include "sweep/samplers/samplers.h"

namespace trireme {
namespace {

constexpr uint32_t reverse_bits(uint32_t x) {
  x = ((x >> 1) & 0x55555555u) | ((x & 0x55555555u) << 1);
  x = ((x >> 2) & 0x33333333u) | ((x & 0x33333333u) << 2);
  x = ((x >> 4) & 0x0f0f0f0fu) | ((x & 0x0f0f0f0fu) << 4);
  x = ((x >> 8) & 0x00ff00ffu) | ((x & 0x00ff00ffu) << 8);
  return (x >> 16) | (x << 16);
}

// Owen's nested uniform scrambling by a hash in which each bit depends on lower ones alone (Burley,
// "Practical hash-based Owen scrambling", JCGT 2020, listing 3; Laine and Karras 2011), on reversed bits.
constexpr uint32_t scramble(uint32_t x, uint32_t seed) {
  x = reverse_bits(x);
  x += seed;
  x ^= x * 0x6c50b47cu;
  x ^= x * 0xb82f1e52u;
  x ^= x * 0xc7afe638u;
  x ^= x * 0x8d22f6e6u;
  return reverse_bits(x);
}

class SobolSampler : public Sampler {
 public:
  SobolSampler(const SweepConfig& config, const Space& space) : space_(space), engine_(space.size()) {
    RandomStream random(static_cast<uint64_t>(config.sweep.seed), Purpose::sweep,
                        std::numeric_limits<uint64_t>::max());
    for (size_t i = 0; i < space.size(); ++i) seeds_.push_back(random.next());
  }

  std::optional<Suggestion> suggest(const History&, int64_t number) override {
    if (number + 1 < found_) restart();
    while (found_ <= number) {
      answer_ = next_new();
      ++found_;
    }
    return Suggestion{answer_};
  }

 private:
  void restart() {
    found_ = 0;
    drawn_ = 0;
    repeated_ = 0;
    engine_.seed();
    seen_.clear();
  }

  // The next point of the sequence; the first one is that of zeros, which the engine leaves out.
  Point next() {
    std::vector<double> unit(space_.size());
    for (size_t i = 0; i < unit.size(); ++i) {
      uint32_t word = drawn_ == 0 ? 0 : static_cast<uint32_t>(engine_());
      unit[i] = (static_cast<double>(scramble(word, seeds_[i])) + 0.5) * 0x1p-32;
    }
    ++drawn_;
    return space_.from_unit(unit);
  }

  Point next_new() {
    constexpr int attempts = 10000;
    Point allowed;
    for (int i = 0; i < attempts; ++i) {
      Point point = next();
      if (!space_.allows(point)) continue;
      allowed = point;
      std::replace_if(
          point.begin(), point.end(), [](double x) { return std::isnan(x); }, infinity);
      if (seen_.insert(point).second) return allowed;
      // A space that seems to be exhausted is not walked through again and again.
      if (++repeated_ >= attempts) return allowed;
    }
    if (!allowed.empty()) return allowed;
    throw ConfigError(
        "sweep.constraints: {} points in a row of the whole space are not allowed; narrow [space] to what is",
        attempts);
  }

  static constexpr double infinity = std::numeric_limits<double>::infinity();
  const Space& space_;
  std::vector<uint32_t> seeds_;
  boost::random::sobol_engine<uint32_t, 32> engine_;
  // How far the sequence has been walked: drawn_ points of it, of which found_ were answers.
  int64_t drawn_ = 0;
  int64_t found_ = 0;
  int64_t repeated_ = 0;  // points that came again
  Point answer_;
  std::set<Point> seen_;  // those answers, infinity for nan
};

}  // namespace

std::unique_ptr<Sampler> make_sobol_sampler(const SweepConfig& config, const Space& space) {
  constexpr size_t most = boost::random::detail::qrng_tables::sobol::max_dimension;
  if (space.size() > most) {
    throw ConfigError(
        "{}: sweep.sampler = \"sobol\" knows {} dimensions, and [space] has {}; take \"random\"",
        config.where("sweep.sampler"), most, space.size());
  }
  return std::make_unique<SobolSampler>(config, space);
}

}  // namespace trireme
