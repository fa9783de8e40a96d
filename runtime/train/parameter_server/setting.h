// What every process of the mode is started with.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "comm/parameter_server/messages.h"
#include "comm/world.h"
#include "config/config.h"
#include "train/parameter_server/roles.h"
#include "train/session.h"
#include "train/train.h"

namespace trireme {

struct ProcessSetting {
  const Config& config;
  const TrainOptions& options;
  Launch launch;
  Roles roles;
  std::string job;  // launch_identity(), or "" for a worker that joins

  // Of a worker beside a server, in one process: whether that has ended. And of that server: how the worker
  // has failed. Empty functions where there is no such neighbour.
  std::function<bool()> server_is_over = {};
  std::function<std::optional<EndOfJob>()> worker_failure = {};

  int processes_here() const { return launch.local_size; }
};

// What servers and workers must agree on: config but for what is each process's own business (threads,
// device, loading, where files lie), the training data, the layout, and the number of pieces. Others are
// refused.
uint64_t run_fingerprint(const Config& config, const Session& session, int64_t pieces);

// UCX_TLS by comm.transport.
std::string transports_of(const Config& config);

}  // namespace trireme
