// Small raw files and data sets for the tests of the data room.
#pragma once

#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/hdf5.h"
#include "base/rng.h"
#include "config/prepare_config.h"
#include "data/prepare.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace trireme::test {

inline std::string idx_header(const std::vector<uint32_t>& extents, int type = 0x08) {
  std::string bytes{'\0', '\0', static_cast<char>(type), static_cast<char>(extents.size())};
  for (uint32_t extent : extents) {
    for (int shift : {24, 16, 8, 0}) bytes += static_cast<char>(extent >> shift);
  }
  return bytes;
}

// Values drawn at random below `bound`.
inline std::string random_bytes(size_t count, uint32_t bound = 256, uint64_t stream = 0) {
  RandomStream draws(99, Purpose::test, stream);
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(draws.below(bound));
  return bytes;
}

inline std::string gzip(const std::string& bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) throw std::bad_alloc();
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  int status = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END) throw std::runtime_error("deflate failed");
  return out;
}

inline void put(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::remove(path);  // some file systems flush to disk when a file is cut to nothing and written again
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// A raw data set of `count` random images and labels in a folder of its own.
struct RawFiles {
  TemporaryFolder folder;
  uint32_t count, height, width, channels, classes;
  std::string pixels, labels;

  explicit RawFiles(uint32_t n = 50, uint32_t h = 6, uint32_t w = 5, uint32_t c = 1, uint32_t k = 4)
      : count(n), height(h), width(w), channels(c), classes(k) {
    pixels = random_bytes(size_t{n} * h * w * c);
    labels = random_bytes(n, k, 1);
    put(folder / "images.gz", gzip(image_file()));
    put(folder / "labels.gz", gzip(label_file()));
  }

  std::string image_file() const {
    std::vector<uint32_t> extents{count, height, width};
    if (channels > 1) extents.push_back(channels);
    return idx_header(extents) + pixels;
  }
  std::string label_file() const { return idx_header({count}) + labels; }

  PrepareDatasetConfig config() const {
    PrepareDatasetConfig config;
    for (uint32_t i = 0; i < classes; ++i) config.class_names.push_back("class " + std::to_string(i));
    config.images = folder / "images.gz";
    config.labels = folder / "labels.gz";
    config.output = folder / "out.h5";
    return config;
  }
  // Prepared; the path of the HDF5 file.
  std::filesystem::path prepared() const {
    prepare_idx(config());
    return folder / "out.h5";
  }
};

// An HDF5 data set by hand, to be made wrong in one place.
struct HandMade {
  Shape shape{10, 4, 3, 1};
  DType type = DType::uint8;
  Shape label_shape{10};
  DType label_type = DType::uint8;
  std::vector<int64_t> labels = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0};
  std::vector<double> mean{0.5}, deviation{0.25};
  std::vector<std::string> class_names{"a", "b", "c"};
  bool with_images = true, with_labels = true, with_mean = true, with_deviation = true, with_names = true;
  h5::Layout layout{.chunk = Shape{4, 4, 3, 1}, .fletcher32 = true};

  void write(const std::filesystem::path& path) const {
    h5::Handle file = h5::create_file(path);
    if (with_images) {
      h5::Layout fitting = layout;
      if (shape.rank() != layout.chunk.rank()) fitting = {};
      h5::Handle images = h5::create_dataset(file, "/images", type, shape, fitting);
      std::vector<int64_t> pixels(static_cast<size_t>(shape.elements()));
      for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<int64_t>(i % 251);
      h5::write_all(images, DType::int64, pixels.data());
      if (with_mean) h5::write_attribute(images, "mean", mean);
      if (with_deviation) h5::write_attribute(images, "std", deviation);
      if (with_names) h5::write_attribute(images, "class_names", class_names);
    }
    if (with_labels) {
      h5::Handle dataset = h5::create_dataset(file, "/labels", label_type, label_shape);
      h5::write_all(dataset, DType::int64, labels.data());
    }
    h5::close_file(std::move(file));
  }
};

}  // namespace trireme::test
