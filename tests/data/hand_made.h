// Text and table data sets by hand, to be made wrong in one place.
#pragma once

#include <numeric>
#include <string>
#include <vector>

#include "data/samples.h"

namespace trireme::test {

struct TextByHand {
  explicit TextByHand(size_t count) {
    for (char token : random_bytes(count, 7, 3)) tokens.push_back(token);
  }
  std::vector<int32_t> tokens;
  DType type = DType::uint8;
  Shape shape;  // empty: (N)
  int64_t chunk = 64;
  std::string encoding = "characters";
  std::vector<std::string> vocabulary{"a", "b", "c", "d", "e", "f", "g"};
  bool with_vocabulary = true, with_encoding = true;

  void write(const std::filesystem::path& path) const {
    std::filesystem::remove(path);
    h5::Handle file = h5::create_file(path);
    h5::Layout layout;
    if (chunk > 0 && shape.rank() == 0) layout = {.chunk = Shape{chunk}, .fletcher32 = true};
    h5::Handle set = h5::create_dataset(
        file, "/tokens", type, shape.rank() > 0 ? shape : Shape{static_cast<int64_t>(tokens.size())}, layout);
    h5::write_all(set, DType::int32, tokens.data());
    if (with_encoding) h5::write_attribute(set, "encoding", encoding);
    if (with_vocabulary) h5::write_attribute(set, "vocabulary", vocabulary);
    h5::close_file(std::move(file));
  }
};

struct TableByHand {
  int64_t rows = 40, columns = 3, targets = 0;  // targets: values to predict; 0: classes
  DType type = DType::float32, target_type = DType::float32;
  std::vector<float> features, values;
  std::vector<int32_t> labels;
  std::vector<std::string> feature_names, class_names, target_names;
  std::vector<double> mean{0.5, -1, 2}, deviation{0.25, 2, 0};
  Shape feature_shape, target_shape;  // empty: as they should be
  bool with_features = true, with_targets = true, with_mean = true, with_deviation = true, with_names = true;

  explicit TableByHand(int64_t n = 40, int64_t k = 0) : rows(n), targets(k) {
    RandomStream draws(4, Purpose::test);
    for (int64_t c = 0; c < columns; ++c) feature_names.push_back("column " + std::to_string(c));
    for (int64_t i = 0; i < rows * columns; ++i) features.push_back(draws.normal());
    for (int64_t i = 0; i < rows; ++i) labels.push_back(static_cast<int32_t>(draws.below(4)));
    for (int64_t i = 0; i < rows * targets; ++i) values.push_back(draws.normal());
    if (targets == 0) class_names = {"a", "b", "c", "d"};
    for (int64_t i = 0; i < targets; ++i) target_names.push_back("target " + std::to_string(i));
  }

  void write(const std::filesystem::path& path) const {
    std::filesystem::remove(path);
    h5::Handle file = h5::create_file(path);
    if (with_features) {
      Shape shape = feature_shape.rank() > 0 ? feature_shape : Shape{rows, columns};
      h5::Layout layout;
      if (shape.rank() == 2) layout = {.chunk = Shape{8, shape[1]}, .fletcher32 = true};
      h5::Handle set = h5::create_dataset(file, "/features", type, shape, layout);
      h5::write_all(set, DType::float32, features.data());
      if (with_names) h5::write_attribute(set, "feature_names", feature_names);
      if (with_mean) h5::write_attribute(set, "mean", mean);
      if (with_deviation) h5::write_attribute(set, "std", deviation);
    }
    if (with_targets && targets == 0) {
      h5::Handle set = h5::create_dataset(file, "/targets", DType::int32,
                                          target_shape.rank() > 0 ? target_shape : Shape{rows});
      h5::write_all(set, DType::int32, labels.data());
      if (with_names) h5::write_attribute(set, "class_names", class_names);
    } else if (with_targets) {
      h5::Handle set = h5::create_dataset(file, "/targets", target_type,
                                          target_shape.rank() > 0 ? target_shape : Shape{rows, targets});
      h5::write_all(set, DType::float32, values.data());
      if (with_names) h5::write_attribute(set, "target_names", target_names);
    }
    h5::close_file(std::move(file));
  }
};

}  // namespace trireme::test
