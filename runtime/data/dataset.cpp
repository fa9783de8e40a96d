#include "data/dataset.h"

#include <utility>

#include "base/error.h"
#include "data/image_dataset.h"
#include "data/split.h"

namespace trireme {
namespace {

std::shared_ptr<const ImageFile> open_images(const std::filesystem::path& path, const DataConfig& config) {
  return std::make_shared<const ImageFile>(path, config.cache_bytes);
}

// The validation set must look like the training set.
void check_same_kind(const ImageFile& training, const ImageFile& validation) {
  if (training.image_shape() != validation.image_shape() || training.classes() != validation.classes()) {
    throw DataError(
        "{}: images {} of {} classes, but the training data ({}) has {} of {}: validate on data of the "
        "same shape and classes",
        validation.path().string(), validation.image_shape().to_string(), validation.classes(),
        training.path().string(), training.image_shape().to_string(), training.classes());
  }
}

Datasets open_image_datasets(const DataConfig& config) {
  auto file = open_images(config.train, config);
  Datasets data;
  if (config.validation_fraction > 0) {
    Split split = split_rows(file->size(), config.validation_fraction, file->path());
    data.training = std::make_unique<ImageDataset>(file, config.transform, *file, std::move(split.training),
                                                   "training part");
    data.validation = std::make_unique<ImageDataset>(file, config.transform, *file,
                                                     std::move(split.validation), "validation part");
    return data;
  }
  data.training = std::make_unique<ImageDataset>(file, config.transform, *file);
  if (!config.validation.empty()) {
    auto validation = open_images(config.validation, config);
    check_same_kind(*file, *validation);
    data.validation = std::make_unique<ImageDataset>(validation, config.transform, *file);
  }
  return data;
}

}  // namespace

int64_t features_bytes(const SampleShape& shape) {
  switch (shape.kind) {
    case SampleKind::image:
      return shape.height * shape.width * shape.channels * 4;
    case SampleKind::table:
      return shape.features * 4;
    case SampleKind::text:
      return shape.length * 4;
  }
  return 0;
}

int64_t targets_bytes(const SampleShape& shape) {
  switch (shape.kind) {
    case SampleKind::image:
      return 4;
    case SampleKind::table:
      return shape.classes > 0 ? 4 : shape.targets * 4;
    case SampleKind::text:
      return shape.length * 4;
  }
  return 0;
}

Datasets open_datasets(const DataConfig& config) { return open_image_datasets(config); }

std::unique_ptr<Dataset> open_dataset(const std::filesystem::path& path, const DataConfig& config,
                                      const Dataset* like) {
  auto file = open_images(path, config);
  const auto* images = dynamic_cast<const ImageDataset*>(like);
  if (images) check_same_kind(images->file(), *file);
  return std::make_unique<ImageDataset>(file, config.transform, images ? images->file() : *file);
}

}  // namespace trireme
