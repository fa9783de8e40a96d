// Random search: uniform over what is active and allowed (Bergstra and Bengio, "Random search for
// hyper-parameter optimization", 2012).
#include "sweep/samplers/points.h"
#include "sweep/samplers/samplers.h"

namespace trireme {
namespace {

class RandomSampler : public Sampler {
 public:
  RandomSampler(const SweepConfig& config, const Space& space)
      : seed_(static_cast<uint64_t>(config.sweep.seed)), space_(space) {}

  std::optional<Suggestion> suggest(const History& history, int64_t number) override {
    RandomStream random(seed_, Purpose::sweep, static_cast<uint64_t>(number));
    return Suggestion{untried_random_point(space_, history, random)};
  }

 private:
  uint64_t seed_;
  const Space& space_;
};

}  // namespace

std::unique_ptr<Sampler> make_random_sampler(const SweepConfig& config, const Space& space) {
  return std::make_unique<RandomSampler>(config, space);
}

}  // namespace trireme
