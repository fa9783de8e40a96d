// IDX.
#include <algorithm>
#include <span>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/hdf5.h"
#include "data/idx.h"
#include "data/prepare_common.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr const char* format_name = "trireme images";
constexpr int64_t format_version = 1;

struct Labels {
  std::vector<uint8_t> values;
  int largest = 0;
  std::string sha256;
};

Labels read_labels(const fs::path& path) {
  IdxReader reader(path);
  if (reader.shape().rank() != 1) {
    throw DataError("{}: holds values of shape {}, not a list of labels: are images and labels swapped?",
                    path.string(), reader.shape().to_string());
  }
  Labels labels;
  // In pieces: a damaged header may promise far more labels than the file holds, or than there is memory.
  constexpr int64_t piece = 1 << 20;
  for (int64_t first = 0; first < reader.shape()[0]; first += piece) {
    auto count = static_cast<size_t>(std::min(piece, reader.shape()[0] - first));
    labels.values.resize(labels.values.size() + count);
    reader.read(std::span(labels.values).last(count));
  }
  reader.finish();
  if (!labels.values.empty()) labels.largest = *std::max_element(labels.values.begin(), labels.values.end());
  labels.sha256 = reader.stored_sha256();
  return labels;
}

std::vector<std::string> names_of_classes(const PrepareDatasetConfig& config, const Labels& labels) {
  std::vector<std::string> names = config.class_names;
  if (names.empty()) {
    for (int i = 0; i <= labels.largest; ++i) names.push_back(std::to_string(i));
  }
  if (labels.largest >= static_cast<int>(names.size())) {
    auto place = std::max_element(labels.values.begin(), labels.values.end()) - labels.values.begin();
    throw DataError("{}: label {} of sample {} is none of the {} classes that class_names lists",
                    config.labels, labels.largest, place, names.size());
  }
  return names;
}

// (N, H, W, C) of what the reader found.
Shape shape_of_images(const IdxReader& reader) {
  const Shape& found = reader.shape();
  const std::string path = reader.path().string();
  if (found.rank() < 3) {
    throw DataError("{}: holds values of shape {}, not images: are images and labels swapped?", path,
                    found.to_string());
  }
  Shape shape{found[0], found[1], found[2], found.rank() == 4 ? found[3] : 1};
  if (shape.elements() == 0) throw DataError("{}: holds no images: its shape is {}", path, found.to_string());
  constexpr int64_t largest_image = int64_t{1} << 30;
  if (shape.elements() / shape[0] > largest_image) {
    throw DataError("{}: the header names images of shape {}: damaged?", path, found.to_string());
  }
  return shape;
}

std::vector<std::string> hashes_of(const PrepareDatasetConfig& config) {
  std::vector<std::string> hashes;
  for (const std::string& path : {config.images, config.labels}) {
    hashes.push_back(sha256_of_file(path));
  }
  return hashes;
}

// Whether the output is there, whole as far as its metadata tells, and made from these sources.
bool up_to_date(const PrepareDatasetConfig& config, PrepareResult& result) {
  if (!fs::exists(config.output)) return false;
  try {
    h5::Handle file = h5::open_file(config.output);
    if (h5::read_string_attribute(file, "format") != format_name ||
        h5::read_int_attribute(file, "format_version") != format_version ||
        h5::read_strings_attribute(file, "source_sha256") != hashes_of(config)) {
      return false;
    }
    h5::Handle images = h5::open_dataset(file, "/images");
    auto names = h5::read_strings_attribute(images, "class_names");
    if (!config.class_names.empty() && names != config.class_names) return false;
    Shape shape = h5::shape_of(images);
    result.images = shape[0];
    result.image_shape = Shape{shape[1], shape[2], shape[3]};
    result.classes = static_cast<int64_t>(names.size());
    result.mean = h5::read_double_attribute(images, "mean");
    result.standard_deviation = h5::read_double_attribute(images, "std");
    return true;
  } catch (const DataError&) {
    return false;  // damaged or not ours: made anew
  }
}

}  // namespace

int64_t rows_of_chunk(int64_t image_bytes) {
  constexpr int64_t chunk_bytes = int64_t{128} << 10;
  return std::max<int64_t>(1, chunk_bytes / image_bytes);
}

// Labels first, whole (they are small); then images a chunk at a time: read, count, write. What is only known
// at the end (statistics, the sources' hashes) is written at the end, and then the file is renamed into
// place.
PrepareResult prepare_idx(const PrepareDatasetConfig& config, bool force) {
  PrepareResult result;
  for (const std::string& input : {config.images, config.labels}) {
    if (!fs::exists(input)) throw MissingInputError("{}: {}: no such file", config.origin, input);
  }
  if (!force && up_to_date(config, result)) {
    result.up_to_date = true;
    return result;
  }
  Labels labels = read_labels(config.labels);
  IdxReader reader(config.images);
  Shape shape = shape_of_images(reader);
  if (static_cast<int64_t>(labels.values.size()) != shape[0]) {
    throw DataError("{} holds {} images, but {} holds {} labels", config.images, shape[0], config.labels,
                    labels.values.size());
  }
  auto names = names_of_classes(config, labels);

  fs::path output = config.output;
  if (output.has_parent_path()) make_directories(output.parent_path());
  PendingFile pending(output);
  h5::Handle file = h5::create_file(pending.aside());
  int64_t image_bytes = shape.elements() / shape[0];
  int64_t chunk_rows = rows_of_chunk(image_bytes);
  h5::Handle images =
      h5::create_dataset(file, "/images", DType::uint8, shape,
                         {.chunk = Shape{chunk_rows, shape[1], shape[2], shape[3]}, .fletcher32 = true});
  Histogram histogram(shape[3]);
  std::vector<uint8_t> pixels(static_cast<size_t>(chunk_rows * image_bytes));
  for (int64_t first = 0; first < shape[0]; first += chunk_rows) {
    int64_t count = std::min(chunk_rows, shape[0] - first);
    std::span<uint8_t> part(pixels.data(), static_cast<size_t>(count * image_bytes));
    reader.read(part);
    histogram.add(part);
    h5::write_rows(images, DType::uint8, first, count, part.data());
  }
  reader.finish();
  histogram.statistics(result.mean, result.standard_deviation);

  constexpr int64_t labels_in_chunk = 1 << 16;
  h5::Handle stored_labels = h5::create_dataset(file, "/labels", DType::uint8, Shape{shape[0]},
                                                {.chunk = Shape{labels_in_chunk}, .fletcher32 = true});
  h5::write_all(stored_labels, DType::uint8, labels.values.data());

  h5::write_attribute(images, "mean", result.mean);
  h5::write_attribute(images, "std", result.standard_deviation);
  h5::write_attribute(images, "class_names", names);
  h5::write_attribute(file, "format", format_name);
  h5::write_attribute(file, "format_version", format_version);
  std::vector<std::string> sources{fs::path(config.images).filename(), fs::path(config.labels).filename()};
  std::vector<std::string> hashes{reader.stored_sha256(), labels.sha256};
  h5::write_attribute(file, "sources", sources);
  h5::write_attribute(file, "source_sha256", hashes);
  images = {};
  stored_labels = {};
  h5::close_file(std::move(file));
  pending.commit();

  result.images = shape[0];
  result.image_shape = Shape{shape[1], shape[2], shape[3]};
  result.classes = static_cast<int64_t>(names.size());
  return result;
}

}  // namespace trireme
