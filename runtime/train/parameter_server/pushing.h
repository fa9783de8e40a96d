// What a worker sends, by the mode of [parallel.parameter_server]: between a learner's arenas and the client.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "comm/parameter_server/client.h"
#include "train/parameter_server/clocks.h"
#include "train/parameter_server/flat_vector.h"
#include "train/session.h"

namespace trireme {

// The mode's format of a push.
PayloadFormat payload_format(const ParameterServerConfig& mode);

// Where pulled values go and pushed ones come from. Gradients (all modes but easgd) are pulled for straight
// into the learner's arenas, and lie there when they are pushed.
class GradientPushes {
 public:
  GradientPushes(const Config& config, Session& session, std::span<const FlatShard> shards);

  std::vector<ClientShard> client_shards();
  // After a step. What push() has been given is copied by it.
  std::span<const PushSource> collect();

 private:
  const Config& config_;
  Learner& learner_;
  std::span<const FlatShard> shards_;
  std::vector<std::unique_ptr<ShardGradient>> gradients_;
  std::vector<Buffer> residuals_;  // of encodings that leave something out
  std::vector<Buffer> pulled_;     // dcasgd, shards of several nets: a copy of their parameters
  std::vector<PushSource> sources_;
};

// Elastic averaging: the learner has parameters and an optimizer of its own, and the centre is pulled into
// memory beside them. With x the worker's values, c the centre's and alpha the moving rate, an exchange is
//   d = alpha * (x - c), rounded as it travels;  x = x - d;  the servers: c = c + d
// (Zhang, Choromanska and LeCun, 2015, algorithm 1). The states (running means) do the same.
class ElasticPushes {
 public:
  ElasticPushes(const Config& config, Session& session, std::span<const FlatShard> shards,
                double moving_rate);

  std::vector<ClientShard> client_shards();
  // x = the centre that was pulled.
  void begin_at_centre();
  // After a pull: moves x, and shows d.
  std::span<const PushSource> exchange();

 private:
  const Config& config_;
  Learner& learner_;
  std::span<const FlatShard> shards_;
  double moving_rate_;
  std::vector<Buffer> centres_;      // by shard: layout.size() floats
  std::vector<Buffer> own_;          // x as the shard has it
  std::vector<Buffer> differences_;  // d
  std::vector<PushSource> sources_;
};

}  // namespace trireme
