// IDX, the format of the MNIST family (LeCun, "The MNIST database", file format section): big-endian magic
// 00 00 TYPE RANK, RANK extents of 32 bits, then the values; plain or gzipped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

#include "base/shape.h"

namespace trireme {

// Reads values of type unsigned byte (08), front to back, in bounded memory.
class IdxReader {
 public:
  // Reads the header. MissingInputError; IoError; DataError naming the file and the fault: empty, not IDX, a
  // type other than unsigned byte, no dimension or more than 4, damaged gzip.
  explicit IdxReader(const std::filesystem::path& path);
  ~IdxReader();
  IdxReader(IdxReader&&) noexcept;

  const std::filesystem::path& path() const;
  const Shape& shape() const { return shape_; }
  // Exactly values.size() more values. DataError when the file ends early or its gzip stream is damaged.
  void read(std::span<uint8_t> values);
  // After the last value: DataError when anything follows, or when gzip's checksum is wrong.
  void finish();
  // SHA-256 of the file's bytes as stored, after finish().
  std::string stored_sha256();

 private:
  class Source;
  std::unique_ptr<Source> source_;
  Shape shape_;
  int64_t values_read_ = 0;
};

}  // namespace trireme
