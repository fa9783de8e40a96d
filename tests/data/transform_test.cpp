// Against the transform written out plainly: pad, crop, flip, normalise, pixel by pixel.
#include "data/transform.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "data/samples.h"

namespace trireme {
namespace {

using namespace test;

TransformConfig basic(bool normalize, int64_t padding, bool flip) {
  TransformConfig config;
  config.normalize = normalize;
  config.random_crop_padding = padding;
  config.horizontal_flip = flip;
  return config;
}

struct Case {
  int64_t height, width, channels;
  TransformConfig config;
};

std::vector<double> means(int64_t channels) {
  std::vector<double> values{0.2, 0.5, 0.7};
  values.resize(static_cast<size_t>(channels));
  return values;
}

std::vector<double> deviations(int64_t channels) {
  std::vector<double> values{0.3, 0.1, 0.25};
  values.resize(static_cast<size_t>(channels));
  return values;
}

std::vector<float> plainly(const Case& c, const std::string& in, const ImageTransform::Draw& draw) {
  std::vector<float> out;
  int64_t padding = c.config.random_crop_padding;
  for (int64_t y = 0; y < c.height; ++y) {
    for (int64_t x = 0; x < c.width; ++x) {
      for (int64_t channel = 0; channel < c.channels; ++channel) {
        int64_t from_y = y + draw.top - padding;
        int64_t from_x = (draw.flip ? c.width - 1 - x : x) + draw.left - padding;
        double pixel = 0;
        if (from_y >= 0 && from_y < c.height && from_x >= 0 && from_x < c.width) {
          auto place = static_cast<size_t>((from_y * c.width + from_x) * c.channels + channel);
          pixel = static_cast<unsigned char>(in[place]) / 255.0;
        }
        if (c.config.normalize) {
          auto at = static_cast<size_t>(channel);
          pixel = (pixel - means(c.channels)[at]) / deviations(c.channels)[at];
        }
        out.push_back(static_cast<float>(pixel));
      }
    }
  }
  return out;
}

class Transforms : public testing::TestWithParam<Case> {};

TEST_P(Transforms, EqualThePlainOnes) {
  const Case& c = GetParam();
  Shape shape{c.height, c.width, c.channels};
  ImageTransform transform(c.config, shape, means(c.channels), deviations(c.channels));
  std::string in = random_bytes(static_cast<size_t>(shape.elements()));
  std::vector<float> out(in.size());
  ImageTransform::Scratch scratch;
  for (int64_t sample = 0; sample < 200; ++sample) {
    auto draw = transform.draw(11, 3, sample);
    transform.apply(reinterpret_cast<const uint8_t*>(in.data()), draw, scratch, out.data());
    auto expected = plainly(c, in, draw);
    for (size_t i = 0; i < out.size(); ++i)
      ASSERT_NEAR(out[i], expected[i], 2e-6) << "sample " << sample << " at " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Transforms,
    testing::Values(Case{28, 28, 1, basic(true, 0, false)}, Case{28, 28, 1, basic(false, 0, false)},
                    Case{28, 28, 1, basic(true, 4, false)}, Case{28, 28, 1, basic(true, 0, true)},
                    Case{28, 28, 1, basic(true, 4, true)}, Case{7, 5, 3, basic(true, 0, true)},
                    Case{7, 5, 3, basic(true, 4, false)}, Case{7, 5, 3, basic(true, 4, true)},
                    Case{5, 7, 2, basic(false, 2, true)}, Case{1, 1, 3, basic(true, 0, true)}));

TEST(TransformDraws, CoverAllOffsetsAndBothSides) {
  TransformConfig config = basic(true, 2, true);
  ImageTransform transform(config, {8, 8, 1}, means(1), deviations(1));
  std::set<std::tuple<int64_t, int64_t, bool>> seen;
  int flips = 0;
  for (int64_t sample = 0; sample < 4000; ++sample) {
    auto draw = transform.draw(1, 0, sample);
    seen.insert({draw.top, draw.left, draw.flip});
    flips += draw.flip;
  }
  EXPECT_EQ(seen.size(), 5u * 5 * 2);
  EXPECT_NEAR(flips, 2000, 150);
}

TEST(TransformDraws, DependOnSeedEpochAndSample) {
  TransformConfig config = basic(true, 8, true);
  auto draws = [&](uint64_t seed, int64_t epoch, int64_t first) {
    ImageTransform transform(config, {28, 28, 1}, means(1), deviations(1));
    std::vector<int64_t> all;
    for (int64_t i = first; i < first + 20; ++i) {
      auto draw = transform.draw(seed, epoch, i);
      all.insert(all.end(), {draw.top, draw.left, draw.flip});
    }
    return all;
  };
  EXPECT_EQ(draws(1, 2, 3), draws(1, 2, 3));
  EXPECT_NE(draws(1, 2, 3), draws(2, 2, 3));
  EXPECT_NE(draws(1, 2, 3), draws(1, 3, 3));
  EXPECT_NE(draws(1, 2, 3), draws(1, 2, 4));
}

TEST(TransformDraws, OneAugmentationDoesNotMoveTheOther) {
  ImageTransform both(basic(true, 4, true), {28, 28, 1}, means(1), deviations(1));
  ImageTransform crop(basic(true, 4, false), {28, 28, 1}, means(1), deviations(1));
  for (int64_t i = 0; i < 50; ++i) {
    EXPECT_EQ(both.draw(1, 0, i).top, crop.draw(1, 0, i).top);
    EXPECT_EQ(both.draw(1, 0, i).left, crop.draw(1, 0, i).left);
    EXPECT_FALSE(crop.draw(1, 0, i).flip);
  }
}

TEST(TransformDraws, ValidationIsNotAugmented) {
  ImageTransform transform(basic(true, 4, true), {8, 8, 1}, means(1), deviations(1));
  ImageTransform still(basic(true, 0, false), {8, 8, 1}, means(1), deviations(1));
  std::string in = random_bytes(64);
  std::vector<float> out(64), expected(64);
  ImageTransform::Scratch scratch;
  const auto* pixels = reinterpret_cast<const uint8_t*>(in.data());
  transform.apply(pixels, transform.plain(), scratch, out.data());
  still.apply(pixels, still.plain(), scratch, expected.data());
  EXPECT_EQ(out, expected);
}

TEST(Transform, ConstantChannelIsOnlyCentred) {
  ImageTransform transform(basic(true, 0, false), {1, 1, 1}, {1.0}, {0.0});
  uint8_t in = 255;
  float out = 9;
  ImageTransform::Scratch scratch;
  transform.apply(&in, transform.plain(), scratch, &out);
  EXPECT_NEAR(out, 0.0f, 1e-6);
}

TEST(Transform, PaddingAsLargeAsTheImage) {
  expect_error(ExitCode::bad_config, {"random_crop_padding = 5", "5 x 8"}, [] {
    ImageTransform(basic(true, 5, false), {5, 8, 1}, {0.5}, {0.5});
  });
}

}  // namespace
}  // namespace trireme
