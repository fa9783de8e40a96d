// import: tensors from elsewhere become a run's first checkpoint.
#pragma once

#include <cstdint>
#include <filesystem>

#include "config/config.h"
#include "inspect/report.h"

namespace trireme {

// Reads a .safetensors or .npz file whose tensors are the parameters and states of config.model, by name, and
// makes a run directory with a checkpoint of step `step` of them, as if they had been trained so far by an
// optimizer that remembers nothing. The tensors "optimizer/..." of an export are left out. data.train must be
// there: its header tells what shape a sample is.
// Throws DataError that names all tensors that are missing, of another shape, or none of the model's; what
// read_tensor_file and float_values throw; UsageError when the directory holds checkpoints already; what
// open_datasets and build_model throw.
Report import_checkpoint(const std::filesystem::path& file, const Config& config,
                         const std::filesystem::path& run_directory, int64_t step);

}  // namespace trireme
