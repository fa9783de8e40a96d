// Folders of PNG and JPEG files to images: formats, scaling, classes, faults.
#include <gtest/gtest.h>
#include <png.h>

#include <jpeglib.h>
#include <cstdio>

#include "data/picture.h"
#include "data/samples.h"

namespace trireme {
namespace {

using namespace test;

std::string png(int width, int height, uint32_t format, const std::string& pixels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = format;
  png_alloc_size_t bytes = 0;
  png_image_write_to_memory(&image, nullptr, &bytes, 0, pixels.data(), 0, nullptr);
  std::string out(bytes, '\0');
  png_image_write_to_memory(&image, out.data(), &bytes, 0, pixels.data(), 0, nullptr);
  out.resize(bytes);
  return out;
}
std::string grey_png(int width, int height, uint8_t value) {
  return png(width, height, PNG_FORMAT_GRAY,
             std::string(static_cast<size_t>(width * height), static_cast<char>(value)));
}

std::string jpeg(int width, int height, int channels, const std::string& pixels) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* memory = nullptr;
  unsigned long bytes = 0;
  jpeg_mem_dest(&info, &memory, &bytes);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = channels;
  info.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    auto* row = reinterpret_cast<JSAMPROW>(const_cast<char*>(
        pixels.data() + static_cast<size_t>(info.next_scanline) * static_cast<size_t>(width * channels)));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  std::string out(reinterpret_cast<char*>(memory), bytes);
  jpeg_destroy_compress(&info);
  std::free(memory);
  return out;
}

class PrepareImages : public testing::Test {
 protected:
  PrepareImages() {
    config_.kind = "images";
    config_.folder = folder_ / "raw";
    config_.output = folder_ / "out.h5";
    config_.origin = "test.toml:1";
  }
  void add(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories((folder_ / ("raw/" + name)).parent_path());
    put(folder_ / ("raw/" + name), bytes);
  }
  Picture read(const std::string& bytes) {
    put(folder_ / "one", bytes);
    return read_picture(folder_ / "one");
  }
  std::vector<uint8_t> values(const std::string& path, const std::string& name = "out.h5") {
    h5::Handle file = h5::open_file(folder_ / name), dataset = h5::open_dataset(file, path);
    std::vector<uint8_t> all(static_cast<size_t>(h5::shape_of(dataset).elements()));
    h5::read_all(dataset, DType::uint8, all.data());
    return all;
  }
  void expect_bad(std::initializer_list<std::string> parts) {
    expect_error(ExitCode::bad_data, parts, [&] { prepare(config_); });
    EXPECT_FALSE(std::filesystem::exists(config_.output));
  }
  TemporaryFolder folder_;
  PrepareDatasetConfig config_;
};

TEST_F(PrepareImages, ReadsTheKindsOfPng) {
  EXPECT_EQ(read(png(2, 1, PNG_FORMAT_GRAY, {1, 2})).pixels, (std::vector<uint8_t>{1, 2}));
  EXPECT_EQ(read(png(1, 1, PNG_FORMAT_RGB, {1, 2, 3})).pixels, (std::vector<uint8_t>{1, 2, 3}));
  EXPECT_EQ(read(png(1, 1, PNG_FORMAT_RGBA, {9, 8, 7, '\xff'})).pixels, (std::vector<uint8_t>{9, 8, 7}));
  EXPECT_EQ(read(png(1, 1, PNG_FORMAT_RGBA, {9, 8, 7, 0})).pixels, (std::vector<uint8_t>{0, 0, 0}))
      << "laid on black";
  // A palette: two colours, of which the second is used.
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = image.height = 1;
  image.format = PNG_FORMAT_RGB_COLORMAP;
  image.colormap_entries = 2;
  const uint8_t map[] = {0, 0, 0, 10, 20, 30}, index = 1;
  std::string out(1000, '\0');
  png_alloc_size_t bytes = out.size();
  ASSERT_NE(png_image_write_to_memory(&image, out.data(), &bytes, 0, &index, 0, map), 0);
  EXPECT_EQ(read(out.substr(0, bytes)).pixels, (std::vector<uint8_t>{10, 20, 30}));
}

TEST_F(PrepareImages, ReadsJpeg) {
  Picture grey = read(jpeg(16, 8, 1, std::string(128, 100)));
  EXPECT_EQ(grey.channels, 1);
  EXPECT_EQ(grey.width, 16);
  EXPECT_EQ(grey.height, 8);
  for (uint8_t value : grey.pixels) EXPECT_NEAR(value, 100, 1);
  Picture color = read(jpeg(8, 8, 3, std::string(192, 50)));
  EXPECT_EQ(color.channels, 3);
  for (uint8_t value : color.pixels) EXPECT_NEAR(value, 50, 2);
}

TEST_F(PrepareImages, ChannelsAndSizesAreChanged) {
  Picture color{1, 2, 3, {255, 0, 0, 10, 10, 10}};
  EXPECT_EQ(with_channels(color, 1).pixels, (std::vector<uint8_t>{76, 10}));
  EXPECT_EQ(with_channels(Picture{1, 2, 1, {5, 6}}, 3).pixels, (std::vector<uint8_t>{5, 5, 5, 6, 6, 6}));
  EXPECT_EQ(resized(Picture{1, 2, 1, {0, 100}}, 1, 4).pixels, (std::vector<uint8_t>{0, 25, 75, 100}));
  Picture flat{7, 5, 3, std::vector<uint8_t>(105, 77)};
  for (uint8_t value : resized(flat, 3, 11).pixels) EXPECT_EQ(value, 77);
  Picture ramp{1, 8, 1, {0, 10, 20, 30, 40, 50, 60, 70}};
  auto half = resized(ramp, 1, 4).pixels;
  EXPECT_EQ(half[1], 25);
  EXPECT_EQ(half[2], 45);
}

TEST_F(PrepareImages, FoldersAreClasses) {
  add("dog/2.png", grey_png(4, 3, 20));
  add("dog/1.PNG", grey_png(4, 3, 10));
  add("cat/a.jpg", jpeg(4, 3, 1, std::string(12, 30)));
  add("cat/.hidden", "nothing");
  auto made = prepare(config_);
  EXPECT_TRUE(made[0].warnings.empty());
  EXPECT_THAT(made[0].summary, testing::HasSubstr("3 images of 3 x 4 x 1, 2 classes"));
  auto labels = values("/labels");
  EXPECT_EQ(labels, (std::vector<uint8_t>{0, 1, 1}));
  auto pixels = values("/images");
  EXPECT_EQ(pixels[12], 10);
  EXPECT_EQ(pixels[24], 20);
  h5::Handle file = h5::open_file(folder_ / "out.h5"), images = h5::open_dataset(file, "/images");
  EXPECT_EQ(h5::read_strings_attribute(images, "class_names"), (std::vector<std::string>{"cat", "dog"}));
  EXPECT_TRUE(h5::has_fletcher32(images));
  EXPECT_NEAR(h5::read_double_attribute(images, "mean")[0], 20.0 / 255, 1e-3);
  std::string first = read_file(folder_ / "out.h5");
  EXPECT_TRUE(prepare(config_)[0].up_to_date);
  prepare(config_, true);
  EXPECT_EQ(read_file(folder_ / "out.h5"), first);
  add("dog/1.PNG", grey_png(4, 3, 11));
  EXPECT_FALSE(prepare(config_)[0].up_to_date);
}

TEST_F(PrepareImages, AllAreScaledAndColoured) {
  add("a/1.png", grey_png(9, 7, 50));
  add("a/2.png", png(1, 1, PNG_FORMAT_RGB, {10, 20, 30}));
  config_.height = 2;
  config_.width = 3;
  config_.channels = 3;
  prepare(config_);
  auto pixels = values("/images");
  ASSERT_EQ(pixels.size(), 36u);
  EXPECT_EQ(pixels[0], 50);
  EXPECT_EQ(pixels[33], 10);
  EXPECT_EQ(pixels[35], 30);
}

TEST_F(PrepareImages, OtherFilesAreLeftOutAndTold) {
  add("a/1.png", grey_png(2, 2, 1));
  add("a/notes.txt", "hello");
  add("labels.csv", "x");
  auto made = prepare(config_);
  ASSERT_EQ(made[0].warnings.size(), 1u);
  EXPECT_THAT(made[0].warnings[0],
              testing::AllOf(testing::HasSubstr("2 file(s)"), testing::HasSubstr("notes.txt"),
                             testing::HasSubstr("labels.csv")));
}

TEST_F(PrepareImages, SplitsAndFollowsAnother) {
  for (int i = 0; i < 200; ++i)
    add(fmt::format("{}/{:03}.png", i % 2 ? "x" : "y", i), grey_png(2, 2, static_cast<uint8_t>(i)));
  config_.validation_output = folder_ / "validation.h5";
  config_.validation_fraction = 0.3;
  prepare(config_);
  size_t apart = values("/labels", "validation.h5").size();
  EXPECT_EQ(values("/labels").size() + apart, 200u);
  EXPECT_NEAR(static_cast<double>(apart), 60, 25);

  std::filesystem::remove_all(folder_ / "raw");
  add("y/1.png", png(4, 4, PNG_FORMAT_RGB, std::string(48, 9)));
  config_.validation_output = "";
  config_.like = folder_ / "out.h5";
  config_.output = folder_ / "other.h5";
  prepare(config_);
  EXPECT_EQ(values("/labels", "other.h5"), (std::vector<uint8_t>{1}));
  EXPECT_EQ(values("/images", "other.h5"), (std::vector<uint8_t>{9, 9, 9, 9}));
  config_.output = folder_ / "third.h5";
  add("z/1.png", grey_png(2, 2, 9));
  expect_bad({"\"z\"", "x, y", "out.h5"});
}

TEST_F(PrepareImages, BrokenFilesAreNamed) {
  const std::string good = grey_png(40, 40, 7), photo = jpeg(40, 40, 3, random_bytes(4800));
  add("a/good.png", good);
  add("a/z.png", "");
  expect_bad({"a/z.png", "an empty file"});
  add("a/z.png", "text");
  expect_bad({"a/z.png", "neither a PNG nor a JPEG"});
  add("a/z.png", good.substr(0, good.size() - 20));
  expect_bad({"a/z.png", "damaged PNG"});
  std::string flipped = good;
  flipped[20] = static_cast<char>(flipped[20] ^ 1);
  add("a/z.png", flipped);
  expect_bad({"a/z.png", "damaged PNG", "CRC"});
  std::filesystem::remove(folder_ / "raw/a/z.png");
  add("a/z.jpg", photo.substr(0, photo.size() / 2));
  config_.height = config_.width = 40;
  expect_bad({"a/z.jpg", "JPEG", "Premature end"});
  add("a/z.jpg", photo.substr(0, 30));
  expect_bad({"a/z.jpg", "JPEG"});
  add("a/z.jpg", jpeg(4, 4, 4, std::string(64, 1)));
  expect_bad({"a/z.jpg", "JPEG", "color conversion"});
}

TEST_F(PrepareImages, BombsAreRefusedBeforeTheyUnpack) {
  // A header that promises 100000 x 100000 pixels, with its checksum as it must be.
  std::string bomb = grey_png(1, 1, 0);
  for (size_t place : {16u, 20u}) bomb.replace(place, 4, std::string{'\0', '\1', '\x86', '\xa0'});
  uint32_t sum = static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(bomb.data() + 12), 17));
  for (int i = 0; i < 4; ++i) bomb[29 + static_cast<size_t>(i)] = static_cast<char>(sum >> (24 - 8 * i));
  add("a/bomb.png", bomb);
  expect_bad({"a/bomb.png", "100000 x 100000 pixels"});
}

TEST_F(PrepareImages, FoldersThatDoNotFitAreNamed) {
  expect_error(ExitCode::no_input, {"test.toml:1", "raw"}, [&] { prepare(config_); });
  std::filesystem::create_directories(folder_ / "raw/empty");
  expect_bad({"raw/empty", "no PNG or JPEG"});
  std::filesystem::remove(folder_ / "raw/empty");
  expect_bad({"no images", "a folder for each class"});
  add("a/1.png", grey_png(2, 2, 1));
  add("b/2.png", grey_png(2, 3, 1));
  expect_bad({"b/2.png", "3 x 2 pixels", "height and width"});
}

}  // namespace
}  // namespace trireme
