// IDX to HDF5: the contract, the statistics, and that faults leave nothing behind.
#include "data/prepare.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include "data/image_file.h"
#include "data/samples.h"
#include "support/tiny_disk.h"

namespace trireme {
namespace {

using namespace test;

TEST(Prepare, WritesTheContract) {
  RawFiles raw(700, 16, 16, 1, 4);  // 179 KB: more than one chunk
  PrepareResult result = prepare_idx(raw.config());
  EXPECT_FALSE(result.up_to_date);
  EXPECT_EQ(result.images, 700);
  EXPECT_EQ(result.image_shape, (Shape{16, 16, 1}));
  EXPECT_EQ(result.classes, 4);

  h5::Handle file = h5::open_file(raw.folder / "out.h5");
  h5::Handle images = h5::open_dataset(file, "/images"), labels = h5::open_dataset(file, "/labels");
  EXPECT_EQ(h5::shape_of(images), (Shape{700, 16, 16, 1}));
  EXPECT_EQ(h5::dtype_of(images), DType::uint8);
  EXPECT_EQ(h5::chunk_of(images), (Shape{512, 16, 16, 1}));
  EXPECT_TRUE(h5::has_fletcher32(images));
  EXPECT_TRUE(h5::has_fletcher32(labels));
  EXPECT_EQ(h5::read_strings_attribute(images, "class_names"), raw.config().class_names);
  EXPECT_EQ(h5::read_strings_attribute(file, "sources"),
            (std::vector<std::string>{"images.gz", "labels.gz"}));
  EXPECT_EQ(h5::read_int_attribute(file, "format_version"), 1);
  std::string pixels(raw.pixels.size(), '\0'), stored_labels(700, '\0');
  h5::read_all(images, DType::uint8, pixels.data());
  h5::read_all(labels, DType::uint8, stored_labels.data());
  EXPECT_EQ(pixels, raw.pixels);
  EXPECT_EQ(stored_labels, raw.labels);
  EXPECT_EQ(raw.folder.names(), (std::vector<std::string>{"images.gz", "labels.gz", "out.h5"}));
}

TEST(Prepare, StatisticsAreThoseOfEachChannel) {
  RawFiles raw(40, 5, 7, 3);
  PrepareResult result = prepare_idx(raw.config());
  ASSERT_EQ(result.mean.size(), 3u);
  for (size_t c = 0; c < 3; ++c) {
    double sum = 0, squares = 0, n = 0;
    for (size_t i = c; i < raw.pixels.size(); i += 3, ++n) {
      double value = static_cast<unsigned char>(raw.pixels[i]) / 255.0;
      sum += value;
      squares += value * value;
    }
    double mean = sum / n;
    EXPECT_NEAR(result.mean[c], mean, 1e-12);
    EXPECT_NEAR(result.standard_deviation[c], std::sqrt(squares / n - mean * mean), 1e-12);
  }
  ImageFile dataset(raw.folder / "out.h5", 1 << 20);
  EXPECT_EQ(dataset.mean(), result.mean);
  EXPECT_EQ(dataset.standard_deviation(), result.standard_deviation);
}

TEST(Prepare, SameSourcesAreNotReadTwice) {
  RawFiles raw;
  raw.prepared();
  auto time = std::filesystem::last_write_time(raw.folder / "out.h5");
  PrepareResult again = prepare_idx(raw.config());
  EXPECT_TRUE(again.up_to_date);
  EXPECT_EQ(again.images, 50);
  EXPECT_EQ(again.mean.size(), 1u);
  EXPECT_EQ(std::filesystem::last_write_time(raw.folder / "out.h5"), time);
  EXPECT_FALSE(prepare_idx(raw.config(), /*force=*/true).up_to_date);
}

TEST(Prepare, OtherSourcesNamesOrDamageMakeItAnew) {
  RawFiles raw;
  raw.prepared();
  auto config = raw.config();
  config.class_names[0] = "renamed";
  EXPECT_FALSE(prepare_idx(config).up_to_date);
  EXPECT_TRUE(prepare_idx(config).up_to_date);
  raw.pixels[0] = static_cast<char>(raw.pixels[0] ^ 1);
  put(raw.folder / "images.gz", gzip(raw.image_file()));
  EXPECT_FALSE(prepare_idx(config).up_to_date);
  put(raw.folder / "out.h5", "no HDF5 file any more");
  EXPECT_FALSE(prepare_idx(config).up_to_date);
  EXPECT_TRUE(prepare_idx(config).up_to_date);
}

TEST(Prepare, ClassNamesMayBeLeftOut) {
  RawFiles raw;
  auto config = raw.config();
  config.class_names.clear();
  EXPECT_EQ(prepare_idx(config).classes, 4);
  EXPECT_EQ(ImageFile(raw.folder / "out.h5", 0).class_names(),
            (std::vector<std::string>{"0", "1", "2", "3"}));
}

TEST(Prepare, MakesTheOutputFolder) {
  RawFiles raw;
  auto config = raw.config();
  config.output = raw.folder / "a/b/out.h5";
  prepare_idx(config);
  EXPECT_TRUE(std::filesystem::exists(config.output));
}

// ---- faults: nothing new is left, what was there stays
// -------------------------------------------------------------

class PrepareFaults : public testing::Test {
 protected:
  void expect_bad(ExitCode code, std::initializer_list<std::string> parts,
                  const PrepareDatasetConfig& config) {
    auto before = raw_.folder.names();
    expect_error(code, parts, [&] { prepare_idx(config); });
    EXPECT_EQ(raw_.folder.names(), before);
    put(config.output, "what was there before");
    expect_error(code, parts, [&] { prepare_idx(config); });
    EXPECT_EQ(read_file(config.output), "what was there before");
  }
  RawFiles raw_;
};

TEST_F(PrepareFaults, MissingImages) {
  auto config = raw_.config();
  config.images = raw_.folder / "none.gz";
  expect_bad(ExitCode::no_input, {"none.gz", "no such file"}, config);
}
TEST_F(PrepareFaults, MissingLabels) {
  auto config = raw_.config();
  config.labels = raw_.folder / "none.gz";
  expect_bad(ExitCode::no_input, {"none.gz", "no such file"}, config);
}
TEST_F(PrepareFaults, ImagesCutShort) {
  std::string stored = gzip(raw_.image_file());
  put(raw_.folder / "images.gz", stored.substr(0, stored.size() / 2));
  expect_bad(ExitCode::bad_data, {"images.gz", "cut short"}, raw_.config());
}
TEST_F(PrepareFaults, ImagesDamagedAtTheVeryEnd) {
  std::string stored = gzip(raw_.image_file());
  stored[stored.size() - 8] ^= 1;
  put(raw_.folder / "images.gz", stored);
  expect_bad(ExitCode::bad_data, {"images.gz", "incorrect data check"}, raw_.config());
}
TEST_F(PrepareFaults, ImagesWithSomethingBehind) {
  put(raw_.folder / "images.gz", gzip(raw_.image_file() + "more"));
  expect_bad(ExitCode::bad_data, {"images.gz", "follows the last"}, raw_.config());
}
TEST_F(PrepareFaults, LabelsCutShort) {
  put(raw_.folder / "labels.gz", gzip(raw_.label_file().substr(0, 30)));
  expect_bad(ExitCode::bad_data, {"labels.gz", "cut short"}, raw_.config());
}
TEST_F(PrepareFaults, HeadersThatPromiseTheWorld) {
  std::string good = read_file(raw_.folder / "labels.gz");
  put(raw_.folder / "labels.gz", gzip(idx_header({0xffffffff}) + raw_.labels));
  expect_bad(ExitCode::bad_data, {"labels.gz", "cut short", "4294967295"}, raw_.config());
  put(raw_.folder / "labels.gz", good);
  put(raw_.folder / "images.gz", gzip(idx_header({50, 60000, 60000}) + raw_.pixels));
  expect_bad(ExitCode::bad_data, {"images.gz", "[50, 60000, 60000]", "damaged"}, raw_.config());
}
TEST_F(PrepareFaults, ImagesGivenAsLabels) {
  auto config = raw_.config();
  config.labels = config.images;
  expect_bad(ExitCode::bad_data, {"images.gz", "not a list of labels", "swapped"}, config);
}
TEST_F(PrepareFaults, LabelsGivenAsImages) {
  auto config = raw_.config();
  config.images = config.labels;
  expect_bad(ExitCode::bad_data, {"labels.gz", "not images", "swapped"}, config);
}
TEST_F(PrepareFaults, FewerLabelsThanImages) {
  put(raw_.folder / "labels.gz", gzip(idx_header({49}) + raw_.labels.substr(1)));
  expect_bad(ExitCode::bad_data, {"images.gz holds 50 images", "labels.gz holds 49 labels"}, raw_.config());
}
TEST_F(PrepareFaults, LabelWithoutAClass) {
  raw_.labels[17] = 9;
  put(raw_.folder / "labels.gz", gzip(raw_.label_file()));
  expect_bad(ExitCode::bad_data, {"labels.gz", "label 9 of sample 17", "4 classes"}, raw_.config());
}
TEST_F(PrepareFaults, NoImages) {
  put(raw_.folder / "images.gz", gzip(idx_header({0, 5, 5})));
  put(raw_.folder / "labels.gz", gzip(idx_header({0})));
  expect_bad(ExitCode::bad_data, {"images.gz", "no images", "[0, 5, 5]"}, raw_.config());
}
TEST_F(PrepareFaults, NotIdxAtAll) {
  put(raw_.folder / "images.gz", gzip("P6 5 5 255 and so on"));
  expect_bad(ExitCode::bad_data, {"images.gz", "not an IDX file"}, raw_.config());
}

TEST_F(PrepareFaults, OutputFolderIsAFile) {
  auto config = raw_.config();
  config.output = raw_.folder / "labels.gz/out.h5";
  expect_error(ExitCode::io, {"labels.gz", "directory"}, [&] { prepare_idx(config); });
}

TEST(PrepareDisk, FullDiskKeepsTheOldOutput) {
  RawFiles raw(3000, 32, 32);  // 3 MB
  TinyDisk disk(raw.folder / "disk");
  if (!disk.mounted()) GTEST_SKIP() << disk.reason();
  auto config = raw.config();
  config.output = raw.folder / "disk/out.h5";
  put(config.output, "old");
  expect_error(ExitCode::io, {"No space left"}, [&] { prepare_idx(config); });
  EXPECT_EQ(read_file(config.output), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(raw.folder / "disk"), {}), 1);
}

TEST(PrepareReal, FashionMnist) {
  const std::filesystem::path folder = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "needs Debian's package dataset-fashion-mnist";
  TemporaryFolder out;
  PrepareDatasetConfig config;
  config.images = folder / "t10k-images-idx3-ubyte.gz";
  config.labels = folder / "t10k-labels-idx1-ubyte.gz";
  config.output = out / "test.h5";
  PrepareResult result = prepare_idx(config);
  EXPECT_EQ(result.images, 10'000);
  EXPECT_EQ(result.classes, 10);
  EXPECT_NEAR(result.mean[0], 0.2868, 1e-4);
  EXPECT_NEAR(result.standard_deviation[0], 0.3524, 1e-4);
  ImageFile dataset(config.output, 1 << 30);
  std::vector<int> counts(10);
  for (int32_t label : dataset.labels()) ++counts[static_cast<size_t>(label)];
  EXPECT_EQ(counts, std::vector<int>(10, 1000));
}

}  // namespace
}  // namespace trireme
