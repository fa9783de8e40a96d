// Every kind of data and every transform gives the same bits for any number of loader threads and ranks.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "data/hand_made.h"
#include "data/loader.h"

namespace trireme {
namespace {

using namespace test;

struct KindCase {
  const char* name;
  const char* file;  // images text classes values
  std::function<void(TransformConfig&)> set = {};
};

std::ostream& operator<<(std::ostream& out, const KindCase& c) { return out << c.name; }

struct Bytes {
  std::string features, targets;
  bool operator==(const Bytes&) const = default;
};

class Kinds : public testing::TestWithParam<KindCase> {
 protected:
  Kinds() : raw_(47, 12, 10, 3, 4) {
    std::string file = GetParam().file;
    config_.train = folder_ / "data.h5";
    if (file == "images") config_.train = raw_.prepared();
    if (file == "text") TextByHand(500).write(config_.train);
    if (file == "classes") TableByHand(47).write(config_.train);
    if (file == "values") TableByHand(47, 2).write(config_.train);
    config_.sequence_length = 10;
    config_.batch = 10;
    config_.validation_batch = 4;
    if (GetParam().set) GetParam().set(config_.transform);
  }

  // Batch for batch, ranks together.
  std::vector<Bytes> read(const Dataset& data, int64_t threads, int64_t ranks, bool training) const {
    DataConfig config = config_;
    config.loader_threads = threads;
    std::vector<Bytes> all;
    SampleShape shape = data.sample_shape();
    for (int64_t rank = 0; rank < ranks; ++rank) {
      LoaderOptions options{.seed = 7, .rank = rank, .ranks = ranks, .end_step = 12};
      Loader loader =
          training ? Loader::training(data, config, options) : Loader::sequential(data, config, options);
      size_t step = 0;
      while (auto batch = loader.next()) {
        if (!training) step = 0;
        if (all.size() <= step) all.emplace_back();
        auto count = static_cast<size_t>(batch->count);
        all[step].features.append(static_cast<const char*>(batch->features),
                                  count * static_cast<size_t>(features_bytes(shape)));
        all[step].targets.append(static_cast<const char*>(batch->targets),
                                 count * static_cast<size_t>(targets_bytes(shape)));
        ++step;
      }
    }
    return all;
  }

  TemporaryFolder folder_;
  RawFiles raw_;
  DataConfig config_;
};

TEST_P(Kinds, SameBitsForAnyThreadsAndRanks) {
  auto data = open_dataset(config_.train, config_);
  for (bool training : {true, false}) {
    auto expected = read(*data, 1, 1, training);
    ASSERT_EQ(expected.size(), training ? 12u : 1u);
    EXPECT_FALSE(expected[0].features.empty());
    EXPECT_EQ(read(*data, 4, 1, training), expected);
    EXPECT_EQ(read(*data, 1, 3, training), expected);
    EXPECT_EQ(read(*data, 4, 3, training), expected);
  }
}

TEST_P(Kinds, TransformsDoSomethingInTrainingAlone) {
  if (!GetParam().set) GTEST_SKIP();
  DataConfig bare = config_;
  bare.transform = {};
  bare.transform.crop = config_.transform.crop;
  bare.transform.resize = config_.transform.resize;
  auto data = open_dataset(config_.train, config_), plain = open_dataset(config_.train, bare);
  EXPECT_EQ(read(*data, 1, 1, false), read(*plain, 1, 1, false));
  if (std::strcmp(GetParam().name, "resize") == 0 || std::strcmp(GetParam().name, "crop") == 0) return;
  EXPECT_NE(read(*data, 1, 1, true), read(*plain, 1, 1, true));
}

std::vector<KindCase> cases() {
  return {KindCase{"images", "images"},
          KindCase{"resize", "images", [](auto& t) { t.resize = 8; }},
          KindCase{"crop", "images", [](auto& t) { t.crop = 7; }},
          KindCase{"resized_crop", "images", [](auto& t) { t.random_resized_crop = true; }},
          KindCase{"padding", "images", [](auto& t) { t.random_crop_padding = 2; }},
          KindCase{"flip", "images", [](auto& t) { t.horizontal_flip = true; }},
          KindCase{"flip_rows", "images", [](auto& t) { t.vertical_flip = true; }},
          KindCase{"rotation", "images", [](auto& t) { t.rotation_degrees = 30; }},
          KindCase{"gray", "images", [](auto& t) { t.grayscale_probability = 0.5; }},
          KindCase{"erasing", "images", [](auto& t) { t.erase_probability = 0.5; }},
          KindCase{"all", "images",
                   [](auto& t) {
                     t.resize = 16, t.crop = 12, t.random_crop_padding = 2, t.rotation_degrees = 30;
                     t.random_resized_crop = t.horizontal_flip = t.vertical_flip = true;
                     t.grayscale_probability = t.erase_probability = 0.5;
                   }},
          KindCase{"text", "text"},
          KindCase{"classes", "classes"},
          KindCase{"values", "values"}};
}

std::string name_of_case(const testing::TestParamInfo<KindCase>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(All, Kinds, testing::ValuesIn(cases()), name_of_case);

}  // namespace
}  // namespace trireme
