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

}  // namespace
}  // namespace trireme
