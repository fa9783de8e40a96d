#include "train/validation.h"

#include "base/error.h"
#include "data/loader.h"

namespace trireme {
namespace {

struct Sums {
  ValidationSums figures{};
  double count = 0, stop_votes = 0;
};

}  // namespace

std::optional<ValidationRecord> validate(Session& session, int64_t step,
                                         const std::function<bool()>& stop_requested) {
  LoaderOptions options;
  options.rank = session.communicator.rank();
  options.ranks = session.communicator.size();
  AveragesInPlace averages(*session.learner);
  Loader loader = Loader::sequential(*session.data.validation, session.config.data, options);
  Sums sums;
  while (std::optional<Batch> batch = loader.next()) {
    if (stop_requested && stop_requested()) {
      sums.stop_votes = 1;
      break;
    }
    if (batch->count == 0) continue;
    session.learner->evaluate(*batch, sums.figures);
    sums.count += static_cast<double>(batch->count);
  }
  session.communicator.all_reduce(&sums, sizeof sums / sizeof(double), DType::float64);
  if (sums.stop_votes > 0 || sums.count == 0) return std::nullopt;
  ValidationRecord record = session.learner->validation_record(sums.figures, sums.count);
  record.step = step;
  record.epoch = session.running_epoch(step);
  return record;
}

}  // namespace trireme
