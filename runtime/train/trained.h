// What a run has learned, read back: for predictions and samples.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "checkpoint/reader.h"
#include "config/config.h"
#include "exec/arenas.h"

namespace trireme {

// A run's newest good checkpoint, held in memory, and the config that it was trained by.
struct Trained {
  Checkpoint checkpoint;
  Config config;
  int64_t step() const { return checkpoint.run().step; }
  // Whether the run kept a moving average of its parameters (optimizer.ema_decay; of a gan, its generator's).
  bool has_average() const;
};

// Opens `run_directory` (it holds checkpoints/), or a folder of one checkpoint (it holds manifest.json).
// Damaged checkpoints that are passed over are told to `warn`. Throws MissingInputError when there is no
// checkpoint at all, CheckpointError when all are bad, IoError.
Trained open_trained(const std::filesystem::path& run_directory,
                     const std::function<void(const std::string&)>& warn = {});

// Fills parameters and states of `arenas` (float32) by name: parameters with their moving average where the
// run kept one and `use_average` is set. The layout is that of a training program of trained.config's model
// (for a GAN: of one of its nets); it does not depend on the batch. Call Backend::parameters_changed()
// afterwards. Throws CheckpointError naming a tensor that is missing or has another shape.
void load_trained(const Trained& trained, Arenas& arenas, bool use_average = true);

}  // namespace trireme
