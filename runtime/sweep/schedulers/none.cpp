// Every trial trains to its end.
#include "sweep/schedulers/schedulers.h"

namespace trireme {
namespace {

class NoScheduler final : public Scheduler {
 public:
  Verdict judge(const History&, int64_t) override { return {}; }
  std::optional<TakeUp> take_up(const History& history, const Openings& openings) override {
    return take_up_any(history, openings);
  }
};

}  // namespace

std::unique_ptr<Scheduler> make_no_scheduler(const SweepConfig&, const Space&, int64_t) {
  return std::make_unique<NoScheduler>();
}

}  // namespace trireme
