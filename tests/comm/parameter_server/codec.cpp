// Payloads: what is sent is what arrives, and what cannot have been sent is refused.
#include "comm/parameter_server/codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "base/error.h"
#include "base/half.h"

namespace trireme {
namespace {

std::vector<float> draw(size_t count, uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& v : values) v = scale * normal(random);
  return values;
}

std::vector<std::byte> encoded(PayloadFormat format, const Gradient& gradient, std::span<float> residual = {},
                               size_t k = 0) {
  std::vector<std::byte> bytes(payload_bytes(format, {gradient.values.size(), gradient.tail.size()}, k));
  Encoder().encode(format, gradient, residual, bytes);
  return bytes;
}

std::vector<float> decoded(const PayloadView& view, size_t elements, size_t block) {
  std::vector<float> all(elements), scratch(block);
  for (size_t begin = 0; begin < elements; begin += block) {
    Range range{begin, std::min(elements, begin + block)};
    const float* part = view.gradient(range, scratch.data());
    std::copy_n(part, range.size(), all.begin() + static_cast<std::ptrdiff_t>(begin));
  }
  return all;
}

TEST(Codec, CarriesFloatsParametersAndTail) {
  for (size_t n : {1u, 7u, 1000u}) {
    std::vector<float> values = draw(n, 1), parameters = draw(n, 2), tail = draw(5, 3);
    for (PayloadFormat format : {PayloadFormat::float32, PayloadFormat::float32_with_parameters}) {
      auto bytes = encoded(format, {values, tail, parameters});
      PayloadView view(format, bytes, {n, 5});
      EXPECT_EQ(decoded(view, n, 64), values);
      EXPECT_TRUE(std::equal(tail.begin(), tail.end(), view.tail()));
      if (format == PayloadFormat::float32) {
        EXPECT_EQ(view.parameters({0, n}), nullptr);
      } else {
        EXPECT_TRUE(std::equal(parameters.begin() + 1, parameters.end(), view.parameters({1, n})));
      }
    }
  }
}

TEST(Codec, NothingIsNothing) {
  PayloadView view(PayloadFormat::nothing, encoded(PayloadFormat::nothing, {}), {100, 5});
  EXPECT_EQ(view.gradient({0, 100}, nullptr), nullptr);
  EXPECT_EQ(view.tail(), nullptr);
}

TEST(Codec, RoundsToBFloat16AsHalfHDoes) {
  for (size_t n : {1u, 2u, 1001u}) {
    std::vector<float> values = draw(n, 7, 100), tail = draw(3, 8);
    values[0] = 1.00390625f;  // half way between two of them: the even one
    auto bytes = encoded(PayloadFormat::bfloat16, {values, tail});
    PayloadView view(PayloadFormat::bfloat16, bytes, {n, 3});
    std::vector<float> got = decoded(view, n, 64);
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(got[i], static_cast<float>(BFloat16(values[i])));
    EXPECT_EQ(got[0], 1.0f);
    EXPECT_TRUE(std::equal(tail.begin(), tail.end(), view.tail()));
  }
  std::vector<float> nan{std::nanf("")};
  auto bytes = encoded(PayloadFormat::bfloat16, {nan});
  EXPECT_TRUE(std::isnan(decoded(PayloadView(PayloadFormat::bfloat16, bytes, {1, 0}), 1, 1)[0]));
}

TEST(Codec, ErrorFeedbackLosesNothing) {
  // Small integers: sums are exact, so that what was sent and what is left are the sum of all gradients.
  const size_t n = 500;
  std::mt19937 random(3);
  for (PayloadFormat format : {PayloadFormat::bfloat16, PayloadFormat::top_k}) {
    std::vector<float> residual(n, 0), sum(n, 0), sent(n, 0);
    for (int step = 0; step < 20; ++step) {
      std::vector<float> values(n);
      for (size_t i = 0; i < n; ++i) {
        values[i] = static_cast<float>(static_cast<int>(random() % 4001) - 2000);
        sum[i] += values[i];
      }
      auto bytes = encoded(format, {values}, residual, 25);
      std::vector<float> got = decoded(PayloadView(format, bytes, {n, 0}), n, 64);
      size_t zeros = static_cast<size_t>(std::count(got.begin(), got.end(), 0.0f));
      if (format == PayloadFormat::top_k) {
        EXPECT_EQ(zeros, n - 25);
      }
      for (size_t i = 0; i < n; ++i) sent[i] += got[i];
    }
    EXPECT_NE(sent, sum);
    for (size_t i = 0; i < n; ++i) EXPECT_EQ(sent[i] + residual[i], sum[i]) << i;
  }
}

// The indices of the k greatest, rising; of equals the first.
std::vector<size_t> greatest(const std::vector<float>& values, size_t k) {
  std::vector<size_t> order(values.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  auto size_of_one = [&](size_t i) { return std::isnan(values[i]) ? INFINITY : std::abs(values[i]); };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return size_of_one(a) > size_of_one(b); });
  order.resize(k);
  std::sort(order.begin(), order.end());
  return order;
}

