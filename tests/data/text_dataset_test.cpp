// Windows of text: where they lie, what follows what, and what is refused.
#include "data/text_dataset.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "base/atomic_file.h"
#include "data/hand_made.h"

namespace trireme {
namespace {

using namespace test;

struct Windows {
  std::vector<int32_t> tokens, following;
};

Windows all_of(const Dataset& data, const Visit& visit) {
  std::vector<int64_t> samples(static_cast<size_t>(data.size()));
  std::iota(samples.begin(), samples.end(), 0);
  auto values = static_cast<size_t>(data.size() * data.sample_shape().length);
  Windows out{std::vector<int32_t>(values), std::vector<int32_t>(values)};
  data.write(visit, samples, out.tokens.data(), out.following.data());
  return out;
}

class TextDatasetTest : public testing::Test {
 protected:
  std::unique_ptr<Dataset> open(const TextByHand& made, int64_t length) {
    made.write(folder_ / "text.h5");
    return open_dataset(folder_ / "text.h5", config(length));
  }
  DataConfig config(int64_t length, double fraction = 0) const {
    DataConfig config;
    config.train = folder_ / "text.h5";
    config.sequence_length = length;
    config.validation_fraction = fraction;
    return config;
  }
  void expect_bad(const TextByHand& made, std::initializer_list<std::string> parts) {
    made.write(folder_ / "text.h5");
    expect_error(ExitCode::bad_data, {(folder_ / "text.h5").string()},
                 [&] { all_of(*open_dataset(folder_ / "text.h5", config(4)), {}); });
    expect_error(ExitCode::bad_data, parts,
                 [&] { all_of(*open_dataset(folder_ / "text.h5", config(4)), {}); });
  }
  TemporaryFolder folder_;
};

TEST_F(TextDatasetTest, CutsTheTextIntoWindowsThatTouch) {
  for (DType type : {DType::uint8, DType::uint16, DType::int32}) {
    for (bool chunked : {true, false}) {
      TextByHand made(103);
      made.type = type;
      made.chunk = chunked ? 16 : 0;  // windows reach over chunks
      auto data = open(made, 10);
      ASSERT_EQ(data->size(), 10) << "102 tokens have one that follows";
      SampleShape shape = data->sample_shape();
      EXPECT_EQ(shape.kind, SampleKind::text);
      EXPECT_EQ(shape.length, 10);
      EXPECT_EQ(shape.vocabulary, 7);
      EXPECT_EQ(features_bytes(shape), 40);
      EXPECT_EQ(targets_bytes(shape), 40);
      Windows windows = all_of(*data, {});
      for (size_t i = 0; i < 100; ++i) {
        EXPECT_EQ(windows.tokens[i], made.tokens[i]);
        EXPECT_EQ(windows.following[i], made.tokens[i + 1]);
      }
    }
  }
}

TEST_F(TextDatasetTest, EpochsCutItAtAnOffsetOfTheirOwn) {
  TextByHand made(103);
  auto data = open(made, 10);
  const auto& text = dynamic_cast<const TextDataset&>(*data);
  std::set<int64_t> firsts, targets;
  for (int64_t epoch = 0; epoch < 200; ++epoch) {
    Visit visit{.seed = 5, .epoch = epoch, .augment = true};
    int64_t offset = text.place_of(visit, 0);
    firsts.insert(offset);
    Windows windows = all_of(*data, visit);
    for (int64_t i = 0; i < 10; ++i) {
      int64_t place = text.place_of(visit, i);
      EXPECT_EQ(place, std::min(offset + 10 * i, int64_t{92}));
      for (int64_t t = 0; t < 10; ++t) {
        EXPECT_EQ(windows.tokens[static_cast<size_t>(i * 10 + t)],
                  made.tokens[static_cast<size_t>(place + t)]);
        EXPECT_EQ(windows.following[static_cast<size_t>(i * 10 + t)],
                  made.tokens[static_cast<size_t>(place + t + 1)]);
        targets.insert(place + t + 1);
      }
    }
    EXPECT_EQ(text.place_of({.seed = 5, .epoch = epoch, .augment = false}, 0), 0);
    EXPECT_EQ(text.place_of(visit, 0), offset);
  }
  EXPECT_EQ(firsts.size(), 10u) << "all offsets come";
  EXPECT_EQ(targets.size(), 102u) << "every token but the first is learned";
  auto offsets = [&](uint64_t seed) {
    std::vector<int64_t> all;
    for (int64_t epoch = 0; epoch < 20; ++epoch) all.push_back(text.place_of({seed, epoch, true}, 0));
    return all;
  };
  EXPECT_NE(offsets(1), offsets(2));
}

TEST_F(TextDatasetTest, OneWindowIsEnough) {
  TextByHand made(11);
  auto data = open(made, 10);
  EXPECT_EQ(data->size(), 1);
  EXPECT_EQ(all_of(*data, {.seed = 1, .epoch = 3, .augment = true}).tokens, all_of(*data, {}).tokens);
  expect_error(ExitCode::bad_data, {"text.h5", "11 tokens", "data.sequence_length = 11"},
               [&] { open(made, 11); });
}

TEST_F(TextDatasetTest, TheEndIsKeptApart) {
  TextByHand made(1000);
  made.write(folder_ / "text.h5");
  Datasets data = open_datasets(config(10, 0.1));
  EXPECT_EQ(data.training->size(), 89);   // of 900 tokens
  EXPECT_EQ(data.validation->size(), 9);  // of 100
  Windows windows = all_of(*data.validation, {});
  for (size_t i = 0; i < 90; ++i) EXPECT_EQ(windows.following[i], made.tokens[900 + i + 1]);
  const auto& text = dynamic_cast<const TextDataset&>(*data.training);
  for (int64_t epoch = 0; epoch < 100; ++epoch) {
    EXPECT_LE(text.place_of({1, epoch, true}, 88), 900 - 11);
  }
  EXPECT_NE(data.training->identity(), data.validation->identity());
  EXPECT_NE(data.training->identity(), open_dataset(folder_ / "text.h5", config(10))->identity());
  EXPECT_NE(data.training->identity(), open_datasets(config(10, 0.2)).training->identity());
  EXPECT_EQ(data.training->identity(), open_datasets(config(10, 0.1)).training->identity());
  EXPECT_EQ(&dynamic_cast<const TextDataset&>(*data.training).file(),
            &dynamic_cast<const TextDataset&>(*data.validation).file())
      << "one file, one cache";
  expect_error(ExitCode::bad_config, {"data.validation_fraction = 0.01", "1000 tokens", "at least 11"},
               [&] { open_datasets(config(10, 0.01)); });
}

TEST_F(TextDatasetTest, ValidationTextMustHaveTheVocabulary) {
  TextByHand made(100);
  made.write(folder_ / "text.h5");
  made.vocabulary[2] = "X";
  made.write(folder_ / "other.h5");
  DataConfig both = config(10);
  both.validation = folder_ / "other.h5";
  expect_error(ExitCode::bad_data, {"other.h5", "text.h5", "like ="}, [&] { open_datasets(both); });
}

TEST_F(TextDatasetTest, TokenOutsideOfTheVocabulary) {
  TextByHand made(100);
  made.tokens[37] = 7;
  expect_bad(made, {"token 7 at place 37", "vocabulary's 7"});
  made.type = DType::int32;
  made.tokens[37] = -1;
  expect_bad(made, {"token -1 at place 37"});
}
TEST_F(TextDatasetTest, OfRankTwo) {
  TextByHand made(100);
  made.shape = Shape{50, 2};
  expect_bad(made, {"/tokens has shape [50, 2]", "(N)"});
}
TEST_F(TextDatasetTest, OfFloats) {
  TextByHand made(100);
  made.type = DType::float32;
  expect_bad(made, {"/tokens holds float32"});
}
TEST_F(TextDatasetTest, NoVocabulary) {
  TextByHand made(100);
  made.with_vocabulary = false;
  expect_bad(made, {"/tokens lacks the attribute 'vocabulary'", "trireme-prepare"});
}
TEST_F(TextDatasetTest, NoEncoding) {
  TextByHand made(100);
  made.with_encoding = false;
  expect_bad(made, {"/tokens lacks the attribute 'encoding'"});
}
TEST_F(TextDatasetTest, NothingThatIsKnown) {
  h5::close_file(h5::create_file(folder_ / "text.h5"));
  expect_error(ExitCode::bad_data, {"text.h5", "/images, /tokens or /features"},
               [&] { open_datasets(config(4)); });
}
TEST_F(TextDatasetTest, CutShort) {
  TextByHand(5000).write(folder_ / "text.h5");
  std::string whole = read_file(folder_ / "text.h5");
  put(folder_ / "text.h5", whole.substr(0, whole.size() / 2));
  expect_error(ExitCode::bad_data, {"text.h5", "cut short"}, [&] { open_datasets(config(4)); });
}
TEST_F(TextDatasetTest, FlippedBit) {
  TextByHand made(5000);
  made.chunk = 512;
  made.write(folder_ / "text.h5");
  std::string bytes = read_file(folder_ / "text.h5");
  std::string part(made.tokens.begin() + 1200, made.tokens.begin() + 1300);
  size_t place = bytes.find(part);
  ASSERT_NE(place, std::string::npos);
  bytes[place] ^= 1;
  put(folder_ / "text.h5", bytes);
  auto data = open_dataset(folder_ / "text.h5", config(100));
  int32_t in[100], out[100];
  std::vector<int64_t> fine{0}, damaged{12};
  EXPECT_NO_THROW(data->write({}, fine, in, out));
  expect_error(ExitCode::bad_data, {"text.h5", "/tokens", "rows 1024 to 1535", "Fletcher32"},
               [&] { data->write({}, damaged, in, out); });
}

}  // namespace
}  // namespace trireme
