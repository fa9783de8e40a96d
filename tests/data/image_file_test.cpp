// A data set that breaks the contract is refused with the reason; one that keeps it is read right, by many
// threads.
#include "data/image_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "data/chunk_cache.h"
#include "data/samples.h"

namespace trireme {
namespace {

using namespace test;

TEST(ImageFileTest, OpensWhatPrepareWrote) {
  RawFiles raw(50, 6, 5, 3, 4);
  ImageFile dataset(raw.prepared(), 1 << 20);
  EXPECT_EQ(dataset.size(), 50);
  EXPECT_EQ(dataset.image_shape(), (Shape{6, 5, 3}));
  EXPECT_EQ(dataset.image_bytes(), 90);
  EXPECT_EQ(dataset.channels(), 3);
  EXPECT_EQ(dataset.classes(), 4);
  EXPECT_EQ(dataset.class_names()[3], "class 3");
  for (int64_t i = 0; i < 50; ++i) {
    EXPECT_EQ(dataset.labels()[static_cast<size_t>(i)], raw.labels[static_cast<size_t>(i)]);
    auto image = dataset.image(i);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(image.pixels), 90),
              raw.pixels.substr(static_cast<size_t>(i) * 90, 90));
  }
  std::string rows(20 * 90, '\0');
  dataset.read_rows(25, 20, reinterpret_cast<uint8_t*>(rows.data()));
  EXPECT_EQ(rows, raw.pixels.substr(25 * 90, 20 * 90));
}

TEST(ImageFileTest, TakesWhatOthersWrote) {
  TemporaryFolder folder;
  HandMade made;
  made.layout = {};  // contiguous, no checksum
  made.label_type = DType::int64;
  made.write(folder / "x.h5");
  ImageFile dataset(folder / "x.h5", 1 << 20);
  EXPECT_EQ(dataset.size(), 10);
  EXPECT_EQ(dataset.image(9).pixels[0], 9 * 12);
  EXPECT_EQ(dataset.labels()[5], 2);
}

class BadImageFile : public testing::Test {
 protected:
  void expect_bad(std::initializer_list<std::string> parts) {
    made_.write(folder_ / "bad.h5");
    expect_error(ExitCode::bad_data, {(folder_ / "bad.h5").string()},
                 [&] { ImageFile(folder_ / "bad.h5", 1 << 20); });
    expect_error(ExitCode::bad_data, parts, [&] { ImageFile(folder_ / "bad.h5", 1 << 20); });
  }
  TemporaryFolder folder_;
  HandMade made_;
};

TEST_F(BadImageFile, GoodAsItStands) {
  made_.write(folder_ / "good.h5");
  EXPECT_NO_THROW(ImageFile(folder_ / "good.h5", 1 << 20));
}
TEST_F(BadImageFile, NoImages) {
  made_.with_images = false;
  expect_bad({"has no data set /images", "trireme-prepare"});
}
TEST_F(BadImageFile, NoLabels) {
  made_.with_labels = false;
  expect_bad({"has no data set /labels"});
}
TEST_F(BadImageFile, ImagesOfRankThree) {
  made_.shape = Shape{10, 4, 3};
  expect_bad({"/images has shape [10, 4, 3]", "(N, H, W, C)"});
}
TEST_F(BadImageFile, ImagesOfFloats) {
  made_.type = DType::float32;
  expect_bad({"/images holds float32", "uint8"});
}
TEST_F(BadImageFile, NothingInIt) {
  made_.shape = Shape{0, 4, 3, 1};
  made_.label_shape = Shape{0};
  expect_bad({"[0, 4, 3, 1]", "nothing in it"});
}
TEST_F(BadImageFile, LabelsOfRankTwo) {
  made_.label_shape = Shape{10, 1};
  expect_bad({"/labels has shape [10, 1]"});
}
TEST_F(BadImageFile, LabelsOfFloats) {
  made_.label_type = DType::float32;
  expect_bad({"/labels holds float32"});
}
TEST_F(BadImageFile, FewerLabels) {
  made_.label_shape = Shape{9};
  expect_bad({"10 images but 9 labels"});
}
TEST_F(BadImageFile, LabelTooLarge) {
  made_.labels[7] = 3;
  expect_bad({"label 3 of sample 7", "3 classes"});
}
TEST_F(BadImageFile, LabelNegative) {
  made_.label_type = DType::int64;
  made_.labels[2] = -1;
  expect_bad({"label -1 of sample 2"});
}
TEST_F(BadImageFile, NoMean) {
  made_.with_mean = false;
  expect_bad({"lacks the attribute 'mean'"});
}
TEST_F(BadImageFile, NoDeviation) {
  made_.with_deviation = false;
  expect_bad({"lacks the attribute 'std'"});
}
TEST_F(BadImageFile, NoClassNames) {
  made_.with_names = false;
  expect_bad({"lacks the attribute 'class_names'"});
}
TEST_F(BadImageFile, MeanOfOtherLength) {
  made_.mean = {0.5, 0.5};
  expect_bad({"'mean'", "2 numbers for 1 channels"});
}
TEST_F(BadImageFile, MeanNotOfPixelOver255) {
  made_.mean = {72.9};
  expect_bad({"'mean'", "72.9", "pixel / 255"});
}
TEST_F(BadImageFile, DeviationNotANumber) {
  made_.deviation = {std::nan("")};
  expect_bad({"'std'", "nan"});
}
TEST_F(BadImageFile, NoClasses) {
  made_.class_names.clear();
  expect_bad({"class_names", "empty"});
}
TEST_F(BadImageFile, MissingFile) {
  expect_error(ExitCode::no_input, {"none.h5", "no such file"}, [&] { ImageFile(folder_ / "none.h5", 0); });
}
TEST_F(BadImageFile, CutShort) {
  made_.write(folder_ / "bad.h5");
  std::string whole = read_file(folder_ / "bad.h5");
  for (size_t part : {1u, 4u, 7u}) {
    put(folder_ / "bad.h5", whole.substr(0, whole.size() * part / 8));
    expect_error(ExitCode::bad_data, {"bad.h5", "cut short"}, [&] { ImageFile(folder_ / "bad.h5", 0); });
  }
}

