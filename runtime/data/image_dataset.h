// Images and their classes as samples: features float32 (height, width, channels), target an int32 class.
#pragma once

#include <memory>
#include <vector>

#include "data/dataset.h"
#include "data/image_file.h"
#include "data/transform.h"

namespace trireme {

class ImageDataset final : public Dataset {
 public:
  // All of `file`, transformed as `transform` says, normalised by `statistics`' mean and standard deviation.
  // ConfigError when a transform does not suit the images.
  ImageDataset(std::shared_ptr<const ImageFile> file, const TransformConfig& transform,
               const ImageFile& statistics);
  // Some rows of it: a part of a split, told from others by `part`.
  ImageDataset(std::shared_ptr<const ImageFile> file, const TransformConfig& transform,
               const ImageFile& statistics, std::vector<uint32_t> rows, std::string part);

  const std::filesystem::path& path() const override { return file_->path(); }
  int64_t size() const override;
  SampleShape sample_shape() const override;
  std::string identity() const override;
  std::string description() const override;
  // Draws are by the row in the file, so that a split changes no sample's augmentation.
  void write(const Visit& visit, std::span<const int64_t> samples, void* features,
             void* targets) const override;

  const ImageFile& file() const { return *file_; }

 private:
  int64_t row_of(int64_t sample) const {
    return rows_.empty() ? sample : static_cast<int64_t>(rows_[static_cast<size_t>(sample)]);
  }

  std::shared_ptr<const ImageFile> file_;
  ImageTransform transform_;
  std::vector<uint32_t> rows_;  // empty: all
  std::string part_;            // empty: all
};

}  // namespace trireme
