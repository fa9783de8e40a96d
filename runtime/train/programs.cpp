#include "train/programs.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "data/sampler.h"
#include "models/models.h"
#include "train/micro_batches.h"

namespace trireme {
namespace {

void add_size(std::set<int64_t>& sizes, int64_t size) {
  if (size > 0) sizes.insert(size);
}

void add_pieces(std::set<int64_t>& sizes, int64_t global_count, const Sharing& sharing) {
  Pieces pieces(global_count, sharing);
  for (int64_t i = 0; i < pieces.count(); ++i) add_size(sizes, pieces[i].count);
}

Recompute recompute_policy(const TrainConfig& train) {
  if (train.recompute == "none") return Recompute::none;
  if (train.recompute == "layer") return Recompute::layer;
  if (train.recompute == "sqrt") return Recompute::sqrt;
  throw ConfigError("train.recompute = \"{}\": no such policy", train.recompute);
}

// Both nets are validated by the programs they learn by, forward only: a discriminator tells nothing else.
std::vector<NetGraphs> gan_graphs(const Config& config, const SampleShape& sample) {
  auto generator = [config, sample](int64_t batch) {
    return build_generator_training(config, sample, batch);
  };
  auto discriminator = [config, sample](int64_t batch) {
    return build_discriminator_training(config, sample, batch);
  };
  return {{"generator", generator, generator, config.optimizer},
          {"discriminator", discriminator, discriminator, config.discriminator_optimizer}};
}

}  // namespace

std::vector<NetGraphs> net_graphs(const Config& config, const SampleShape& sample) {
  if (config.model.kind == "gan") return gan_graphs(config, sample);
  auto graph = [config, sample](GraphMode mode) {
    return [config, sample, mode](int64_t batch) { return build_model(config, sample, batch, mode); };
  };
  return {{"model", graph(GraphMode::training), graph(GraphMode::evaluation), config.optimizer}};
}

DType activation_type(const TrainConfig& train) {
  for (DType type : {DType::float32, DType::bfloat16, DType::float16}) {
    if (train.precision == name_of(type)) return type;
  }
  throw ConfigError("train.precision = \"{}\": no such type; float32, bfloat16 and float16 are known",
                    train.precision);
}

CompileOptions compile_options(const Config& config) {
  CompileOptions options;
  options.precision = activation_type(config.train);
  options.recompute = recompute_policy(config.train);
  return options;
}

std::unique_ptr<Backend> make_backend(const TrainConfig& train, int threads) {
  if (train.backend == "reference") return make_reference_backend();
  if (train.backend == "cpu") {
    return make_cpu_backend({.threads = threads, .matrix_units = train.matrix_units});
  }
  throw ConfigError("train.backend = \"{}\": no such backend", train.backend);
}

BatchSizes batch_sizes(const DataConfig& data, const Sharing& sharing, int64_t training_samples,
                       int64_t validation_samples) {
  BatchSizes sizes;
  sizes.sharing = sharing;
  int64_t largest = std::min(data.batch, training_samples);
  sizes.largest_share =
      static_cast<int64_t>(share_of(largest, sharing.rank, sharing.ranks, sharing.virtual_ranks).size());
  if (training_samples >= data.batch) add_pieces(sizes.training, data.batch, sharing);
  add_pieces(sizes.training, training_samples % data.batch, sharing);
  auto own = static_cast<int64_t>(slice_of(validation_samples, sharing.rank, sharing.ranks).size());
  if (own >= data.validation_batch) add_size(sizes.evaluation, data.validation_batch);
  add_size(sizes.evaluation, own % data.validation_batch);
  return sizes;
}

BatchSizes piece_batch_sizes(const DataConfig& data, int64_t pieces, int64_t micro_batches,
                             int64_t training_samples) {
  Sharing sharing{.rank = 0, .ranks = pieces, .micro_batches = micro_batches};
  BatchSizes sizes = batch_sizes(data, sharing, training_samples, 0);
  // Pieces of one batch differ by a sample at most: the last is the smallest.
  sharing.rank = pieces - 1;
  sizes.training.merge(batch_sizes(data, sharing, training_samples, 0).training);
  return sizes;
}

Programs::Programs(const NetGraphs& graphs, const BatchSizes& sizes, const CompileOptions& options)
    : widest_(
          compile_training(graphs.training(sizes.training.empty() ? 1 : *sizes.training.rbegin()), options)) {
  for (int64_t batch : sizes.training) {
    Program program = compile_training(graphs.training(batch), options);
    workspace_bytes_ = std::max(workspace_bytes_, program.plan.bytes);
    unbound_training_.emplace(batch, std::move(program));
  }
  for (int64_t batch : sizes.evaluation) {
    Program program = compile_evaluation(graphs.evaluation(batch), layout(), options);
    workspace_bytes_ = std::max(workspace_bytes_, program.plan.bytes);
    unbound_evaluation_.emplace(batch, std::move(program));
  }
}

void Programs::bind(Backend& backend, Arenas& arenas, Buffer& workspace, const Arenas* frozen) {
  backend_ = &backend;
  arenas_ = &arenas;
  workspace_ = &workspace;
  frozen_ = frozen;
  for (auto& [batch, program] : unbound_training_) training_.emplace(batch, bound(std::move(program)));
  unbound_training_.clear();
}

std::unique_ptr<Executor> Programs::bound(Program program) {
  return std::make_unique<Executor>(std::move(program), *backend_, *arenas_, *workspace_, frozen_);
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
    evaluation_.emplace(batch, bound(std::move(program)));
  }
  auto found = evaluation_.find(batch);
  if (found == evaluation_.end()) throw GraphError("no evaluation program for a local batch of {}", batch);
  return *found->second;
}

}  // namespace trireme