TEST(ImageFileTest, FlippedBitIsNamedWithFileAndRows) {
  RawFiles raw(2000, 16, 16);  // chunks of 512 images
  auto path = raw.prepared();
  std::string bytes = read_file(path);
  size_t place = bytes.find(raw.pixels.substr(600 * 256, 256));
  ASSERT_NE(place, std::string::npos);
  bytes[place + 100] ^= 2;
  put(path, bytes);
  ImageFile dataset(path, 1 << 20);
  EXPECT_NO_THROW(dataset.image(0));
  EXPECT_NO_THROW(dataset.image(1024));
  for (int64_t sample : {512, 600, 1023}) {
    expect_error(ExitCode::bad_data, {path.string(), "/images", "rows 512 to 1023", "Fletcher32"},
                 [&] { dataset.image(sample); });
  }
}

TEST(ImageFileTest, FlippedBitInLabelsIsNoticedAtOnce) {
  RawFiles raw(2000, 8, 8, 1, 10);
  auto path = raw.prepared();
  std::string bytes = read_file(path);
  size_t place = bytes.find(raw.labels);
  ASSERT_NE(place, std::string::npos);
  bytes[place + 7] ^= 1;
  put(path, bytes);
  expect_error(ExitCode::bad_data, {path.string(), "/labels", "Fletcher32"},
               [&] { ImageFile(path, 1 << 20); });
}

ChunkCache open_cache(const std::filesystem::path& path, int64_t capacity) {
  h5::Handle file = h5::open_file(path);
  h5::Handle images = h5::open_dataset(file, "/images", {.cache_bytes = 0});
  int64_t rows = h5::shape_of(images)[0], chunk = h5::chunk_of(images)[0];
  return ChunkCache(std::move(file), std::move(images), DType::uint8, rows, 256, chunk, capacity);
}

TEST(ChunkCacheTest, KeepsTheLastUsedWithinItsBound) {
  RawFiles raw(5000, 16, 16);  // 10 chunks, nine of 128 KiB
  constexpr int64_t chunk = 128 << 10;
  auto path = raw.prepared();
  ChunkCache cache = open_cache(path, 3 * chunk);
  cache.get(0), cache.get(1), cache.get(2);
  cache.get(0);
  EXPECT_EQ(cache.chunks_read(), 3);
  cache.get(3);  // for 1, the one not used for longest
  EXPECT_EQ(cache.bytes_kept(), 3 * chunk);
  cache.get(0), cache.get(2), cache.get(3);
  EXPECT_EQ(cache.chunks_read(), 4);
  cache.get(1);
  EXPECT_EQ(cache.chunks_read(), 5);
  auto last = cache.get(9);
  EXPECT_EQ(last->size(), static_cast<size_t>((5000 - 9 * 512) * 256));
}

TEST(ChunkCacheTest, HandedOutChunksOutliveTheCache) {
  RawFiles raw(5000, 16, 16);
  auto path = raw.prepared();
  ChunkCache cache = open_cache(path, 0);
  auto chunk = cache.get(4);
  for (int64_t i = 0; i < 10; ++i) cache.get(i);
  EXPECT_EQ(std::string(chunk->begin(), chunk->end()), raw.pixels.substr(4 * 512 * 256, 512 * 256));
  EXPECT_LE(cache.bytes_kept(), 128 << 10);
}

TEST(ImageFileTest, ManyThreadsReadTheSameThroughATinyCache) {
  RawFiles raw(3000, 16, 16);
  auto path = raw.prepared();
  for (int64_t cache_bytes : {int64_t{0}, int64_t{300'000}, int64_t{1} << 30}) {
    ImageFile dataset(path, cache_bytes);
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        RandomStream draws(5, Purpose::test, t);
        for (int i = 0; i < 2000; ++i) {
          int64_t sample = draws.below(3000);
          auto image = dataset.image(sample);
          ASSERT_EQ(0, raw.pixels.compare(static_cast<size_t>(sample) * 256, 256,
                                          std::string(reinterpret_cast<const char*>(image.pixels), 256)));
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace trireme
