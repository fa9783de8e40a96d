// export: a checkpoint's tensors for other programs.
#pragma once

#include <cstdint>
#include <filesystem>

#include "checkpoint/reader.h"
#include "inspect/report.h"

namespace trireme {

struct ExportOptions {
  bool optimizer = false;  // the optimizer's slots too, as "optimizer/<slot>/<name>"
  bool average = false;    // parameters are their moving average, where the run keeps one of them
};

// Writes parameters and states by their own names to a .safetensors or .npz file, replaced when whole, with
// what the checkpoint is as metadata (step, epoch, samples, seed, version, dataset_identity, averaged; in
// safetensors the config too, which would not fit into a zip file's comment). UsageError: another ending, an
// average where the run keeps none. CheckpointError when a parameter and a state have one name. IoError.
Report export_checkpoint(const Checkpoint& checkpoint, const std::filesystem::path& file,
                         const ExportOptions& options);

}  // namespace trireme
