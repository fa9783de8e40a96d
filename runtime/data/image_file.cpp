#include "data/image_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/hdf5.h"
#include "data/chunk_cache.h"
#include "data/prepare.h"

namespace trireme {
namespace {

constexpr const char* remake = "make the file again with trireme-prepare";

h5::Handle open_part(const h5::Handle& file, const std::filesystem::path& path, const char* name) {
  if (!h5::exists(file, name) || !h5::is_dataset(file, name)) {
    throw DataError("{}: has no data set {}: not a set of labelled images; {}", path.string(), name, remake);
  }
  // No cache of HDF5's own: ChunkCache keeps what is used.
  return h5::open_dataset(file, name, {.cache_bytes = 0});
}

// One value a channel, finite, in [low, high].
std::vector<double> read_statistic(const h5::Handle& images, const std::filesystem::path& path,
                                   const char* name, int64_t channels) {
  if (!h5::has_attribute(images, name)) {
    throw DataError("{}: /images lacks the attribute '{}' (one number a channel, of pixel / 255); {}",
                    path.string(), name, remake);
  }
  auto values = h5::read_double_attribute(images, name);
  if (static_cast<int64_t>(values.size()) != channels) {
    throw DataError("{}: attribute '{}' of /images holds {} numbers for {} channels", path.string(), name,
                    values.size(), channels);
  }
  for (double value : values) {
    if (!(value >= 0.0 && value <= 1.0)) {
      throw DataError("{}: attribute '{}' of /images holds {}, which is no {} of pixel / 255", path.string(),
                      name, value, name);
    }
  }
  return values;
}

std::vector<int32_t> read_labels(const h5::Handle& file, const std::filesystem::path& path, int64_t count,
                                 int64_t classes) {
  h5::Handle dataset = open_part(file, path, "/labels");
  Shape shape = h5::shape_of(dataset);
  if (shape.rank() != 1) {
    throw DataError("{}: /labels has shape {}, must be (N)", path.string(), shape.to_string());
  }
  if (shape[0] != count) {
    throw DataError("{}: {} images but {} labels", path.string(), count, shape[0]);
  }
  DType type = h5::dtype_of(dataset);
  if (type != DType::uint8 && type != DType::int32 && type != DType::int64) {
    throw DataError("{}: /labels holds {}, must be whole numbers (uint8 or int64)", path.string(),
                    name_of(type));
  }
  std::vector<int64_t> stored(static_cast<size_t>(count));
  h5::read_all(dataset, DType::int64, stored.data());
  std::vector<int32_t> labels(stored.size());
  for (size_t i = 0; i < stored.size(); ++i) {
    if (stored[i] < 0 || stored[i] >= classes) {
      throw DataError("{}: label {} of sample {} is none of the {} classes", path.string(), stored[i], i,
                      classes);
    }
    labels[i] = static_cast<int32_t>(stored[i]);
  }
  return labels;
}

}  // namespace

ImageFile::ImageFile(const std::filesystem::path& path, int64_t cache_bytes) : path_(path) {
  h5::Handle file = h5::open_file(path);
  h5::Handle images = open_part(file, path, "/images");
  Shape shape = h5::shape_of(images);
  if (shape.rank() != 4) {
    throw DataError("{}: /images has shape {}, must be (N, H, W, C)", path.string(), shape.to_string());
  }
  if (h5::dtype_of(images) != DType::uint8) {
    throw DataError("{}: /images holds {}, must be uint8", path.string(), name_of(h5::dtype_of(images)));
  }
  image_shape_ = Shape{shape[1], shape[2], shape[3]};
  if (shape[0] == 0 || image_bytes() == 0) {
    throw DataError("{}: /images has shape {}: there is nothing in it", path.string(), shape.to_string());
  }
  mean_ = read_statistic(images, path, "mean", channels());
  standard_deviation_ = read_statistic(images, path, "std", channels());
  if (!h5::has_attribute(images, "class_names")) {
    throw DataError("{}: /images lacks the attribute 'class_names'; {}", path.string(), remake);
  }
  class_names_ = h5::read_strings_attribute(images, "class_names");
  if (class_names_.empty()) throw DataError("{}: attribute 'class_names' of /images is empty", path.string());
  labels_ = read_labels(file, path, shape[0], classes());

  Shape chunk = h5::chunk_of(images);
  int64_t chunk_rows = chunk.rank() == 4 ? chunk[0] : rows_of_chunk(image_bytes());
  cache_ = std::make_unique<ChunkCache>(std::move(file), std::move(images), shape[0], image_bytes(),
                                        chunk_rows, cache_bytes);
}

ImageFile::~ImageFile() = default;
ImageFile::ImageFile(ImageFile&&) noexcept = default;

ImageFile::Image ImageFile::image(int64_t sample) const {
  int64_t rows = cache_->chunk_rows();
  auto chunk = cache_->get(sample / rows);
  const uint8_t* pixels = chunk->data() + sample % rows * image_bytes();
  return {pixels, std::move(chunk)};
}

void ImageFile::read_rows(int64_t first, int64_t count, uint8_t* pixels) const {
  auto bytes = static_cast<size_t>(image_bytes());
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(pixels + static_cast<size_t>(i) * bytes, image(first + i).pixels, bytes);
  }
}

}  // namespace trireme
