#include "inspect/tensor_file.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <system_error>

#include "base/error.h"
#include "inspect/npz.h"
#include "inspect/safetensors.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

// Both formats are little-endian and are read and written as they lie in memory.
static_assert(std::endian::native == std::endian::little);

[[noreturn]] void refuse_ending(const fs::path& path) {
  throw UsageError("{}: name a file that ends in .safetensors or .npz", path.string());
}

template <class T>
std::vector<T> elements_of(const FileTensor& tensor) {
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  if (!values.empty())
    std::memcpy(static_cast<void*>(values.data()), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

// Whether `wide` may become `narrow`: any number may be rounded, an integer may not.
template <class T>
bool is_kept(T wide, float narrow) {
  if constexpr (std::is_integral_v<T>) {
    // Compared as double, and apart from the one int64 that rounds up out of its range there.
    return static_cast<double>(narrow) == static_cast<double>(wide) && narrow < 0x1p63f &&
           static_cast<T>(narrow) == wide;
  } else {
    return std::isfinite(narrow) || !std::isfinite(static_cast<double>(wide));
  }
}

template <class T>
std::vector<float> converted(const FileTensor& tensor, const fs::path& file) {
  std::vector<T> wide = elements_of<T>(tensor);
  std::vector<float> values(wide.size());
  for (size_t i = 0; i < wide.size(); ++i) {
    values[i] = static_cast<float>(wide[i]);
    if (is_kept(wide[i], values[i])) continue;
    if constexpr (std::is_integral_v<T>) {
      throw DataError("{}: tensor {} holds {} ({}), which float32 cannot hold", file.string(), tensor.name,
                      wide[i], name_of(tensor.type));
    } else {
      throw DataError("{}: tensor {} holds {} ({}), which float32 cannot hold", file.string(), tensor.name,
                      static_cast<double>(wide[i]), name_of(tensor.type));
    }
  }
  return values;
}

}  // namespace

bool is_tensor_file_name(const fs::path& path) {
  return path.extension() == ".safetensors" || path.extension() == ".npz";
}

TensorFile read_tensor_file(const fs::path& path) {
  if (path.extension() == ".safetensors") return read_safetensors(path);
  if (path.extension() == ".npz") return read_npz(path);
  refuse_ending(path);
}

void write_tensor_file(const fs::path& path, std::span<const TensorBytes> tensors,
                       const FileMetadata& metadata) {
  if (path.extension() == ".safetensors") return write_safetensors(path, tensors, metadata);
  if (path.extension() == ".npz") return write_npz(path, tensors, metadata);
  refuse_ending(path);
}

std::vector<float> float_values(const FileTensor& tensor, const fs::path& file) {
  switch (tensor.type) {
    case DType::float32:
      return elements_of<float>(tensor);
    case DType::float64:
      return converted<double>(tensor, file);
    case DType::float16:
      return converted<Float16>(tensor, file);
    case DType::bfloat16:
      return converted<BFloat16>(tensor, file);
    case DType::int32:
      return converted<int32_t>(tensor, file);
    case DType::int64:
      return converted<int64_t>(tensor, file);
    case DType::uint8:
      return converted<uint8_t>(tensor, file);
    case DType::uint16:
      return converted<uint16_t>(tensor, file);
  }
  throw DataError("{}: tensor {} is of an unknown type", file.string(), tensor.name);
}

size_t checked_bytes(const Shape& shape, size_t element_bytes, const std::string& what) {
  // A product with a zero in it is zero, however large the other extents.
  bool empty = false;
  for (int64_t extent : shape) {
    if (extent < 0) throw DataError("{}: the shape {} has a negative extent", what, shape.to_string());
    empty = empty || extent == 0;
  }
  auto bytes = static_cast<int64_t>(element_bytes);
  for (int64_t extent : shape) {
    if (!empty && __builtin_mul_overflow(bytes, extent, &bytes)) {
      throw DataError("{}: the shape {} is larger than any file", what, shape.to_string());
    }
  }
  return empty ? 0 : static_cast<size_t>(bytes);
}

uint64_t size_of_file(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) throw MissingInputError("{}: no such file", path.string());
  auto bytes = fs::file_size(path, error);
  if (error) throw IoError("{}: cannot be read: {}", path.string(), error.message());
  return bytes;
}

}  // namespace trireme
