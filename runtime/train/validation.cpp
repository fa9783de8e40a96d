#include "train/validation.h"

#include "base/error.h"
#include "data/loader.h"

namespace trireme {
namespace {

struct Sums {
  ValidationSums figures{};
  double count = 0;
};

constexpr int64_t batches_per_vote = 8;

}  // namespace

std::optional<ValidationRecord> validate(Session& session, int64_t step,
                                         const std::function<bool()>& stop_requested) {
  LoaderOptions options;
  options.rank = session.communicator.rank();
  options.ranks = session.communicator.size();
  AveragesInPlace averages(*session.learner);
  Loader loader = Loader::sequential(*session.data.validation, session.config.data, options);
  Sums sums;
  // Every rank gets equally many batches, so all vote together, and one that alone was asked to stop stops
  // all.
  for (int64_t number = 0; std::optional<Batch> batch = loader.next(); ++number) {
    if (number % batches_per_vote == 0) {
      int64_t stop = stop_requested && stop_requested() ? 1 : 0;
      session.communicator.all_reduce(&stop, 1, DType::int64, ReduceOp::max);
      if (stop != 0) return std::nullopt;
    }
    if (batch->count == 0) continue;
    session.learner->evaluate(*batch, sums.figures);
    sums.count += static_cast<double>(batch->count);
  }
  session.communicator.all_reduce(&sums, sizeof sums / sizeof(double), DType::float64);
  if (sums.count == 0) return std::nullopt;
  ValidationRecord record = session.learner->validation_record(sums.figures, sums.count);
  record.step = step;
  record.epoch = session.running_epoch(step);
  return record;
}

}  // namespace trireme