TEST(Codec, TopKTakesTheGreatest) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    std::mt19937 random(seed);
    const size_t n = 1 + random() % 3000, k = 1 + random() % n;
    std::vector<float> values = draw(n, seed);
    if (seed % 3 == 0) {  // many equals
      for (float& v : values) v = std::round(v * 2) / 2;
    }
    if (seed % 5 == 0) values[random() % n] = std::nanf("");
    const std::vector<size_t> order = greatest(values, k);
    std::vector<float> tail = draw(2, 9);
    auto bytes = encoded(PayloadFormat::top_k, {values, tail}, {}, k);
    const auto* indices = reinterpret_cast<const uint32_t*>(bytes.data());
    ASSERT_TRUE(std::equal(order.begin(), order.end(), indices)) << seed;
    PayloadView view(PayloadFormat::top_k, bytes, {n, 2});
    EXPECT_TRUE(std::equal(tail.begin(), tail.end(), view.tail()));
    std::vector<float> got = decoded(view, n, 100), expected(n, 0);
    for (size_t i : order) expected[i] = values[i];
    EXPECT_EQ(std::memcmp(got.data(), expected.data(), n * sizeof(float)), 0) << seed;
  }
}

TEST(Codec, TopKIsExactWhereASampleMisleads) {
  // Every value that a sample at even distances sees is great, or small, and the others are not.
  const size_t n = 8192 * 13, k = 500;
  for (bool great : {true, false}) {
    std::vector<float> values = draw(n, 4, great ? 1e-3f : 1);
    for (size_t i = 0; i < n; i += 13) values[i] = great ? 5 + values[i] : values[i] * 1e-3f;
    std::vector<float> expected(n, 0);
    for (size_t i : greatest(values, k)) expected[i] = values[i];
    auto bytes = encoded(PayloadFormat::top_k, {values}, {}, k);
    EXPECT_EQ(decoded(PayloadView(PayloadFormat::top_k, bytes, {n, 0}), n, 1000), expected);
  }
  std::vector<float> spikes(n, 0);  // the sample sees none of them, and guesses far too low or high
  for (size_t i = 0; i < k; ++i) spikes[i * 100 + 1 + (i * 100 + 1) % 13 % 2] = 1 + static_cast<float>(i);
  auto bytes = encoded(PayloadFormat::top_k, {spikes}, {}, k);
  EXPECT_EQ(decoded(PayloadView(PayloadFormat::top_k, bytes, {n, 0}), n, 1000), spikes);
}

TEST(Codec, CountsTopK) {
  EXPECT_EQ(top_k_count(1000, 0.01), 10u);
  EXPECT_EQ(top_k_count(1001, 0.01), 11u);
  EXPECT_EQ(top_k_count(10, 0.001), 1u);
  EXPECT_EQ(top_k_count(10, 2), 10u);
  EXPECT_EQ(top_k_count(0, 0.5), 0u);
}

TEST(Codec, RefusesWhatCannotHaveBeenSent) {
  std::vector<float> values = draw(100, 1), tail = draw(3, 2);
  const PayloadShape shape{100, 3};
  for (PayloadFormat format : {PayloadFormat::float32, PayloadFormat::bfloat16, PayloadFormat::top_k,
                               PayloadFormat::float32_with_parameters}) {
    auto bytes = encoded(format, {values, tail, values}, {}, 10);
    PayloadView(format, bytes, shape);
    for (size_t size : {size_t{0}, size_t{4}, bytes.size() - 4, bytes.size() - 1}) {
      if (format == PayloadFormat::top_k && size == 0) continue;
      EXPECT_THROW(PayloadView(format, std::span(bytes).first(size), shape), CommError) << size;
    }
    bytes.resize(bytes.size() + 4);
    EXPECT_THROW(PayloadView(format, bytes, shape), CommError);
    EXPECT_THROW(PayloadView(format, std::span(bytes).subspan(1), shape), CommError);
  }
  EXPECT_THROW(PayloadView(PayloadFormat::top_k, {}, shape), CommError);
  auto more = encoded(PayloadFormat::float32, {draw(200, 3), tail});  // k = 100 would be all; 101 is too many
  EXPECT_THROW(PayloadView(PayloadFormat::top_k, std::span(more).first(101 * 8 + 12), shape), CommError);
  std::vector<std::byte> one(4);
  EXPECT_THROW(PayloadView(PayloadFormat::nothing, one, shape), CommError);
  EXPECT_THROW(PayloadView(static_cast<PayloadFormat>(77), one, shape), CommError);

  auto bytes = encoded(PayloadFormat::top_k, {values, tail}, {}, 10);
  auto* indices = reinterpret_cast<uint32_t*>(bytes.data());
  auto refused = [&](size_t at, uint32_t index) {
    uint32_t before = std::exchange(indices[at], index);
    EXPECT_THROW(PayloadView(PayloadFormat::top_k, bytes, shape), CommError) << at << " " << index;
    indices[at] = before;
  };
  refused(9, 100);
  refused(9, UINT32_MAX);
  refused(0, UINT32_MAX);
  refused(4, indices[5]);
  refused(4, indices[3]);
  PayloadView(PayloadFormat::top_k, bytes, shape);
}

TEST(Codec, RefusesToWriteWhatDoesNotFit) {
  std::vector<float> values = draw(10, 1), few(9);
  std::vector<std::byte> small(36), right(40), twice(80);
  Encoder encoder;
  EXPECT_THROW(encoder.encode(PayloadFormat::float32, {values}, {}, small), CommError);
  EXPECT_THROW(encoder.encode(PayloadFormat::bfloat16, {values}, few, std::span(right).first(20)), CommError);
  EXPECT_THROW(encoder.encode(PayloadFormat::float32_with_parameters, {values, {}, few}, {}, twice),
               CommError);
  EXPECT_THROW(encoder.encode(PayloadFormat::top_k, {few}, {}, twice), CommError);
  EXPECT_NO_THROW(encoder.encode(PayloadFormat::float32, {values}, {}, right));
}

}  // namespace
}  // namespace trireme
