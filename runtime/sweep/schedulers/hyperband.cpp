// Hyperband (Li et al., "Hyperband: a novel bandit-based approach to hyperparameter optimization", JMLR 2018,
// algorithm 1) in its asynchronous form (Li et al., MLSys 2020, section 3.3): brackets of asynchronous
// successive halving that begin at different rungs, since nobody knows from how many epochs on a score tells
// something. The last bracket trains its trials to their end.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "sweep/schedulers/halving.h"
#include "sweep/schedulers/hyperband.h"
#include "sweep/schedulers/schedulers.h"

namespace trireme {

std::vector<double> bracket_shares(int64_t rungs, int64_t brackets, int64_t reduction) {
  // Bracket b halves s = rungs - 1 - b times, and Hyperband gives it
  // n = ceil(rungs / (s + 1) * reduction^s) trials a round.
  std::vector<double> shares;
  double sum = 0;
  for (int64_t b = 0; b < brackets; ++b) {
    auto halvings = static_cast<double>(rungs - 1 - b);
    double trials =
        static_cast<double>(rungs) / (halvings + 1) * std::pow(static_cast<double>(reduction), halvings);
    // Not a ceil of what is a whole number but for rounding.
    shares.push_back(std::ceil(trials - 1e-9));
    sum += shares.back();
  }
  for (double& share : shares) share /= sum;
  return shares;
}

double radical_inverse(uint64_t number) {
  double value = 0;
  for (double digit = 0.5; number != 0; number >>= 1, digit /= 2) {
    if ((number & 1) != 0) value += digit;
  }
  return value;
}

namespace {

class Hyperband final : public Halving {
 public:
  Hyperband(std::vector<int64_t> rungs, int64_t brackets, int64_t reduction, bool at_best)
      : Halving(rungs, brackets, reduction, at_best),
        shares_(bracket_shares(static_cast<int64_t>(rungs.size()), brackets, reduction)) {}

 protected:
  // The radical inverses of consecutive numbers are spread evenly over [0, 1): so all brackets get their
  // shares from the first trials on, and a trial's bracket is known by its number alone.
  int64_t bracket_of(int64_t trial) const override {
    double place = radical_inverse(static_cast<uint64_t>(trial));
    size_t bracket = 0;
    for (double end = shares_[0]; bracket + 1 < shares_.size() && place >= end; end += shares_[++bracket]) {
    }
    return static_cast<int64_t>(bracket);
  }

 private:
  std::vector<double> shares_;
};

}  // namespace

std::unique_ptr<Scheduler> make_hyperband(const SweepConfig& config, const Space& space, int64_t max_epochs) {
  refuse_searched_epochs(config, space);
  const HalvingConfig& settings = config.hyperband;
  std::vector<int64_t> rungs = rungs_of(config, settings, "hyperband", max_epochs);
  auto most = static_cast<int64_t>(rungs.size());
  if (settings.brackets > most) {
    throw ConfigError("{}: sweep.hyperband.brackets = {}: there are only {} rungs ({} epochs) to begin at",
                      config.where("sweep.hyperband.brackets"), settings.brackets, most,
                      fmt::join(rungs, ", "));
  }
  int64_t brackets = settings.brackets == 0 ? most : settings.brackets;
  return std::make_unique<Hyperband>(std::move(rungs), brackets, settings.reduction, config.at == "best");
}

}  // namespace trireme
