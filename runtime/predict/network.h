// A trained net, ready to run forward.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "backend/backend.h"
#include "base/sample_shape.h"
#include "comm/communicator.h"
#include "config/config.h"
#include "exec/arenas.h"
#include "exec/executor.h"

namespace trireme {

// What a checkpoint said of the run it is from.
struct TrainedRun {
  std::filesystem::path checkpoint;
  int64_t step = 0;
  bool averaged = false;  // the parameters are the run's moving average
};

// The model of a config (a gan's generator) with a run's newest good checkpoint in it. Programs are made for
// the batch sizes that are asked for.
class Network {
 public:
  // Rank 0 reads and verifies the checkpoint, the others get its values. Collective. Throws ConfigError (the
  // model does not fit the samples), MissingInputError (no run, no checkpoint: train first), CheckpointError
  // (damaged, or of another model: names the tensor).
  Network(const Config& config, const SampleShape& sample, const std::filesystem::path& run_directory,
          Communicator& communicator);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // Of rank 0; others have the step alone.
  const TrainedRun& run() const { return run_; }
  // Damaged checkpoints that were passed over, in words. Rank 0.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // The forward program for `batch` samples: inputs and results are those of models.h in evaluation.
  Executor& program(int64_t batch);

 private:
  Graph graph(int64_t batch) const;
  void load(const std::filesystem::path& run_directory, Communicator& communicator);

  const Config& config_;
  SampleShape sample_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Arenas> arenas_;
  struct Bound {
    Buffer workspace;
    std::unique_ptr<Executor> executor;
  };
  std::map<int64_t, Bound> programs_;
  TrainedRun run_;
  std::vector<std::string> warnings_;
};

// Result `index` (from the end where negative) of a program after its step, as float32 values in `values`.
void read_result(const Executor& executor, int index, std::vector<float>& values);

}  // namespace trireme
