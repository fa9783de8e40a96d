// safetensors (github.com/huggingface/safetensors, README "Format"): 8 bytes with the header's length
// (little-endian), the header (JSON: name -> dtype, shape, data_offsets; "__metadata__": texts), the data.
#pragma once

#include <filesystem>
#include <span>

#include "inspect/tensor_file.h"

namespace trireme {

// As strict as the public reader: a header of at most 100 MB that begins with '{', no name twice, data of all
// tensors side by side without hole or overlap up to the end of the file. DataError naming file, tensor and
// fault, also for a type that this build does not know; MissingInputError, IoError.
TensorFile read_safetensors(const std::filesystem::path& path);

// Replaced when whole. DataError for a name or a metadata text that is not UTF-8, or a name twice; IoError.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorBytes> tensors,
                       const FileMetadata& metadata);

}  // namespace trireme
