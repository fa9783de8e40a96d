// Both parts of a file: disjoint, complete, and the same for every run.
#include "data/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "data/dataset.h"
#include "data/hand_made.h"
#include "data/image_dataset.h"

namespace trireme {
namespace {

using namespace test;

TEST(SplitTest, PartsAreDisjointAndComplete) {
  for (int64_t rows : {2, 3, 10, 101, 5000}) {
    for (double fraction : {0.1, 0.25, 0.5, 0.9}) {
      auto expected = static_cast<int64_t>(std::llround(fraction * static_cast<double>(rows)));
      if (expected == 0 || expected == rows) continue;
      Split split = split_rows(rows, fraction, "x.h5");
      EXPECT_EQ(static_cast<int64_t>(split.validation.rows.size()), expected);
      EXPECT_TRUE(std::is_sorted(split.training.rows.begin(), split.training.rows.end()));
      std::vector<uint32_t> all = split.training.rows;
      all.insert(all.end(), split.validation.rows.begin(), split.validation.rows.end());
      std::sort(all.begin(), all.end());
      std::vector<uint32_t> expected_rows(static_cast<size_t>(rows));
      std::iota(expected_rows.begin(), expected_rows.end(), 0u);
      EXPECT_EQ(all, expected_rows);
    }
  }
}

TEST(SplitTest, MixesWhatTheFileHasInOrder) {
  Split split = split_rows(1000, 0.2, "x.h5");
  auto early = std::count_if(split.validation.rows.begin(), split.validation.rows.end(),
                             [](uint32_t row) { return row < 500; });
  EXPECT_GT(early, 70);
  EXPECT_LT(early, 130);
}

TEST(SplitTest, EmptyPartsAreRefused) {
  expect_error(ExitCode::bad_config, {"data.validation_fraction = 0.01", "x.h5", "0 to validate on"},
               [] { split_rows(40, 0.01, "x.h5"); });
  expect_error(ExitCode::bad_config, {"data.validation_fraction = 0.99", "0 to train on"},
               [] { split_rows(40, 0.99, "x.h5"); });
}

TEST(SplitTest, ImagesOfBothPartsAreTheFiles) {
  RawFiles raw(50, 6, 5);
  DataConfig config;
  config.train = raw.prepared();
  config.validation_fraction = 0.3;
  config.transform.random_crop_padding = 2;
  Datasets data = open_datasets(config);
  config.validation_fraction = 0;
  Datasets whole = open_datasets(config);
  EXPECT_EQ(data.training->size(), 35);
  EXPECT_EQ(data.validation->size(), 15);
  Split split = split_rows(50, 0.3, "");
  Visit visit{.seed = 3, .epoch = 1, .augment = true};
  std::vector<float> part(30), image(30);
  int32_t label, expected;
  for (auto [dataset, rows] : {std::pair{data.training.get(), &split.training.rows},
                               std::pair{data.validation.get(), &split.validation.rows}}) {
    for (int64_t i = 0; i < dataset->size(); ++i) {
      std::vector<int64_t> sample{i}, row{(*rows)[static_cast<size_t>(i)]};
      dataset->write(visit, sample, part.data(), &label);
      whole.training->write(visit, row, image.data(), &expected);
      EXPECT_EQ(part, image);
      EXPECT_EQ(label, expected);
    }
  }
  EXPECT_NE(data.training->identity(), whole.training->identity());
  EXPECT_NE(data.training->identity(), data.validation->identity());
  EXPECT_EQ(&dynamic_cast<ImageDataset&>(*data.training).file(),
            &dynamic_cast<ImageDataset&>(*data.validation).file());
}

TEST(SplitTest, TablesToo) {
  TemporaryFolder folder;
  TableByHand made(40, 1);
  made.write(folder / "table.h5");
  DataConfig config;
  config.train = folder / "table.h5";
  config.validation_fraction = 0.25;
  Datasets data = open_datasets(config);
  EXPECT_EQ(data.training->size(), 30);
  EXPECT_EQ(data.validation->size(), 10);
  std::multiset<float> seen;
  for (const Dataset* part : {data.training.get(), data.validation.get()}) {
    for (int64_t i = 0; i < part->size(); ++i) {
      float features[3], value;
      std::vector<int64_t> sample{i};
      part->write({}, sample, features, &value);
      seen.insert(value);
    }
  }
  EXPECT_EQ(seen, std::multiset<float>(made.values.begin(), made.values.end()));
}

}  // namespace
}  // namespace trireme
