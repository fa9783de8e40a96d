#include "data/image_dataset.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "data/identity.h"

namespace trireme {
namespace {

// Asks for the beginning of an image; the processor follows the rest by itself.
void fetch(const uint8_t* pixels, int64_t bytes) {
  constexpr int64_t line = 64, most = 2048;
  for (int64_t at = 0; at < std::min(bytes, most); at += line) __builtin_prefetch(pixels + at);
}

}  // namespace

ImageDataset::ImageDataset(std::shared_ptr<const ImageFile> file, const DataConfig& config,
                           const ImageFile& like, Part part)
    : file_(std::move(file)),
      transform_(config.transform, file_->image_shape(), like.mean(), like.standard_deviation()),
      part_(std::move(part)) {
  check_alike(like, *file_);
}

Split ImageDataset::split(const ImageFile& file, const DataConfig& config) {
  return split_rows(file.size(), config.validation_fraction, file.path());
}

void ImageDataset::check_alike(const ImageFile& training, const ImageFile& validation) {
  if (training.image_shape() == validation.image_shape() && training.classes() == validation.classes())
    return;
  throw DataError(
      "{}: images {} of {} classes, but the training data ({}) has {} of {}: validate on data of the "
      "same shape and classes",
      validation.path().string(), validation.image_shape().to_string(), validation.classes(),
      training.path().string(), training.image_shape().to_string(), training.classes());
}

int64_t ImageDataset::size() const {
  return part_.name.empty() ? file_->size() : static_cast<int64_t>(part_.rows.size());
}

SampleShape ImageDataset::sample_shape() const {
  const Shape& shape = transform_.output_shape();
  return {.height = shape[0], .width = shape[1], .channels = shape[2], .classes = file_->classes()};
}

std::string ImageDataset::identity() const {
  Identity identity(fmt::format("{} {} {} {} {}", file_->size(), file_->image_shape().to_string(),
                                file_->classes(), fmt::join(file_->mean(), " "),
                                fmt::join(file_->standard_deviation(), " ")));
  identity.add(file_->labels());
  identity.add(part_);
  return identity.hex();
}

std::string ImageDataset::description() const {
  const Shape& stored = file_->image_shape();
  const Shape& shape = transform_.output_shape();
  std::string text =
      fmt::format("{} samples: images of {} x {} x {}", size(), stored[0], stored[1], stored[2]);
  if (shape != stored) text += fmt::format(" (read as {} x {})", shape[0], shape[1]);
  return text + fmt::format(", {} classes", file_->classes());
}

void ImageDataset::write(const Visit& visit, std::span<const int64_t> samples, void* features,
                         void* targets) const {
  auto* out = static_cast<float*>(features);
  auto* labels = static_cast<int32_t*>(targets);
  const int64_t values = transform_.output_shape().elements();
  if (samples.empty()) return;
  ImageTransform::Scratch scratch;
  ImageFile::Image next = file_->image(row_of(samples[0]));
  for (size_t i = 0; i < samples.size(); ++i) {
    int64_t row = row_of(samples[i]);
    ImageFile::Image image = std::move(next);
    if (i + 1 < samples.size()) {
      // Shuffled images lie anywhere in memory: fetch the next while this one is worked on.
      next = file_->image(row_of(samples[i + 1]));
      fetch(next.pixels, file_->image_bytes());
    }
    ImageTransform::Draw drawn =
        visit.augment ? transform_.draw(visit.seed, visit.epoch, row) : transform_.plain();
    transform_.apply(image.pixels, drawn, scratch, out + static_cast<int64_t>(i) * values);
    labels[i] = file_->labels()[static_cast<size_t>(row)];
  }
}

}  // namespace trireme
