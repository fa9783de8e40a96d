// Asynchronous successive halving with one bracket (Li et al., MLSys 2020; arXiv 1810.05934).
#include "sweep/schedulers/halving.h"
#include "sweep/schedulers/schedulers.h"

namespace trireme {
namespace {

class Asha final : public Halving {
 public:
  using Halving::Halving;

 protected:
  int64_t bracket_of(int64_t) const override { return 0; }
};

}  // namespace

std::unique_ptr<Scheduler> make_asha(const SweepConfig& config, const Space& space, int64_t max_epochs) {
  refuse_searched_epochs(config, space);
  return std::make_unique<Asha>(rungs_of(config, config.asha, "asha", max_epochs), 1, config.asha.reduction,
                                config.at == "best");
}

}  // namespace trireme
