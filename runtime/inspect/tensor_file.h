// Named tensors in a file that other programs read and write too: safetensors or NumPy's npz.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/shape.h"

namespace trireme {

// A view of a tensor to be written: row-major, bytes.size() == shape.elements() * size_of(type).
struct TensorBytes {
  std::string name;
  Shape shape;
  DType type = DType::float32;
  std::span<const std::byte> bytes;
};

// A tensor that was read: row-major.
struct FileTensor {
  std::string name;
  Shape shape;
  DType type = DType::float32;
  std::vector<std::byte> bytes;
};

// Texts by name that say what the file is.
using FileMetadata = std::map<std::string, std::string>;

struct TensorFile {
  std::vector<FileTensor> tensors;
  FileMetadata metadata;
};

// Whether the name ends in .safetensors or .npz.
bool is_tensor_file_name(const std::filesystem::path& path);

// By the name's ending; UsageError for another than .safetensors or .npz. Throw like read_safetensors and the
// others.
TensorFile read_tensor_file(const std::filesystem::path& path);
void write_tensor_file(const std::filesystem::path& path, std::span<const TensorBytes> tensors,
                       const FileMetadata& metadata);

// The tensor's values as float32, rounded to nearest where the type is finer. DataError naming `file` and the
// tensor for a value that float32 cannot stand for: a finite number beyond its range, an integer that would
// become another.
std::vector<float> float_values(const FileTensor& tensor, const std::filesystem::path& file);

// How many bytes a tensor of that shape takes; `what` begins the DataError for a negative extent or a number
// that does not fit 63 bits. For shapes that a file claims.
size_t checked_bytes(const Shape& shape, size_t element_bytes, const std::string& what);

// How many bytes a file has. MissingInputError, IoError.
uint64_t size_of_file(const std::filesystem::path& path);

}  // namespace trireme
