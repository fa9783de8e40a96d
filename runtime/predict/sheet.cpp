#include "predict/sheet.h"

#include <png.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "comm/communicator.h"
#include "data/dataset.h"
#include "predict/network.h"
#include "train/noise.h"

namespace trireme {
namespace {
constexpr int64_t gap = 2;  // pixels
}

SheetSize sheet_size(int64_t samples, const Shape& image_shape) {
  SheetSize size;
  size.columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(samples))));
  size.rows = (samples + size.columns - 1) / size.columns;
  size.height = size.rows * (image_shape[0] + gap) + gap;
  size.width = size.columns * (image_shape[1] + gap) + gap;
  return size;
}

SheetSize write_sheet(const std::filesystem::path& path, int64_t samples, const Shape& image_shape,
                      std::span<const float> images) {
  const int64_t height = image_shape[0], row_values = image_shape[1] * image_shape[2],
                channels = image_shape[2];
  if (channels != 1 && channels != 3)
    throw DataError("a sheet shows images of 1 or 3 channels, not {}", channels);
  SheetSize size = sheet_size(samples, image_shape);
  std::vector<uint8_t> pixels(static_cast<size_t>(size.height * size.width * channels), 255);
  for (int64_t i = 0; i < samples; ++i) {
    int64_t top = i / size.columns * (height + gap) + gap,
            left = i % size.columns * (image_shape[1] + gap) + gap;
    for (int64_t y = 0; y < height; ++y) {
      const float* from = images.data() + (i * height + y) * row_values;
      uint8_t* to = pixels.data() + ((top + y) * size.width + left) * channels;
      for (int64_t x = 0; x < row_values; ++x) {
        to[x] = static_cast<uint8_t>(std::clamp((from[x] + 1.0F) * 127.5F + 0.5F, 0.0F, 255.0F));
      }
    }
  }
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(size.width);
  image.height = static_cast<png_uint_32>(size.height);
  image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::vector<std::byte> file(bytes);
  if (png_image_write_to_memory(&image, file.data(), &bytes, 0, pixels.data(), 0, nullptr) == 0) {
    throw IoError("{}: libpng: {}", path.string(), image.message);
  }
  if (path.has_parent_path()) make_directories(path.parent_path());
  write_file_atomically(path, std::span(file).first(bytes));
  return size;
}

SheetSize write_samples(const Config& config, const SheetOptions& options) {
  if (config.model.kind != "gan") {
    throw UsageError("--samples is for model.kind = \"gan\", not \"{}\"", config.model.kind);
  }
  Datasets data = open_datasets(config.data);
  const SampleShape sample = data.training->sample_shape();
  auto alone = make_self_communicator();
  Network network(config, sample, options.run_directory, *alone);
  if (options.warn) {
    for (const std::string& warning : network.warnings()) options.warn(warning);
  }
  const Shape image_shape{sample.height, sample.width, sample.channels};
  const int64_t latent = config.model.latent, batch = std::min<int64_t>(options.samples, 64);
  Executor& executor = network.program(batch);
  std::vector<float> noise(static_cast<size_t>(batch * latent)), made, images;
  for (int64_t first = 0; first < options.samples; first += batch) {
    draw_noise(options.seed, sample_noise, first, batch, latent, noise.data());
    std::array<const void*, 1> inputs{noise.data()};
    executor.step(inputs, StepScalars{});
    read_result(executor, 0, made);
    auto wanted = std::min(batch, options.samples - first) * image_shape.elements();
    images.insert(images.end(), made.begin(), made.begin() + wanted);
  }
  return write_sheet(options.sheet, options.samples, image_shape, images);
}

}  // namespace trireme
