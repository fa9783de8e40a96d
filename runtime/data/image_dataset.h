// Images and their classes as samples: features float32 (height, width, channels), target an int32 class.
#pragma once

#include <memory>

#include "data/dataset.h"
#include "data/image_file.h"
#include "data/split.h"
#include "data/transform.h"

namespace trireme {

class ImageDataset final : public Dataset {
 public:
  using File = ImageFile;
  // The images of `part`, transformed as `config` says, normalised by the mean and standard deviation of
  // `like`. ConfigError when a transform does not suit the images, DataError as check_alike.
  ImageDataset(std::shared_ptr<const ImageFile> file, const DataConfig& config, const ImageFile& like,
               Part part = {});
  static Split split(const ImageFile& file, const DataConfig& config);
  // DataError where size or number of classes is another.
  static void check_alike(const ImageFile& training, const ImageFile& validation);

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
    return part_.name.empty() ? sample : static_cast<int64_t>(part_.rows[static_cast<size_t>(sample)]);
  }

  std::shared_ptr<const ImageFile> file_;
  ImageTransform transform_;
  Part part_;
};

}  // namespace trireme
