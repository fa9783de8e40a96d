// Both 16-bit types: every bit pattern, and rounding against an oracle in double.
#include "base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/rng.h"

namespace trireme {
namespace {

// value rounded to nearest even at `fraction` bits, with exponents from `lowest` up; beyond `largest` it is
// infinite.
double rounded(double value, int fraction, int lowest, double largest) {
  if (value == 0 || !std::isfinite(value)) return value;
  int exponent = std::max(std::ilogb(value), lowest);
  double unit = std::ldexp(1.0, exponent - fraction);
  double result = std::nearbyint(value / unit) * unit;
  return std::abs(result) > largest ? std::copysign(INFINITY, value) : result;
}

double oracle(double value, BFloat16) { return rounded(value, 7, -126, 0x1.fep127); }
double oracle(double value, Float16) { return rounded(value, 10, -14, 65504.0); }

template <class T>
class Half : public testing::Test {
 protected:
  static T of_bits(uint32_t bits) {
    T value;
    value.bits = static_cast<uint16_t>(bits);
    return value;
  }
  static void expect_rounded(float value) {
    T half(value);
    float got = half;
    auto wanted = static_cast<float>(oracle(value, T{}));
    ASSERT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(wanted)) << value;
  }
};

using Types = testing::Types<BFloat16, Float16>;
TYPED_TEST_SUITE(Half, Types);

TYPED_TEST(Half, EveryBitPatternComesBack) {
  size_t nans = 0;
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    TypeParam half = this->of_bits(bits);
    float value = half;
    TypeParam again(value);
    if (std::isnan(value)) {
      ++nans;
      EXPECT_TRUE(std::isnan(static_cast<float>(again)));
    } else {
      ASSERT_EQ(again.bits, half.bits) << bits;
    }
  }
  EXPECT_EQ(nans, (std::is_same_v<TypeParam, BFloat16> ? 2u * 127 : 2u * 1023));
}

TYPED_TEST(Half, RoundsToNearestEvenAroundEveryValue) {
  for (uint32_t bits = 0; bits < 65535; ++bits) {
    float low = this->of_bits(bits), high = this->of_bits(bits + 1);
    if (!std::isfinite(low) || !std::isfinite(high) || std::signbit(low) != std::signbit(high)) continue;
    auto middle = static_cast<float>((static_cast<double>(low) + static_cast<double>(high)) / 2);
    for (float value : {low, middle, std::nextafter(middle, low), std::nextafter(middle, high)}) {
      this->expect_rounded(value);
    }
  }
}

TYPED_TEST(Half, RoundsFloatsOfAllMagnitudes) {
  RandomStream stream(1, Purpose::test, 0);
  for (int i = 0; i < 200000; ++i) {
    auto value = std::bit_cast<float>(stream.next());
    if (std::isfinite(value)) this->expect_rounded(value);
  }
}

TYPED_TEST(Half, KeepsWhatIsSpecial) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(static_cast<float>(TypeParam(infinity)), infinity);
  EXPECT_EQ(static_cast<float>(TypeParam(-infinity)), -infinity);
  EXPECT_EQ(static_cast<float>(TypeParam(std::numeric_limits<float>::max())), infinity);
  EXPECT_TRUE(std::isnan(static_cast<float>(TypeParam(std::numeric_limits<float>::quiet_NaN()))));
  // A nan whose only set bits are those that rounding cuts off.
  EXPECT_TRUE(std::isnan(static_cast<float>(TypeParam(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_TRUE(std::signbit(static_cast<float>(TypeParam(-0.0f))));
}

#ifdef __FLT16_MAX__
TEST(Float16, EqualsTheCompilersOwn) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    Float16 half;
    half.bits = static_cast<uint16_t>(bits);
    float own = std::bit_cast<_Float16>(half.bits);
    if (std::isnan(own)) continue;
    ASSERT_EQ(std::bit_cast<uint32_t>(static_cast<float>(half)), std::bit_cast<uint32_t>(own));
  }
  RandomStream stream(2, Purpose::test, 0);
  for (int i = 0; i < 200000; ++i) {
    auto value = std::bit_cast<float>(stream.next());
    if (std::isnan(value)) continue;
    ASSERT_EQ(Float16(value).bits, std::bit_cast<uint16_t>(static_cast<_Float16>(value))) << value;
  }
}
#endif

}  // namespace
}  // namespace trireme
