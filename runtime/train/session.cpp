#include "train/session.h"

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"
#include "data/sampler.h"
#include "train/together.h"
#include "train/virtual_ranks.h"

namespace trireme {
namespace {

uint64_t fingerprint_of_layouts(const Learner& learner) {
  std::string text;
  for (const auto& net : learner.nets()) {
    const ArenaLayout& layout = net->arenas().layout;
    for (const auto* tensors : {&layout.parameters, &layout.states, &layout.statistics}) {
      for (const ArenaTensor& tensor : *tensors) {
        text += fmt::format("{} {} {}\n", tensor.name, tensor.shape.to_string(), tensor.offset);
      }
    }
  }
  return fingerprint(text.data(), text.size());
}

// Collective: a step waits for the slowest rank, and buckets must be the same on all.
bool all_overlap(const Config& config, Communicator& communicator, const Placement& placement, int threads) {
  bool own = overlaps_exchange(config.comm.overlap, communicator.size(), placement, threads);
  int64_t lacking = own ? 0 : 1;
  communicator.all_reduce(&lacking, 1, DType::int64, ReduceOp::max);
  return lacking == 0;
}

// Collective: where a file is missing on one node alone, all ranks fail.
Datasets open_together(const DataConfig& config, Communicator& communicator, DataFiles* files) {
  Datasets data;
  on_every_rank(communicator, [&] { data = open_datasets(config, files); });
  return data;
}

}  // namespace

RunLength run_length(const Config& config, int64_t samples) {
  RunLength length;
  length.steps_per_epoch = steps_per_epoch(samples, config.data.batch);
  length.total_steps = config.train.epochs * length.steps_per_epoch;
  if (config.train.steps > 0) length.total_steps = std::min(length.total_steps, config.train.steps);
  return length;
}

Session::Session(const Config& session_config, Communicator& session_communicator, DataFiles* files)
    : config(session_config),
      communicator(session_communicator),
      placement(place_ranks(communicator)),
      data(open_together(config.data, communicator, files)),
      threads(compute_threads(config, placement.threads())),
      overlap(all_overlap(config, communicator, placement, threads)) {
  make(batch_sizes(config.data, sharing_of(config, communicator), data.training->size(),
                   data.validation ? data.validation->size() : 0),
       false);
}

Session::Session(const Config& session_config, Communicator& session_communicator, const PieceWork& work)
    : config(session_config),
      communicator(session_communicator),
      placement(place_ranks(communicator)),
      data(open_datasets(config.data)),
      threads(work.threads > 0 ? work.threads : compute_threads(config, placement.threads())),
      overlap(false) {
  if (communicator.size() > 1) {
    throw GraphError("a worker computes by itself, not in a group of {}", communicator.size());
  }
  make(piece_batch_sizes(config.data, work.pieces, config.train.micro_batches, data.training->size()),
       work.own_means);
}

void Session::make(const BatchSizes& sizes, bool own_means) {
  length = run_length(config, data.training->size());
  dataset_identity = data.training->identity();

  std::string text = dump_config(config);
  require_agreement(communicator, "the configs", fingerprint(text.data(), text.size()));
  require_agreement(communicator, "the training data",
                    fingerprint(dataset_identity.data(), dataset_identity.size()));
  learner = make_learner(
      {config, data.training->sample_shape(), sizes, length, threads, communicator, overlap, own_means});
  require_agreement(communicator, "the arena layouts", fingerprint_of_layouts(*learner));
  require_agreement(communicator, "the starting parameters", learner->parameters_fingerprint());
}

}  // namespace trireme
