// A set of labelled images in an HDF5 file, as the contract has it:
//   /images  uint8 (N, H, W, C), chunked along N, fletcher32; attributes mean and std (double, one a channel,
//   of
//            pixel / 255) and class_names (text, one a class)
//   /labels  uint8 or int64 (N), each in [0, classes)
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/shape.h"

namespace trireme {

class ChunkCache;

// Opening reads labels and attributes only; pixels are read on demand, a chunk at a time, checked by their
// checksum, and kept in a cache. All const members may be called from any number of threads.
class ImageFile {
 public:
  // cache_bytes bounds what is kept of the pixels (one chunk a reading thread stays beyond it).
  // Throws MissingInputError, IoError, or DataError naming the file and what breaks the contract: /images or
  // /labels missing, of wrong rank or type, of different length; an attribute missing or of the wrong length;
  // no class; a label that is no class; not an HDF5 file or cut short.
  ImageFile(const std::filesystem::path& path, int64_t cache_bytes);
  ~ImageFile();
  ImageFile(ImageFile&&) noexcept;

  const std::filesystem::path& path() const { return path_; }
  int64_t size() const { return static_cast<int64_t>(labels_.size()); }
  // (H, W, C) of one image.
  const Shape& image_shape() const { return image_shape_; }
  int64_t image_bytes() const { return image_shape_.elements(); }
  int64_t channels() const { return image_shape_[2]; }
  int64_t classes() const { return static_cast<int64_t>(class_names_.size()); }
  const std::vector<std::string>& class_names() const { return class_names_; }
  // Per channel, of pixel / 255; std is above 0.
  const std::vector<double>& mean() const { return mean_; }
  const std::vector<double>& standard_deviation() const { return standard_deviation_; }
  // All labels, in order.
  std::span<const int32_t> labels() const { return labels_; }

  // The pixels of one image, kept alive by `owner` whatever the cache does meanwhile.
  struct Image {
    const uint8_t* pixels;  // (H, W, C)
    std::shared_ptr<const std::vector<uint8_t>> owner;
  };
  // sample in [0, size()). Throws DataError naming file and rows when a chunk fails its checksum.
  Image image(int64_t sample) const;
  // Copies images [first, first + count) to `pixels`, count * image_bytes() bytes.
  void read_rows(int64_t first, int64_t count, uint8_t* pixels) const;

 private:
  std::filesystem::path path_;
  Shape image_shape_;
  std::vector<std::string> class_names_;
  std::vector<double> mean_;
  std::vector<double> standard_deviation_;
  std::vector<int32_t> labels_;
  std::unique_ptr<ChunkCache> cache_;
};

}  // namespace trireme
