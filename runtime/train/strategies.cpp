#include "train/strategies.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "train/allreduce.h"
#include "train/piece_strategy.h"

namespace trireme {
namespace {

// Of a net of one bucket nothing could be exchanged before all is ready, and of any net the last bucket is
// never hidden: so, where exchange overlaps, a net makes some buckets at least, as long as they are worth a
// collective each.
constexpr size_t least_buckets = 16;
constexpr size_t least_bucket_bytes = size_t{64} << 10;

size_t piece_bytes(const CommConfig& comm, size_t gradient_bytes, bool overlaps) {
  auto bytes = static_cast<size_t>(comm.bucket_bytes);
  if (!overlaps) return bytes;
  return std::min(bytes, std::max(gradient_bytes / least_buckets, least_bucket_bytes));
}

std::unique_ptr<Strategy> make_allreduce(const Config& config, const OptimizerConfig& optimizer,
                                         Arenas& arenas, Communicator& communicator, Exchanger& exchanger,
                                         int threads) {
  AllReduceOptions options;
  options.threads = threads;
  options.bucket_bytes =
      piece_bytes(config.comm, arenas.layout.gradient_elements * sizeof(float), exchanger.overlaps());
  options.clip_norm = config.train.gradient_clip_norm;
  std::vector<UpdateSpan> spans = update_spans(parameter_tensors(arenas.layout), optimizer);
  Shards shards;
  if (config.allreduce.shard_optimizer && communicator.size() > 1) {
    Cut cut = make_optimizer(optimizer, {})->cut();
    shards = make_shards(spans, cut, options.bucket_bytes / sizeof(float), communicator.size());
    spans = owned_spans(spans, owned_ranges(shards.parameters, communicator.rank()));
  }
  return std::make_unique<AllReduceStrategy>(arenas, communicator, exchanger,
                                             make_optimizer(optimizer, std::move(spans)), options,
                                             std::move(shards));
}

// The servers have the optimizer.
std::unique_ptr<Strategy> make_parameter_server(const Config& config, const OptimizerConfig&, Arenas& arenas,
                                                Communicator& communicator, Exchanger&, int threads) {
  if (communicator.size() > 1) {
    throw GraphError("parameter_server: a worker computes by itself, not in a group of {}",
                     communicator.size());
  }
  return std::make_unique<PieceStrategy>(arenas, config.train.gradient_clip_norm, threads);
}

struct Row {
  std::string_view mode;
  std::unique_ptr<Strategy> (*make)(const Config&, const OptimizerConfig&, Arenas&, Communicator&, Exchanger&,
                                    int threads);
};

constexpr std::array rows{
    Row{"allreduce", make_allreduce},
    Row{"parameter_server", make_parameter_server},
};

}  // namespace

std::unique_ptr<Strategy> make_strategy(const Config& config, const OptimizerConfig& optimizer,
                                        Arenas& arenas, Communicator& communicator, Exchanger& exchanger,
                                        int threads) {
  for (const Row& row : rows) {
    if (row.mode == config.parallel.mode)
      return row.make(config, optimizer, arenas, communicator, exchanger, threads);
  }
  throw ConfigError("{}: parallel.mode = \"{}\": no such strategy", config.where("parallel.mode"),
                    config.parallel.mode);
}

std::vector<ParameterTensor> parameter_tensors(const ArenaLayout& layout) {
  std::vector<ParameterTensor> tensors;
  for (size_t i = 0; i < layout.parameters.size(); ++i) {
    const ArenaTensor& tensor = layout.parameters[i];
    bool last = i + 1 == layout.parameters.size();
    size_t end = last ? layout.parameter_elements : layout.parameters[i + 1].offset;
    tensors.push_back({tensor.name, tensor.shape.rank(), {tensor.offset, end}});
  }
  return tensors;
}

std::vector<std::string_view> strategy_modes() {
  std::vector<std::string_view> modes;
  for (const Row& row : rows) modes.push_back(row.mode);
  return modes;
}

}  // namespace trireme
