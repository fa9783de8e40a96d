#include "data/dataset.h"

#include <utility>

#include "base/error.h"
#include "base/hdf5.h"
#include "data/file_parts.h"
#include "data/image_dataset.h"
#include "data/table_dataset.h"
#include "data/text_dataset.h"

namespace trireme {
namespace {

template <class Kind>
Datasets open_both(const DataConfig& config, DataFiles& files) {
  using File = typename Kind::File;
  auto file = files.open<File>(config.train, config.cache_bytes);
  Datasets data;
  if (config.validation_fraction > 0) {
    Split split = Kind::split(*file, config);
    data.training = std::make_unique<Kind>(file, config, *file, std::move(split.training));
    data.validation = std::make_unique<Kind>(file, config, *file, std::move(split.validation));
    return data;
  }
  data.training = std::make_unique<Kind>(file, config, *file);
  if (config.validation.empty()) return data;
  data.validation =
      std::make_unique<Kind>(files.open<File>(config.validation, config.cache_bytes), config, *file);
  return data;
}

template <class Kind>
std::unique_ptr<Dataset> open_one(const std::filesystem::path& path, const DataConfig& config,
                                  const Dataset* like) {
  auto file = std::make_shared<const typename Kind::File>(path, config.cache_bytes);
  if (!like) return std::make_unique<Kind>(file, config, *file);
  const auto* same = dynamic_cast<const Kind*>(like);
  if (!same) {
    throw DataError("{}: holds another kind of data than {}", path.string(), like->path().string());
  }
  return std::make_unique<Kind>(file, config, same->file());
}

SampleKind kind_of(const std::filesystem::path& path) {
  h5::Handle file = h5::open_file(path);
  if (h5::exists(file, "/images")) return SampleKind::image;
  if (h5::exists(file, "/tokens")) return SampleKind::text;
  if (h5::exists(file, "/features")) return SampleKind::table;
  throw DataError("{}: has no data set /images, /tokens or /features: nothing to learn from; {}",
                  path.string(), make_it_again);
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

Datasets open_datasets(const DataConfig& config, DataFiles* files) {
  DataFiles own;
  if (files == nullptr) files = &own;
  switch (kind_of(config.train)) {
    case SampleKind::image:
      return open_both<ImageDataset>(config, *files);
    case SampleKind::table:
      return open_both<TableDataset>(config, *files);
    case SampleKind::text:
      return open_both<TextDataset>(config, *files);
  }
  return {};
}

std::unique_ptr<Dataset> open_dataset(const std::filesystem::path& path, const DataConfig& config,
                                      const Dataset* like) {
  switch (kind_of(path)) {
    case SampleKind::image:
      return open_one<ImageDataset>(path, config, like);
    case SampleKind::table:
      return open_one<TableDataset>(path, config, like);
    case SampleKind::text:
      return open_one<TextDataset>(path, config, like);
  }
  return nullptr;
}

}  // namespace trireme
