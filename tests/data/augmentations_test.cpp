// Each transform of images against the same written out plainly, pixel by pixel and in double.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <set>

#include "data/samples.h"
#include "data/transform.h"
#include "data/transform_rotate.h"

namespace trireme {
namespace {

using namespace test;

// An image of numbers, to compute with exactly.
struct Picture {
  int64_t height, width, channels;
  std::vector<double> values;
  double& at(int64_t y, int64_t x, int64_t c) {
    return values[static_cast<size_t>((y * width + x) * channels + c)];
  }
  double at(int64_t y, int64_t x, int64_t c) const {
    return values[static_cast<size_t>((y * width + x) * channels + c)];
  }
};

Picture blank(int64_t height, int64_t width, int64_t channels) {
  return {height, width, channels, std::vector<double>(static_cast<size_t>(height * width * channels))};
}

struct Source {
  Shape shape;
  std::string bytes;
  explicit Source(const Shape& s) : shape(s), bytes(random_bytes(static_cast<size_t>(s.elements()))) {}
  const uint8_t* pixels() const { return reinterpret_cast<const uint8_t*>(bytes.data()); }
  Picture picture() const {
    Picture out = blank(shape[0], shape[1], shape[2]);
    for (size_t i = 0; i < bytes.size(); ++i) out.values[i] = static_cast<unsigned char>(bytes[i]);
    return out;
  }
};

// Pixels 0 to 255 as they come out without normalisation.
std::vector<double> bytes_of(const ImageTransform& transform, const Source& source,
                             const ImageTransform::Draw& drawn) {
  std::vector<float> out(static_cast<size_t>(transform.output_shape().elements()));
  ImageTransform::Scratch scratch;
  transform.apply(source.pixels(), drawn, scratch, out.data());
  std::vector<double> bytes;
  for (float value : out) bytes.push_back(std::round(255.0 * static_cast<double>(value) * 1000) / 1000);
  return bytes;
}

void expect_rounded(const std::vector<double>& got, const Picture& exact) {
  ASSERT_EQ(got.size(), exact.values.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], exact.values[i], 0.51) << "at " << i;
}

ImageTransform make(TransformConfig config, const Shape& shape) {
  config.normalize = false;
  std::vector<double> zeros(static_cast<size_t>(shape[2])), ones(static_cast<size_t>(shape[2]), 1.0);
  return ImageTransform(config, shape, zeros, ones);
}

// Each output pixel by a sum over the whole part, with the product of two triangles.
Picture scaled(const Picture& in, const PixelRectangle& part, int64_t height, int64_t width) {
  Picture out = blank(height, width, in.channels);
  double scale_y = static_cast<double>(part.height) / static_cast<double>(height);
  double scale_x = static_cast<double>(part.width) / static_cast<double>(width);
  auto triangle = [](double distance, double scale) {
    return std::max(0.0, 1.0 - std::abs(distance) / std::max(1.0, scale));
  };
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      double center_y = (static_cast<double>(y) + 0.5) * scale_y - 0.5;
      double center_x = (static_cast<double>(x) + 0.5) * scale_x - 0.5;
      double weights = 0;
      std::vector<double> sums(static_cast<size_t>(in.channels));
      for (int64_t v = 0; v < part.height; ++v) {
        for (int64_t u = 0; u < part.width; ++u) {
          double weight = triangle(static_cast<double>(v) - center_y, scale_y) *
                          triangle(static_cast<double>(u) - center_x, scale_x);
          weights += weight;
          for (int64_t c = 0; c < in.channels; ++c) {
            sums[static_cast<size_t>(c)] += weight * in.at(part.top + v, part.left + u, c);
          }
        }
      }
      for (int64_t c = 0; c < in.channels; ++c) out.at(y, x, c) = sums[static_cast<size_t>(c)] / weights;
    }
  }
  return out;
}

TEST(Augmentations, ResizeEnlargesAndShrinks) {
  for (Shape shape : {Shape{13, 9, 1}, Shape{9, 13, 3}, Shape{16, 16, 2}}) {
    for (int64_t side : {1, 4, 8, 11, 16, 29}) {
      Source source(shape);
      TransformConfig config;
      config.resize = side;
      ImageTransform transform = make(config, shape);
      EXPECT_EQ(transform.output_shape(), (Shape{side, side, shape[2]}));
      expect_rounded(bytes_of(transform, source, transform.plain()),
                     scaled(source.picture(), {0, 0, shape[0], shape[1]}, side, side));
    }
  }
}

