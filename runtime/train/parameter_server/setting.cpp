#include "train/parameter_server/setting.h"

#include <fmt/format.h>

#include "train/placement.h"

namespace trireme {

uint64_t run_fingerprint(const Config& config, const Session& session, int64_t pieces) {
  Config common = config;
  common.run.name.clear();
  common.data.train.clear();
  common.data.validation.clear();
  common.data.cache_bytes = DataConfig{}.cache_bytes;
  common.data.loader_threads = DataConfig{}.loader_threads;
  common.data.prefetch_batches = DataConfig{}.prefetch_batches;
  common.train.threads = TrainConfig{}.threads;
  common.train.device = TrainConfig{}.device;
  common.train.backend = TrainConfig{}.backend;
  common.comm = CommConfig{};
  common.checkpoint = CheckpointConfig{};
  common.parameter_server.threads = 0;
  std::string text = dump_config(common) + session.dataset_identity;
  for (const auto& net : session.learner->nets()) {
    for (const ArenaTensor& tensor : net->arenas().layout.parameters) {
      text += fmt::format("{} {} {}\n", tensor.name, tensor.shape.to_string(), tensor.offset);
    }
  }
  text += fmt::format("{} pieces, {}", pieces, TRIREME_VERSION);
  return fingerprint(text.data(), text.size());
}

std::string transports_of(const Config& config) {
  if (config.comm.transport == "tcp") return "tcp,sm,self";
  if (config.comm.transport == "shared_memory") return "sm,self";
  if (config.comm.transport == "rdma") return "ib,sm,self";
  return "";
}

}  // namespace trireme
