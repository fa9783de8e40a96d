#include "train/validation.h"

#include <array>

#include "base/error.h"
#include "data/loader.h"

namespace trireme {
namespace {

struct Sums {
  double loss = 0, correct = 0, count = 0, stop_votes = 0;
};

double scalar_result(const Executor& executor, size_t index) {
  ValueId id = executor.program().graph.results.at(index);
  return *static_cast<const float*>(executor.address(id));
}

}  // namespace

std::optional<ValidationRecord> validate(Session& session, int64_t step,
                                         const std::function<bool()>& stop_requested) {
  LoaderOptions options;
  options.rank = session.communicator.rank();
  options.ranks = session.communicator.size();
  options.normalize_like = &session.training;
  Loader loader = Loader::sequential(*session.validation, session.config.data, options);
  Sums sums;
  while (std::optional<Batch> batch = loader.next()) {
    if (stop_requested && stop_requested()) {
      sums.stop_votes = 1;
      break;
    }
    if (batch->count == 0) continue;
    Executor& executor = session.programs->evaluation(batch->count);
    StepScalars scalars;
    scalars.seed = static_cast<uint64_t>(session.config.run.seed);
    scalars.step = step;
    scalars.first_sample = batch->first;
    scalars.sample_weight = 1;  // sums, not means
    std::array<const void*, 2> inputs{batch->images, batch->labels};
    executor.step(inputs, scalars);
    sums.loss += scalar_result(executor, 0);
    sums.correct += scalar_result(executor, 1);
    sums.count += static_cast<double>(batch->count);
  }
  session.communicator.all_reduce(&sums, sizeof sums / sizeof(double), DType::float64);
  if (sums.stop_votes > 0 || sums.count == 0) return std::nullopt;
  return ValidationRecord{step, session.running_epoch(step), sums.loss / sums.count,
                          sums.correct / sums.count};
}

}  // namespace trireme
