// Rows of tables: normalised as they should be, and what is refused.
#include "data/table_dataset.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/atomic_file.h"
#include "data/hand_made.h"

namespace trireme {
namespace {

using namespace test;

struct Rows {
  std::vector<float> features, values;
  std::vector<int32_t> labels;
};

Rows all_of(const Dataset& data) {
  std::vector<int64_t> samples(static_cast<size_t>(data.size()));
  std::iota(samples.begin(), samples.end(), 0);
  SampleShape shape = data.sample_shape();
  Rows out;
  out.features.resize(static_cast<size_t>(data.size() * shape.features));
  out.values.resize(static_cast<size_t>(data.size() * shape.targets));
  out.labels.resize(shape.classes > 0 ? static_cast<size_t>(data.size()) : 0);
  void* targets = shape.classes > 0 ? static_cast<void*>(out.labels.data()) : out.values.data();
  data.write({.seed = 1, .epoch = 2, .augment = true}, samples, out.features.data(), targets);
  return out;
}

class TableDatasetTest : public testing::Test {
 protected:
  DataConfig config(bool normalize = true) const {
    DataConfig config;
    config.train = folder_ / "table.h5";
    config.transform.normalize = normalize;
    return config;
  }
  void expect_bad(const TableByHand& made, std::initializer_list<std::string> parts) {
    made.write(folder_ / "table.h5");
    expect_error(ExitCode::bad_data, {(folder_ / "table.h5").string()},
                 [&] { all_of(*open_datasets(config()).training); });
    expect_error(ExitCode::bad_data, parts, [&] { all_of(*open_datasets(config()).training); });
  }
  TemporaryFolder folder_;
};

TEST_F(TableDatasetTest, GivesNormalisedRowsAndClasses) {
  TableByHand made;
  made.write(folder_ / "table.h5");
  auto data = open_dataset(folder_ / "table.h5", config());
  SampleShape shape = data->sample_shape();
  EXPECT_EQ(shape.kind, SampleKind::table);
  EXPECT_EQ(shape.features, 3);
  EXPECT_EQ(shape.classes, 4);
  EXPECT_EQ(shape.targets, 0);
  EXPECT_EQ(features_bytes(shape), 12);
  EXPECT_EQ(targets_bytes(shape), 4);
  Rows rows = all_of(*data);
  EXPECT_EQ(rows.labels, made.labels);
  for (size_t i = 0; i < rows.features.size(); ++i) {
    double deviation = made.deviation[i % 3] > 0 ? made.deviation[i % 3] : 1.0;
    ASSERT_NEAR(rows.features[i], (made.features[i] - made.mean[i % 3]) / deviation, 1e-5);
  }
  EXPECT_EQ(all_of(*open_dataset(folder_ / "table.h5", config(false))).features, made.features);
}

TEST_F(TableDatasetTest, GivesValuesToPredictAsTheyAre) {
  TableByHand made(40, 2);
  made.write(folder_ / "table.h5");
  auto data = open_dataset(folder_ / "table.h5", config());
  EXPECT_EQ(data->sample_shape().classes, 0);
  EXPECT_EQ(data->sample_shape().targets, 2);
  EXPECT_EQ(targets_bytes(data->sample_shape()), 8);
  EXPECT_EQ(all_of(*data).values, made.values);
}

TEST_F(TableDatasetTest, ValidationIsNormalisedByTheTrainingFile) {
  TableByHand made;
  made.write(folder_ / "table.h5");
  TableByHand other;
  other.mean = {10, 10, 10};
  other.write(folder_ / "validation.h5");
  DataConfig both = config();
  both.validation = folder_ / "validation.h5";
  Datasets data = open_datasets(both);
  EXPECT_EQ(all_of(*data.validation).features, all_of(*data.training).features);
}

TEST_F(TableDatasetTest, ValidationMustFit) {
  TableByHand made, other;
  made.write(folder_ / "table.h5");
  other.feature_names[1] = "another";
  other.write(folder_ / "validation.h5");
  DataConfig both = config();
  both.validation = folder_ / "validation.h5";
  expect_error(ExitCode::bad_data, {"validation.h5", "columns", "table.h5"}, [&] { open_datasets(both); });
  TextByHand(100).write(folder_ / "validation.h5");
  expect_error(ExitCode::bad_data, {"validation.h5", "/features"}, [&] { open_datasets(both); });
  auto training = open_dataset(folder_ / "table.h5", config());
  expect_error(ExitCode::bad_data, {"validation.h5", "another kind", "table.h5"},
               [&] { open_dataset(folder_ / "validation.h5", both, training.get()); });
}

TEST_F(TableDatasetTest, NotANumberIsNamed) {
  TableByHand made;
  made.features[7 * 3 + 1] = std::nanf("");
  expect_bad(made, {"feature 'column 1' of row 7 is nan"});
  made.features[7 * 3 + 1] = HUGE_VALF;
  expect_bad(made, {"feature 'column 1' of row 7 is inf"});
  TableByHand regression(40, 2);
  regression.values[11] = std::nanf("");
  expect_bad(regression, {"target 'target 1' of row 5 is nan"});
}
TEST_F(TableDatasetTest, FeaturesOfRankThree) {
  TableByHand made;
  made.feature_shape = Shape{40, 3, 1};
  expect_bad(made, {"/features has shape [40, 3, 1]", "(N, F)"});
}
TEST_F(TableDatasetTest, FeaturesOfWholeNumbers) {
  TableByHand made;
  made.type = DType::int32;
  expect_bad(made, {"/features holds int32"});
}
TEST_F(TableDatasetTest, NothingInIt) {
  TableByHand made(0);
  expect_bad(made, {"[0, 3]", "nothing in it"});
}
TEST_F(TableDatasetTest, NoTargets) {
  TableByHand made;
  made.with_targets = false;
  expect_bad(made, {"no data set /targets"});
}
TEST_F(TableDatasetTest, FewerTargets) {
  TableByHand made;
  made.target_shape = Shape{39};
  expect_bad(made, {"40 rows of /features but 39 targets"});
  TableByHand regression(40, 2);
  regression.target_shape = Shape{39, 2};
  expect_bad(regression, {"40 rows of /features but 39 targets"});
}
TEST_F(TableDatasetTest, LabelTooLarge) {
  TableByHand made;
  made.labels[5] = 4;
  expect_bad(made, {"label 4 of sample 5", "4 classes"});
}
TEST_F(TableDatasetTest, TargetsOfNeitherKind) {
  TableByHand made(40, 1);
  made.target_shape = Shape{40};
  expect_bad(made, {"/targets holds float32 of shape [40]", "class_names", "target_names"});
}
TEST_F(TableDatasetTest, NamesOfOtherNumber) {
  TableByHand made;
  made.feature_names.pop_back();
  expect_bad(made, {"feature_names", "2 names for 3 columns"});
  TableByHand regression(40, 2);
  regression.target_names.pop_back();
  expect_bad(regression, {"target_names", "1 names for 2 columns"});
}
TEST_F(TableDatasetTest, MissingAttributes) {
  TableByHand made;
  made.with_mean = false;
  expect_bad(made, {"/features lacks the attribute 'mean'"});
  made = TableByHand();
  made.with_deviation = false;
  expect_bad(made, {"/features lacks the attribute 'std'"});
  made = TableByHand();
  made.with_names = false;
  expect_bad(made, {"/features lacks the attribute 'feature_names'"});
  made = TableByHand();
  made.mean.pop_back();
  expect_bad(made, {"'mean'", "2 numbers for 3 columns"});
}
TEST_F(TableDatasetTest, CutShort) {
  TableByHand(2000).write(folder_ / "table.h5");
  std::string whole = read_file(folder_ / "table.h5");
  put(folder_ / "table.h5", whole.substr(0, whole.size() / 2));
  expect_error(ExitCode::bad_data, {"table.h5", "cut short"}, [&] { open_datasets(config()); });
}

}  // namespace
}  // namespace trireme
