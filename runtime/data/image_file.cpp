#include "data/image_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/hdf5.h"
#include "data/chunk_cache.h"
#include "data/file_parts.h"
#include "data/prepare.h"

namespace trireme {
namespace {

// One value a channel, finite, in [low, high].
std::vector<double> read_statistic(const h5::Handle& images, const std::filesystem::path& path,
                                   const char* name, int64_t channels) {
  if (!h5::has_attribute(images, name)) {
    throw DataError("{}: /images lacks the attribute '{}' (one number a channel, of pixel / 255); {}",
                    path.string(), name, make_it_again);
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

}  // namespace

ImageFile::ImageFile(const std::filesystem::path& path, int64_t cache_bytes) : path_(path) {
  h5::Handle file = h5::open_file(path);
  h5::Handle images = open_part(file, path, "/images", "a set of labelled images");
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
  class_names_ = read_names(images, path, "/images", "class_names");
  labels_ = read_classes(open_part(file, path, "/labels", "a set of labelled images"), path, "/labels",
                         {shape[0], "images", "labels"}, classes());

  Shape chunk = h5::chunk_of(images);
  int64_t chunk_rows = chunk.rank() == 4 ? chunk[0] : rows_of_chunk(image_bytes());
  cache_ = std::make_unique<ChunkCache>(std::move(file), std::move(images), DType::uint8, shape[0],
                                        image_bytes(), chunk_rows, cache_bytes);
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
