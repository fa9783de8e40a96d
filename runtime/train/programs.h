// The nets that a config describes, and the programs of one net: training and evaluation for every local
// batch size that occurs, over one set of arenas.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/buffer.h"
#include "base/sample_shape.h"
#include "config/config.h"
#include "exec/arenas.h"
#include "exec/compile.h"
#include "exec/executor.h"
#include "train/micro_batches.h"

namespace trireme {

// One net of a run: its forward graphs by local batch, and what updates it.
struct NetGraphs {
  std::string name;  // "model", or "generator" and "discriminator"
  std::function<Graph(int64_t batch)> training;
  std::function<Graph(int64_t batch)> evaluation;
  OptimizerConfig optimizer;
};

// The nets of config.model. Building a graph throws ConfigError when the model does not fit the samples.
std::vector<NetGraphs> net_graphs(const Config& config, const SampleShape& sample);

// How every graph of a run is compiled.
CompileOptions compile_options(const Config& config);
// The type that train.precision names.
DType activation_type(const TrainConfig& train);

// The backend that train.backend names, with `threads`.
std::unique_ptr<Backend> make_backend(const TrainConfig& train, int threads);

// The batch sizes for which a rank needs programs.
struct BatchSizes {
  Sharing sharing = {};
  std::set<int64_t> training;    // without 0; may be empty (more ranks than samples in a batch)
  std::set<int64_t> evaluation;  // without 0
  int64_t largest_share = 0;     // the most samples that this rank gets in one training step
};

// Of one rank: its pieces of full and last batches. validation_samples may be
// 0.
BatchSizes batch_sizes(const DataConfig& data, const Sharing& sharing, int64_t training_samples,
                       int64_t validation_samples);

// Of a worker that computes one piece or another of `pieces`: for any of them; sharing.rank is the first, the
// largest. Nothing is evaluated.
BatchSizes piece_batch_sizes(const DataConfig& data, int64_t pieces, int64_t micro_batches,
                             int64_t training_samples);

// Compiled at once, bound in a second step, since nets share one workspace whose size is known only when all
// of them are compiled. Evaluation programs are bound when first asked for, so that a run's first step does
// not wait for them.
class Programs {
 public:
  Programs(const NetGraphs& graphs, const BatchSizes& sizes, const CompileOptions& options);

  // Of all programs: parameters, states and statistics do not depend on the batch.
  const ArenaLayout& layout() const { return widest_.layout; }
  // The training graph, for initialising; there is one also on a rank that never has a sample.
  const Graph& graph() const { return widest_.graph; }
  // What a workspace must hold for any one of the programs.
  size_t workspace_bytes() const { return workspace_bytes_; }

  // Everything must outlive the programs; `frozen` as the executor has it.
  void bind(Backend& backend, Arenas& arenas, Buffer& workspace, const Arenas* frozen);
  // Throw GraphError for a size that was not announced.
  Executor& training(int64_t batch);
  Executor& evaluation(int64_t batch);

 private:
  std::unique_ptr<Executor> bound(Program program);

  Program widest_;
  size_t workspace_bytes_ = 0;
  std::map<int64_t, Program> unbound_training_;
  std::map<int64_t, Program> unbound_evaluation_;
  Backend* backend_ = nullptr;
  Arenas* arenas_ = nullptr;
  Buffer* workspace_ = nullptr;
  const Arenas* frozen_ = nullptr;
  std::map<int64_t, std::unique_ptr<Executor>> training_;
  std::map<int64_t, std::unique_ptr<Executor>> evaluation_;
};

}  // namespace trireme
