// Population-based training (Jaderberg et al., "Population based training of neural networks", 2017; arXiv
// 1711.09846): exploit by truncation selection, explore by perturbing or drawing anew.
#include <algorithm>
#include <cmath>
#include <utility>

#include "sweep/schedulers/explore.h"
#include "sweep/schedulers/population.h"
#include "sweep/schedulers/schedulers.h"

namespace trireme {
namespace {

class PopulationBasedTraining final : public Population {
 public:
  using Population::Population;

 protected:
  // Members are compared by their newest reports, at whatever epochs these are.
  TakeUp go_on(const History& history, const Trial& member) const override {
    std::vector<std::pair<double, const Trial*>> order;
    for (const Trial* one : members(history)) order.emplace_back(one->reports.back().scores[0], one);
    std::ranges::stable_sort(order, {}, [](const auto& entry) { return entry.first; });
    auto count = static_cast<double>(order.size());
    auto part = static_cast<size_t>(count * std::min(settings().quantile, 0.5) + 1e-9);

    auto place = static_cast<size_t>(
        std::ranges::find(order, &member, [](const auto& entry) { return entry.second; }) - order.begin());
    if (place < order.size() - part) return {member.number};
    std::vector<const Trial*> sources;
    for (size_t i = 0; i < part; ++i) {
      bool better = order[i].first < order[place].first;
      if (better && has_state(*order[i].second)) sources.push_back(order[i].second);
    }
    if (sources.empty()) return {member.number};
    RandomStream random = draws(member);
    const Trial& source = *sources[random.below(static_cast<uint32_t>(sources.size()))];
    return {member.number, source.number, explored(space(), settings(), source.point, random)};
  }
};

}  // namespace

std::unique_ptr<Scheduler> make_pbt(const SweepConfig& config, const Space& space, int64_t max_epochs) {
  return std::make_unique<PopulationBasedTraining>(config, config.pbt, space, max_epochs);
}

}  // namespace trireme
