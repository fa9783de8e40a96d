#include "train/programs.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "data/sampler.h"
#include "exec/compile.h"
#include "exec/initialize.h"

namespace trireme {
namespace {

void add_size(std::set<int64_t>& sizes, int64_t size) {
  if (size > 0) sizes.insert(size);
}

Program evaluation_program(const Config& config, const SampleShape& sample, int64_t batch,
                           const ArenaLayout& layout) {
  return compile_evaluation(build_model(config, sample, batch, GraphMode::evaluation), layout);
}

}  // namespace

BatchSizes batch_sizes(const DataConfig& data, int64_t training_samples, int64_t validation_samples, int rank,
                       int ranks) {
  auto slice = [&](int64_t count) { return static_cast<int64_t>(slice_of(count, rank, ranks).size()); };
  BatchSizes sizes;
  if (training_samples >= data.batch) add_size(sizes.training, slice(data.batch));
  add_size(sizes.training, slice(training_samples % data.batch));
  int64_t own = slice(validation_samples);
  if (own >= data.validation_batch) add_size(sizes.evaluation, data.validation_batch);
  add_size(sizes.evaluation, own % data.validation_batch);
  return sizes;
}

std::unique_ptr<Backend> make_backend(const TrainConfig& train, int threads) {
  if (train.backend == "reference") return make_reference_backend();
  if (train.backend == "cpu") return make_cpu_backend({.threads = threads});
  throw ConfigError("train.backend = \"{}\": no such backend", train.backend);
}

Program training_program(const Config& config, const SampleShape& sample, int64_t batch) {
  return compile_training(build_model(config, sample, batch, GraphMode::training));
}

Programs::Programs(const Config& config, const SampleShape& sample, const BatchSizes& sizes, int threads)
    : backend_(make_backend(config.train, threads)) {
  // The layout is the same for all batch sizes, and a rank that never has a sample needs it too.
  Program shape_of_all =
      training_program(config, sample, sizes.training.empty() ? 1 : *sizes.training.rbegin());
  arenas_ = std::make_unique<Arenas>(shape_of_all.layout);
  initialize_arenas(shape_of_all.graph, static_cast<uint64_t>(config.run.seed), *arenas_);

  std::map<int64_t, Program> training;
  size_t bytes = 0;
  for (int64_t batch : sizes.training) {
    bytes = std::max(
        bytes, training.emplace(batch, training_program(config, sample, batch)).first->second.plan.bytes);
  }
  for (int64_t batch : sizes.evaluation) {
    Program program = evaluation_program(config, sample, batch, arenas_->layout);
    bytes = std::max(bytes, program.plan.bytes);
    unbound_evaluation_.emplace(batch, std::move(program));
  }
  workspace_ = Buffer(bytes);
  for (auto& [batch, program] : training) {
    training_.emplace(batch, std::make_unique<Executor>(std::move(program), *backend_, *arenas_, workspace_));
  }
}

Executor& Programs::training(int64_t batch) {
  auto found = training_.find(batch);
  if (found == training_.end()) throw GraphError("no training program for a local batch of {}", batch);
  return *found->second;
}

Executor& Programs::evaluation(int64_t batch) {
  if (auto found = unbound_evaluation_.find(batch); found != unbound_evaluation_.end()) {
    Program program = std::move(found->second);
    unbound_evaluation_.erase(found);
    evaluation_.emplace(batch,
                        std::make_unique<Executor>(std::move(program), *backend_, *arenas_, workspace_));
  }
  auto found = evaluation_.find(batch);
  if (found == evaluation_.end()) throw GraphError("no evaluation program for a local batch of {}", batch);
  return *found->second;
}

}  // namespace trireme
