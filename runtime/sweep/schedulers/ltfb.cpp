// "Let a thousand flowers bloom", the tournaments of LBANN (Jacobs et al., "Towards scalable parallel
// training of deep neural networks", MLHPC 2017): after each interval a member meets another one, drawn at
// random, and takes over its state where it is worse.
#include "sweep/schedulers/population.h"
#include "sweep/schedulers/schedulers.h"

namespace trireme {
namespace {

class Tournaments final : public Population {
 public:
  using Population::Population;

 protected:
  // Both are compared by what they reported after as many intervals as the member has trained: an opponent
  // that is ahead does not win by that. Only the member itself may lose: the opponent, which may be in the
  // midst of its next interval, has its own turn.
  TakeUp go_on(const History& history, const Trial& member) const override {
    int64_t rounds = intervals(member);
    std::vector<const Trial*> opponents;
    for (const Trial* one : members(history)) {
      if (one != &member && intervals(*one) >= rounds && has_state(*one)) opponents.push_back(one);
    }
    if (opponents.empty()) return {member.number};
    RandomStream random = draws(member);
    const Trial& opponent = *opponents[random.below(static_cast<uint32_t>(opponents.size()))];
    if (score_after(opponent, rounds) >= score_after(member, rounds)) return {member.number};
    return {member.number, opponent.number, settings().copies_values ? opponent.point : member.point};
  }

 private:
  double score_after(const Trial& trial, int64_t rounds) const {
    for (const TrialReport& report : trial.reports) {
      if (report.epoch >= rounds * settings().interval_epochs) return report.scores[0];
    }
    return trial.reports.back().scores[0];
  }
};

}  // namespace

std::unique_ptr<Scheduler> make_ltfb(const SweepConfig& config, const Space& space, int64_t max_epochs) {
  return std::make_unique<Tournaments>(config, config.ltfb, space, max_epochs);
}

}  // namespace trireme
