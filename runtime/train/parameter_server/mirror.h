// A server's ordinary run of one rank: it draws or loads what shards start from, and is given their state
// back, for validation and checkpoints.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "comm/parameter_server/server.h"
#include "config/config.h"
#include "telemetry/log.h"
#include "train/parameter_server/flat_vector.h"
#include "train/parameter_server/shard_update_rules.h"
#include "train/resume.h"
#include "train/session.h"

namespace trireme {

class Mirror {
 public:
  // `threads`: to validate with, where train.threads says nothing. Throws like Session's constructor.
  Mirror(const Config& config, int threads);

  Session& session() { return *session_; }
  const Session& session() const { return *session_; }

  // The newest good checkpoint, see resume().
  void load(const std::filesystem::path& checkpoints, Logger& log);
  const Resumed& resumed() const { return resumed_; }

  // The state, as load() or restart() has left it, in `shards` shards. Throws ConfigError where there are too
  // many.
  void cut(int32_t shards);
  const std::vector<FlatShard>& shards() const { return shards_; }
  // Rules of a shard that this process holds; they outlive its server and are the mirror's.
  HostedShard host(const Config& config, int32_t shard, int64_t pieces);

  // The session has the state of these rows now. Throws CommError where they are not what shards have.
  void take(std::span<const StateRow> rows);

 private:
  void take_slot(const FlatShard& shard, size_t slot, std::span<const float> values);

  Config config_;
  std::unique_ptr<Communicator> self_;
  std::unique_ptr<Session> session_;
  Resumed resumed_;
  std::vector<FlatNet> nets_;
  std::vector<FlatShard> shards_;
  std::vector<std::unique_ptr<ShardUpdateRules>> rules_;
};

// What the learner of a process of this mode is made for: its config as an ordinary run of one rank has it.
Config mirror_config(const Config& config, int threads);

// Cores that this process may keep busy: those it is bound to, or its part of all.
int own_cores(int processes_here);

}  // namespace trireme
