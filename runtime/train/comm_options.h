// [comm] of a config in the communication room's own words.
#pragma once

#include "comm/options.h"
#include "config/config.h"

namespace trireme {

inline CommOptions comm_options(const CommConfig& config) {
  CommOptions options;
  options.transport = config.transport;
  options.require_rdma = config.require_rdma;
  options.backend = config.backend;
  options.leaders = static_cast<int>(config.leaders);
  options.timeout_seconds = config.timeout_seconds;
  return options;
}

}  // namespace trireme