TEST(Augmentations, ResizedCropScalesWhatWasDrawn) {
  Source source(Shape{20, 16, 3});
  TransformConfig config;
  config.random_resized_crop = true;
  for (int64_t crop : {0, 8, 12}) {
    config.crop = crop;
    ImageTransform transform = make(config, source.shape);
    for (int64_t sample = 0; sample < 40; ++sample) {
      auto drawn = transform.draw(1, 0, sample);
      const PixelRectangle& part = drawn.resized_crop;
      ASSERT_GE(part.top, 0);
      ASSERT_LE(part.top + part.height, 20);
      ASSERT_LE(part.left + part.width, 16);
      double area = static_cast<double>(part.height * part.width) / 320;
      EXPECT_GT(area, 0.05);
      EXPECT_LE(area, 1.0);
      const Shape& out = transform.output_shape();
      expect_rounded(bytes_of(transform, source, drawn), scaled(source.picture(), part, out[0], out[1]));
    }
  }
}

TEST(Augmentations, CropIsAnywhereInTrainingAndInTheMiddleElse) {
  Source source(Shape{12, 9, 3});
  TransformConfig config;
  config.crop = 7;
  ImageTransform transform = make(config, source.shape);
  Picture in = source.picture();
  std::set<std::pair<int64_t, int64_t>> places;
  auto check = [&](const ImageTransform::Draw& drawn) {
    Picture expected = blank(7, 7, 3);
    for (int64_t y = 0; y < 7; ++y) {
      for (int64_t x = 0; x < 7; ++x) {
        for (int64_t c = 0; c < 3; ++c) {
          expected.at(y, x, c) = in.at(y + drawn.crop_top, x + drawn.crop_left, c);
        }
      }
    }
    EXPECT_EQ(bytes_of(transform, source, drawn), expected.values);
  };
  for (int64_t sample = 0; sample < 300; ++sample) {
    auto drawn = transform.draw(1, 0, sample);
    places.insert({drawn.crop_top, drawn.crop_left});
    check(drawn);
  }
  EXPECT_EQ(places.size(), 6u * 3);
  EXPECT_EQ(transform.plain().crop_top, 2);
  EXPECT_EQ(transform.plain().crop_left, 1);
  check(transform.plain());
}

TEST(Augmentations, VerticalFlip) {
  Source source(Shape{5, 4, 3});
  TransformConfig config;
  config.vertical_flip = true;
  ImageTransform transform = make(config, source.shape);
  int flips = 0;
  for (int64_t sample = 0; sample < 400; ++sample) {
    auto drawn = transform.draw(1, 0, sample);
    flips += drawn.flip_rows;
    Picture expected = source.picture();
    for (int64_t i = 0; i < 60 && drawn.flip_rows; ++i) {
      expected.at(4 - i / 12, i / 3 % 4, i % 3) = source.picture().at(i / 12, i / 3 % 4, i % 3);
    }
    ASSERT_EQ(bytes_of(transform, source, drawn), expected.values);
  }
  EXPECT_NEAR(flips, 200, 50);
}

TEST(Augmentations, Rotation) {
  Source source(Shape{11, 14, 2});
  Picture in = source.picture();
  TransformConfig config;
  config.rotation_degrees = 180;
  ImageTransform transform = make(config, source.shape);
  double least = 999, most = -999;
  for (int64_t sample = 0; sample < 100; ++sample) {
    auto drawn = transform.draw(1, 0, sample);
    least = std::min(least, drawn.degrees);
    most = std::max(most, drawn.degrees);
    double angle = drawn.degrees * std::numbers::pi / 180;
    Picture expected = blank(11, 14, 2);
    for (int64_t y = 0; y < 11; ++y) {
      for (int64_t x = 0; x < 14; ++x) {
        double dy = static_cast<double>(y) - 5, dx = static_cast<double>(x) - 6.5;
        double from_x = 6.5 + std::cos(angle) * dx - std::sin(angle) * dy;
        double from_y = 5 + std::sin(angle) * dx + std::cos(angle) * dy;
        for (int64_t v = 0; v < 11; ++v) {
          for (int64_t u = 0; u < 14; ++u) {
            double weight = std::max(0.0, 1 - std::abs(static_cast<double>(v) - from_y)) *
                            std::max(0.0, 1 - std::abs(static_cast<double>(u) - from_x));
            for (int64_t c = 0; c < 2; ++c) expected.at(y, x, c) += weight * in.at(v, u, c);
          }
        }
      }
    }
    expect_rounded(bytes_of(transform, source, drawn), expected);
  }
  EXPECT_LT(least, -150);
  EXPECT_GT(most, 150);
}

TEST(Augmentations, RotationIsCounterClockwise) {
  std::vector<uint8_t> in{1, 2, 3, 4}, out;
  rotate_pixels(in.data(), 2, 2, 1, 90, out);
  EXPECT_EQ(out, (std::vector<uint8_t>{2, 4, 1, 3}));
}

