// Sheets of images: their size, their pixels, and a gan's own.
#include "predict/sheet.h"

#include <png.h>

#include "base/atomic_file.h"
#include "predict/predict_fixture.h"

namespace trireme {
namespace {

using namespace test;

struct ReadPng {
  int64_t width = 0, height = 0, channels = 0;
  std::vector<uint8_t> pixels;
};

ReadPng read_png(const std::filesystem::path& path) {
  std::string bytes = read_file(path);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0) return {};
  ReadPng read{image.width, image.height, PNG_IMAGE_SAMPLE_CHANNELS(image.format), {}};
  read.pixels.resize(PNG_IMAGE_SIZE(image));
  if (png_image_finish_read(&image, nullptr, read.pixels.data(), 0, nullptr) == 0) return {};
  return read;
}

TEST(Sheet, IsAsNearToASquareAsCanBe) {
  SheetSize size = sheet_size(10, Shape{3, 5, 1});
  EXPECT_EQ(size.columns, 4);
  EXPECT_EQ(size.rows, 3);
  EXPECT_EQ(size.height, 3 * 5 + 2);
  EXPECT_EQ(size.width, 4 * 7 + 2);
  EXPECT_EQ(sheet_size(1, Shape{3, 5, 1}).columns, 1);
}

TEST(Sheet, ImagesStandInTheirPlaces) {
  TemporaryFolder folder;
  std::vector<float> images{-1, 0, 1, 5, -5, 0.5F};  // three images of 1 x 2
  write_sheet(folder / "deep/sheet.png", 3, Shape{1, 2, 1}, images);
  ReadPng png = read_png(folder / "deep/sheet.png");
  ASSERT_EQ(png.width, 10);
  ASSERT_EQ(png.height, 8);
  EXPECT_EQ(png.channels, 1);
  auto at = [&](int64_t y, int64_t x) {
    return static_cast<int>(png.pixels[static_cast<size_t>(y * 10 + x)]);
  };
  EXPECT_EQ(at(0, 0), 255) << "the gap";
  EXPECT_EQ(at(2, 2), 0);
  EXPECT_EQ(at(2, 3), 128);
  EXPECT_EQ(at(2, 6), 255);
  EXPECT_EQ(at(2, 7), 255) << "cut to what a pixel can be";
  EXPECT_EQ(at(5, 2), 0);
  EXPECT_EQ(at(5, 3), 191);
}

class GanSheet : public PredictTest {
 protected:
  Config gan_config() {
    write_toy_images(folder_ / "images.h5", {.count = 32});
    return parse_config(
        "", "test.toml",
        {"data.train=" + (folder_ / "images.h5").string(), "data.batch=8", "train.threads=1", "train.steps=3",
         "data.transform.normalize=false", "model.kind=gan", "model.width=4", "model.latent=6"});
  }
  SheetSize sheet(const Config& config, const std::string& name, int64_t samples, uint64_t seed = 1) {
    SheetOptions options;
    options.run_directory = folder_ / "run";
    options.sheet = folder_ / name;
    options.samples = samples;
    options.seed = seed;
    return write_samples(config, options);
  }
};

TEST_F(GanSheet, ASeedIsASheet) {
  Config gan = gan_config();
  run(gan, 1, "run");
  SheetSize size = sheet(gan, "a.png", 5);
  ReadPng png = read_png(folder_ / "a.png");
  EXPECT_EQ(png.width, size.width);
  EXPECT_EQ(png.width, 3 * 10 + 2);
  EXPECT_EQ(png.height, 2 * 10 + 2);
  sheet(gan, "b.png", 5);
  sheet(gan, "c.png", 5, 2);
  EXPECT_EQ(read_file(folder_ / "a.png"), read_file(folder_ / "b.png"));
  EXPECT_NE(read_file(folder_ / "a.png"), read_file(folder_ / "c.png"));
  EXPECT_EQ(sheet(gan, "many.png", 70).columns, 9) << "more than one batch";
  expect_error(ExitCode::usage, {"--samples"}, [&] { predicted(gan, "run"); });
  expect_error(ExitCode::usage, {"mlp"}, [&] { sheet(config(), "d.png", 5); });
}

}  // namespace
}  // namespace trireme
