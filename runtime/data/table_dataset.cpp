#include "data/table_dataset.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "data/identity.h"

namespace trireme {

TableDataset::TableDataset(std::shared_ptr<const TableFile> file, const DataConfig& config,
                           const TableFile& like, Part part)
    : file_(std::move(file)), part_(std::move(part)) {
  check_alike(like, *file_);
  for (size_t i = 0; i < like.mean().size(); ++i) {
    double deviation = like.standard_deviation()[i];
    mean_.push_back(config.transform.normalize ? static_cast<float>(like.mean()[i]) : 0.0f);
    scale_.push_back(config.transform.normalize && deviation > 0 ? static_cast<float>(1.0 / deviation)
                                                                 : 1.0f);
  }
}

Split TableDataset::split(const TableFile& file, const DataConfig& config) {
  return split_rows(file.rows(), config.validation_fraction, file.path());
}

void TableDataset::check_alike(const TableFile& training, const TableFile& validation) {
  const char* other = nullptr;
  if (training.feature_names() != validation.feature_names()) other = "columns";
  if (training.class_names() != validation.class_names()) other = "classes";
  if (training.target_names() != validation.target_names()) other = "targets";
  if (!other) return;
  throw DataError("{}: its {} are not those of the training data ({}): prepare it with like = \"{}\"",
                  validation.path().string(), other, training.path().string(), training.path().string());
}

int64_t TableDataset::size() const {
  return part_.name.empty() ? file_->rows() : static_cast<int64_t>(part_.rows.size());
}

SampleShape TableDataset::sample_shape() const {
  SampleShape shape;
  shape.kind = SampleKind::table;
  shape.features = file_->features();
  shape.classes = static_cast<int64_t>(file_->class_names().size());
  shape.targets = static_cast<int64_t>(file_->target_names().size());
  return shape;
}

std::string TableDataset::identity() const {
  Identity identity(fmt::format("{} rows", file_->rows()));
  for (const auto* names : {&file_->feature_names(), &file_->class_names(), &file_->target_names()}) {
    identity.add(fmt::format("{} names", names->size()));
    for (const std::string& name : *names) identity.add(fmt::format("{} {}", name.size(), name));
  }
  identity.add(std::span<const double>(file_->mean()));
  identity.add(std::span<const double>(file_->standard_deviation()));
  identity.add(file_->labels());
  identity.add(file_->values());
  identity.add(part_);
  return identity.hex();
}

std::string TableDataset::description() const {
  if (file_->target_names().empty()) {
    return fmt::format("{} samples: rows of {} features, {} classes", size(), file_->features(),
                       file_->class_names().size());
  }
  return fmt::format("{} samples: rows of {} features, {} value(s) to predict", size(), file_->features(),
                     file_->target_names().size());
}

void TableDataset::write(const Visit&, std::span<const int64_t> samples, void* features,
                         void* targets) const {
  auto* out = static_cast<float*>(features);
  const size_t columns = mean_.size();
  const size_t values = file_->target_names().size();
  for (size_t i = 0; i < samples.size(); ++i, out += columns) {
    auto row =
        static_cast<size_t>(part_.name.empty() ? samples[i] : part_.rows[static_cast<size_t>(samples[i])]);
    file_->read(static_cast<int64_t>(row), out);
    for (size_t c = 0; c < columns; ++c) out[c] = (out[c] - mean_[c]) * scale_[c];
    if (values == 0) {
      static_cast<int32_t*>(targets)[i] = file_->labels()[row];
    } else {
      std::copy_n(file_->values().data() + row * values, values, static_cast<float*>(targets) + i * values);
    }
  }
}

}  // namespace trireme
