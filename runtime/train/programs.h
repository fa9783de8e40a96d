// The programs of a run: training and evaluation for every local batch size that occurs, over one set of
// arenas and one workspace.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>

#include "backend/backend.h"
#include "base/buffer.h"
#include "config/config.h"
#include "exec/arenas.h"
#include "exec/executor.h"
#include "models/models.h"

namespace trireme {

// The batch sizes for which this rank needs programs.
struct BatchSizes {
  std::set<int64_t> training;    // without 0; may be empty (more ranks than samples in a batch)
  std::set<int64_t> evaluation;  // without 0
};

// Of `rank` among `ranks`: slices of full and last batches. validation_samples may be 0.
BatchSizes batch_sizes(const DataConfig& data, int64_t training_samples, int64_t validation_samples, int rank,
                       int ranks);

class Programs {
 public:
  // Compiles all programs, binds those for training, and fills the arenas by config.run.seed. Evaluation
  // programs are bound when first asked for, so that a run's first step does not wait for them. Throws
  // ConfigError (the model does not fit the samples).
  Programs(const Config& config, const SampleShape& sample, const BatchSizes& sizes, int threads);

  Arenas& arenas() { return *arenas_; }
  // Throw GraphError for a size that was not announced.
  Executor& training(int64_t batch);
  Executor& evaluation(int64_t batch);
  // Must be called when parameters changed.
  void parameters_changed() { backend_->parameters_changed(); }

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Arenas> arenas_;
  Buffer workspace_;
  std::map<int64_t, std::unique_ptr<Executor>> training_;
  std::map<int64_t, Program> unbound_evaluation_;
  std::map<int64_t, std::unique_ptr<Executor>> evaluation_;
};

// The backend that train.backend names, with `threads`.
std::unique_ptr<Backend> make_backend(const TrainConfig& train, int threads);

// Compiled, not bound; for a batch of `batch` samples.
Program training_program(const Config& config, const SampleShape& sample, int64_t batch);

}  // namespace trireme
