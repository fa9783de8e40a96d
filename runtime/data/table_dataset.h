// Rows of a table as samples: features float32 (F), target an int32 class or float32 (K) values.
#pragma once

#include <memory>
#include <vector>

#include "data/dataset.h"
#include "data/split.h"
#include "data/table_file.h"

namespace trireme {

class TableDataset final : public Dataset {
 public:
  using File = TableFile;
  // The rows of `part`. With data.transform.normalize a feature becomes (x - mean) / std by the statistics of
  // `like` (only centred where std is 0); targets stay as they are. DataError as check_alike.
  TableDataset(std::shared_ptr<const TableFile> file, const DataConfig& config, const TableFile& like,
               Part part = {});
  static Split split(const TableFile& file, const DataConfig& config);
  // DataError where columns or targets are others.
  static void check_alike(const TableFile& training, const TableFile& validation);

  const std::filesystem::path& path() const override { return file_->path(); }
  int64_t size() const override;
  SampleShape sample_shape() const override;
  std::string identity() const override;
  std::string description() const override;
  void write(const Visit& visit, std::span<const int64_t> samples, void* features,
             void* targets) const override;

  const TableFile& file() const { return *file_; }

 private:
  std::shared_ptr<const TableFile> file_;
  Part part_;
  std::vector<float> mean_, scale_;  // a column: out = (x - mean) * scale
};

}  // namespace trireme
