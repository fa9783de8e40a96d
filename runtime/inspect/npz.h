// NumPy's npz: a zip archive of NAME.npy files (numpy.org, "NumPy: lib.format"), stored or deflated.
#pragma once

#include <filesystem>
#include <span>

#include "inspect/tensor_file.h"

namespace trireme {

// Arrays of '<f2', '<f4', '<f8', '<i4', '<i8', '|u1' and '<u2', in C or Fortran order; also compressed, also
// beyond 4 GiB. Checksums are verified. The archive's comment, where write_npz has left one, is the metadata.
// DataError naming file, array and fault, also for a type that this build does not know or a member that is
// no array; MissingInputError, IoError.
TensorFile read_npz(const std::filesystem::path& path);

// Replaced when whole; stored, not compressed. Metadata go into the archive's comment, where NumPy does not
// look. DataError for a name twice or a type that NumPy has not (bfloat16); IoError.
void write_npz(const std::filesystem::path& path, std::span<const TensorBytes> tensors,
               const FileMetadata& metadata);

}  // namespace trireme
