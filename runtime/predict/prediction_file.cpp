#include "predict/prediction_file.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace trireme {
namespace {

std::filesystem::path with_folder(const std::filesystem::path& path) {
  if (path.has_parent_path()) make_directories(path.parent_path());
  return path;
}

h5::Handle make_dataset(const h5::Handle& file, const std::string& name, DType type, const Shape& shape) {
  constexpr int64_t chunk_bytes = int64_t{128} << 10;
  Shape chunk = shape;
  int64_t row_bytes = shape.elements() / shape[0] * static_cast<int64_t>(size_of(type));
  chunk[0] = std::max<int64_t>(1, chunk_bytes / row_bytes);
  return h5::create_dataset(file, name, type, shape, {.chunk = chunk, .fletcher32 = true});
}

}  // namespace

int64_t row_width(const SampleShape& sample) {
  if (sample.kind == SampleKind::text) return 1;
  return sample.classes > 0 ? sample.classes : sample.targets;
}

PredictionFile::PredictionFile(const std::filesystem::path& path, const SampleShape& sample, int64_t samples)
    : sample_(sample), pending_(with_folder(path)), file_(h5::create_file(pending_.aside())) {
  if (sample.kind == SampleKind::text) {
    predictions_ = make_dataset(file_, "/loss", DType::float32, Shape{samples});
    detail_ = make_dataset(file_, "/perplexity", DType::float32, Shape{samples});
  } else if (sample.classes > 0) {
    predictions_ = make_dataset(file_, "/predictions", DType::int32, Shape{samples});
    detail_ = make_dataset(file_, "/probabilities", DType::float32, Shape{samples, sample.classes});
  } else {
    predictions_ = make_dataset(file_, "/predictions", DType::float32, Shape{samples, sample.targets});
  }
}

void PredictionFile::write(int64_t first, int64_t rows, std::span<const float> values) {
  if (sample_.kind == SampleKind::text) {
    std::vector<float> perplexity;
    for (float loss : values) perplexity.push_back(std::exp(loss));
    h5::write_rows(predictions_, DType::float32, first, rows, values.data());
    h5::write_rows(detail_, DType::float32, first, rows, perplexity.data());
    return;
  }
  if (sample_.classes == 0) {
    h5::write_rows(predictions_, DType::float32, first, rows, values.data());
    return;
  }
  std::vector<int32_t> best;
  for (int64_t row = 0; row < rows; ++row) {
    auto begin = values.begin() + row * sample_.classes;
    best.push_back(static_cast<int32_t>(std::max_element(begin, begin + sample_.classes) - begin));
  }
  h5::write_rows(predictions_, DType::int32, first, rows, best.data());
  h5::write_rows(detail_, DType::float32, first, rows, values.data());
}

void PredictionFile::commit() {
  predictions_ = {};
  detail_ = {};
  h5::close_file(std::move(file_));
  pending_.commit();
}

}  // namespace trireme
