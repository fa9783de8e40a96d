#include "train/divergence.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace trireme {
namespace {

// What ranks tell each other; the first place is the smallest.
struct Finding {
  int64_t place = std::numeric_limits<int64_t>::max();
  int64_t given = 0;
  std::array<char, 480> what{};
};

Finding own_finding(Learner& learner, const Batch& batch, int64_t step) {
  Finding own;
  std::optional<LocatedNonFinite> found = learner.find_first_non_finite(batch, step);
  if (!found) return own;
  own.place = static_cast<int64_t>(found->net << 32 | found->tensor.order);
  own.given = found->tensor.given ? 1 : 0;
  std::string what = found->tensor.what;
  if (learner.nets().size() > 1) what = learner.nets()[found->net]->name() + ": " + what;
  std::memcpy(own.what.data(), what.data(), std::min(what.size(), own.what.size() - 1));
  return own;
}

// The first finding over ranks, and the rank that made it.
struct First {
  Finding finding;
  int rank = 0;
};

First first_over_ranks(Communicator& communicator, Finding own) {
  std::vector<int64_t> places(static_cast<size_t>(communicator.size()));
  communicator.all_gather(&own.place, 1, DType::int64, places.data());
  auto smallest = std::min_element(places.begin(), places.end());
  First first{own, static_cast<int>(smallest - places.begin())};
  communicator.broadcast(&first.finding, sizeof first.finding, first.rank);
  return first;
}

std::string symptom_of(const StepOutcome& outcome) {
  if (!std::isfinite(outcome.loss)) return fmt::format("the loss is {}", outcome.loss);
  double other = outcome.discriminator_loss.value_or(0);
  if (!std::isfinite(other)) return fmt::format("the discriminator's loss is {}", other);
  return "a gradient is no finite number";
}

}  // namespace

std::string explain_divergence(Session& session, const Batch& batch, int64_t step, const StepOutcome& outcome,
                               const std::string& place) {
  Learner& learner = *session.learner;
  learner.collect_gradients();
  std::string summed = learner.first_non_finite_gradient();  // before the gradients are computed anew
  First first = first_over_ranks(session.communicator, own_finding(learner, batch, step));
  std::string where;
  if (first.finding.place != std::numeric_limits<int64_t>::max()) {
    where = fmt::format("first in {} on {}", first.finding.what.data(),
                        place.empty() ? fmt::format("rank {}", first.rank) : place);
  } else if (!summed.empty()) {
    where = fmt::format("every rank's own figures are finite, their sum over ranks is not: {}", summed);
  } else {
    where = "no tensor shows it";
  }
  std::string what =
      fmt::format("step {}: {}: training has diverged, {}", step + 1, symptom_of(outcome), where);
  if (first.finding.given != 0) {
    return what +
           fmt::format("; mend {} (prepare it anew), or leave that sample out", session.config.data.train);
  }
  return what +
         "; lower optimizer.learning_rate, lengthen schedule.warmup_steps or set train.gradient_clip_norm";
}

}  // namespace trireme
