#include "data/table_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "data/chunk_cache.h"
#include "data/file_parts.h"

namespace trireme {
namespace {

constexpr const char* kind = "a table";

std::vector<double> read_statistic(const h5::Handle& features, const std::filesystem::path& path,
                                   const char* name, size_t columns) {
  if (!h5::has_attribute(features, name)) {
    throw DataError("{}: /features lacks the attribute '{}' (one number a column); {}", path.string(), name,
                    make_it_again);
  }
  auto values = h5::read_double_attribute(features, name);
  if (values.size() != columns) {
    throw DataError("{}: attribute '{}' of /features holds {} numbers for {} columns", path.string(), name,
                    values.size(), columns);
  }
  for (double value : values) {
    if (!std::isfinite(value) || (std::strcmp(name, "std") == 0 && value < 0)) {
      throw DataError("{}: attribute '{}' of /features holds {}; {}", path.string(), name, value,
                      make_it_again);
    }
  }
  return values;
}

}  // namespace

TableFile::TableFile(const std::filesystem::path& path, int64_t cache_bytes) : path_(path) {
  h5::Handle file = h5::open_file(path);
  h5::Handle features = open_part(file, path, "/features", kind);
  Shape shape = h5::shape_of(features);
  if (shape.rank() != 2) {
    throw DataError("{}: /features has shape {}, must be (N, F)", path.string(), shape.to_string());
  }
  if (h5::dtype_of(features) != DType::float32) {
    throw DataError("{}: /features holds {}, must be float32", path.string(),
                    name_of(h5::dtype_of(features)));
  }
  if (shape.elements() == 0) {
    throw DataError("{}: /features has shape {}: there is nothing in it", path.string(), shape.to_string());
  }
  rows_ = shape[0];
  feature_names_ = read_names(features, path, "/features", "feature_names");
  if (this->features() != shape[1]) {
    throw DataError("{}: attribute 'feature_names' of /features holds {} names for {} columns", path.string(),
                    feature_names_.size(), shape[1]);
  }
  mean_ = read_statistic(features, path, "mean", feature_names_.size());
  standard_deviation_ = read_statistic(features, path, "std", feature_names_.size());
  read_targets(open_part(file, path, "/targets", kind));

  int64_t row_bytes = shape[1] * static_cast<int64_t>(sizeof(float));
  Shape chunk = h5::chunk_of(features);
  int64_t chunk_rows = chunk.rank() == 2 ? chunk[0] : std::max<int64_t>(1, (int64_t{128} << 10) / row_bytes);
  cache_ = std::make_unique<ChunkCache>(std::move(file), std::move(features), DType::float32, rows_,
                                        row_bytes, chunk_rows, cache_bytes);
}

TableFile::~TableFile() = default;

void TableFile::read_targets(const h5::Handle& targets) {
  if (h5::has_attribute(targets, "class_names")) {
    class_names_ = read_names(targets, path_, "/targets", "class_names");
    labels_ = read_classes(targets, path_, "/targets", {rows_, "rows of /features", "targets"},
                           static_cast<int64_t>(class_names_.size()));
    return;
  }
  Shape shape = h5::shape_of(targets);
  if (shape.rank() != 2 || !is_floating(h5::dtype_of(targets))) {
    throw DataError(
        "{}: /targets holds {} of shape {}: must be whole numbers (N) with the attribute 'class_names', or "
        "float32 "
        "(N, K) with the attribute 'target_names'",
        path_.string(), name_of(h5::dtype_of(targets)), shape.to_string());
  }
  if (shape[0] != rows_) {
    throw DataError("{}: {} rows of /features but {} targets", path_.string(), rows_, shape[0]);
  }
  target_names_ = read_names(targets, path_, "/targets", "target_names");
  if (static_cast<int64_t>(target_names_.size()) != shape[1]) {
    throw DataError("{}: attribute 'target_names' of /targets holds {} names for {} columns", path_.string(),
                    target_names_.size(), shape[1]);
  }
  values_.resize(static_cast<size_t>(shape.elements()));
  h5::read_all(targets, DType::float32, values_.data());
  for (size_t i = 0; i < values_.size(); ++i) {
    if (std::isfinite(values_[i])) continue;
    throw DataError("{}: target '{}' of row {} is {}, which nothing can learn", path_.string(),
                    target_names_[i % target_names_.size()], i / target_names_.size(), values_[i]);
  }
}

void TableFile::read(int64_t row, float* out) const {
  auto chunk = cache_->get(row / cache_->chunk_rows());
  const size_t bytes = feature_names_.size() * sizeof(float);
  std::memcpy(out, chunk->data() + static_cast<size_t>(row % cache_->chunk_rows()) * bytes, bytes);
  // x - x is 0 for finite numbers alone.
  float faults = 0;
  for (size_t i = 0; i < feature_names_.size(); ++i) faults += out[i] - out[i];
  if (faults == 0) return;
  for (size_t i = 0; i < feature_names_.size(); ++i) {
    if (std::isfinite(out[i])) continue;
    throw DataError("{}: feature '{}' of row {} is {}: settle what is missing when preparing the table",
                    path_.string(), feature_names_[i], row, out[i]);
  }
}

}  // namespace trireme