TEST(Augmentations, Grayscale) {
  Source source(Shape{6, 5, 3});
  std::string before = source.bytes;
  for (bool cropped : {false, true}) {  // in the file's own pixels and in a part of them
    TransformConfig config;
    config.grayscale_probability = 0.5;
    config.crop = cropped ? 5 : 0;
    ImageTransform transform = make(config, source.shape);
    int grays = 0;
    for (int64_t sample = 0; sample < 400; ++sample) {
      auto drawn = transform.draw(1, 0, sample);
      grays += drawn.gray;
      Picture in = source.picture(), expected = blank(cropped ? 5 : 6, 5, 3);
      for (int64_t i = 0; i < static_cast<int64_t>(expected.values.size()); ++i) {
        int64_t y = i / 15 + drawn.crop_top, x = i / 3 % 5;
        double gray = 0.299 * in.at(y, x, 0) + 0.587 * in.at(y, x, 1) + 0.114 * in.at(y, x, 2);
        expected.values[static_cast<size_t>(i)] = drawn.gray ? gray : in.at(y, x, i % 3);
      }
      expect_rounded(bytes_of(transform, source, drawn), expected);
    }
    EXPECT_NEAR(grays, 200, 50);
  }
  EXPECT_EQ(source.bytes, before) << "the file's pixels stay";
}

TEST(Augmentations, ErasingBlanksARectangle) {
  Source source(Shape{20, 30, 2});
  TransformConfig config;
  config.erase_probability = 0.25;
  ImageTransform transform(config, source.shape, {0.2, 0.6}, {0.3, 0.2});
  ImageTransform::Scratch scratch;
  std::vector<float> whole(1200), erased(1200);
  transform.apply(source.pixels(), transform.plain(), scratch, whole.data());
  int count = 0;
  for (int64_t sample = 0; sample < 800; ++sample) {
    auto drawn = transform.draw(1, 0, sample);
    const PixelRectangle& r = drawn.erased;
    transform.apply(source.pixels(), drawn, scratch, erased.data());
    if (r.height > 0) {
      ++count;
      double area = static_cast<double>(r.height * r.width) / 600;
      EXPECT_GT(area, 0.01);
      EXPECT_LT(area, 0.37);
    }
    for (int64_t i = 0; i < 1200; ++i) {
      int64_t y = i / 60, x = i / 2 % 30;
      bool inside = y >= r.top && y < r.top + r.height && x >= r.left && x < r.left + r.width;
      ASSERT_EQ(erased[static_cast<size_t>(i)], inside ? 0.0f : whole[static_cast<size_t>(i)]);
    }
  }
  EXPECT_NEAR(count, 200, 50);
}

TransformConfig everything() {
  TransformConfig config;
  config.resize = 24;
  config.crop = 20;
  config.random_crop_padding = 2;
  config.horizontal_flip = config.vertical_flip = true;
  config.rotation_degrees = 15;
  config.grayscale_probability = 0.5;
  config.erase_probability = 0.5;
  return config;
}

TEST(Augmentations, ValidationScalesCropsAndNormalisesOnly) {
  Source source(Shape{30, 26, 3});
  TransformConfig bare;
  bare.resize = 24;
  bare.crop = 20;
  ImageTransform transform = make(everything(), source.shape), still = make(bare, source.shape);
  EXPECT_EQ(bytes_of(transform, source, transform.plain()), bytes_of(still, source, still.plain()));
}

TEST(Augmentations, OneNeverMovesAnother) {
  TransformConfig fewer = everything();
  fewer.horizontal_flip = fewer.vertical_flip = false;
  fewer.rotation_degrees = 0;
  ImageTransform all = make(everything(), {30, 26, 3}), some = make(fewer, {30, 26, 3});
  for (int64_t sample = 0; sample < 50; ++sample) {
    auto a = all.draw(1, 0, sample), b = some.draw(1, 0, sample);
    EXPECT_EQ(a.top, b.top);
    EXPECT_EQ(a.crop_left, b.crop_left);
    EXPECT_EQ(a.gray, b.gray);
    EXPECT_EQ(a.erased.height, b.erased.height);
    EXPECT_EQ(a.erased.left, b.erased.left);
  }
}

TEST(Augmentations, WhatDoesNotSuitTheImages) {
  TransformConfig crop, gray, padding;
  crop.crop = 29;
  expect_error(ExitCode::bad_config, {"data.transform.crop = 29", "28 x 30"}, [&] {
    make(crop, {28, 30, 1});
  });
  gray.grayscale_probability = 0.1;
  expect_error(ExitCode::bad_config, {"grayscale_probability", "three channels"}, [&] {
    make(gray, {28, 28, 1});
  });
  padding.random_crop_padding = 8;
  padding.crop = 8;
  expect_error(ExitCode::bad_config, {"random_crop_padding = 8", "8 x 8"}, [&] {
    make(padding, {28, 28, 1});
  });
}

}  // namespace
}  // namespace trireme
