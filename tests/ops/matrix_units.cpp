// float32 products on bfloat16 matrix units (backend/cpu/split) against the reference backend, over sizes
// that fill the units and sizes that do not: as exact as the library's float32 arithmetic, and the same bits
// on any number of threads.
#include "backend/cpu/split/kernels.h"
#include "ops/op_runner.h"

namespace trireme::test {
namespace {

struct Case {
  std::string op;
  OpSample sample;
};

Attributes integers(std::initializer_list<std::pair<std::string, int64_t>> entries) {
  Attributes attributes;
  for (const auto& [name, value] : entries) attributes.set(name, value);
  return attributes;
}

std::vector<Case> linear_cases() {
  std::vector<Case> cases;
  struct Extents {
    int64_t rows, in, out;
  };
  for (Extents e : {Extents{256, 128, 384},
                    {200, 49, 65},
                    {32, 48, 48},
                    {33, 97, 50},
                    {64, 784, 96},
                    {128, 51, 81},
                    {129, 48, 130},
                    {321, 100, 70},
                    {1025, 64, 49}}) {
    for (int64_t transposed : {0, 1}) {
      Shape w = transposed != 0 ? Shape{e.out, e.in} : Shape{e.in, e.out};
      Attributes layout = integers({{"transposed", transposed}});
      Attributes relu = integers({{"transposed", transposed}, {"relu", 1}});
      Attributes no_bias = integers({{"transposed", transposed}, {"bias", 0}});
      cases.push_back({"linear", {.inputs = {{e.rows, e.in}, w, {e.out}}, .attributes = relu}});
      cases.push_back({"linear", {.inputs = {{e.rows, e.in}, w, {}}, .attributes = layout, .absent = {2}}});
      cases.push_back({"linear_backward_data", {.inputs = {{e.rows, e.out}, w}, .attributes = layout}});
      cases.push_back(
          {"linear_backward_weights", {.inputs = {{e.rows, e.out}, {e.rows, e.in}}, .attributes = layout}});
      cases.push_back(
          {"linear_backward_weights", {.inputs = {{e.rows, e.out}, {e.rows, e.in}}, .attributes = no_bias}});
    }
  }
  return cases;
}

std::vector<Case> convolution_cases() {
  std::vector<Case> cases;
  struct Extents {
    int64_t images, height, width, in, out, kernel, stride, padding;
  };
  const Extents all[] = {
      {32, 8, 8, 32, 32, 3, 1, 1}, {16, 7, 5, 17, 33, 3, 1, 1},   {19, 9, 8, 40, 16, 3, 2, 1},
      {33, 6, 6, 64, 72, 1, 2, 0}, {40, 5, 6, 20, 48, 5, 1, 2},   {48, 1, 1, 32, 32, 3, 1, 1},
      {20, 7, 7, 16, 16, 2, 3, 0}, {32, 11, 3, 128, 32, 3, 1, 0}, {16, 8, 8, 32, 32, 3, 2, 1},
      {16, 1, 4, 48, 16, 1, 1, 0}, {16, 3, 2, 16, 40, 3, 1, 2},
  };
  for (const Extents& e : all) {
    Shape x{e.images, e.height, e.width, e.in}, w{e.kernel, e.kernel, e.in, e.out};
    auto extent = [&](int64_t size) { return (size + 2 * e.padding - e.kernel) / e.stride + 1; };
    Shape y{e.images, extent(e.height), extent(e.width), e.out};
    Attributes forward = integers({{"stride", e.stride}, {"padding", e.padding}, {"relu", 1}});
    Attributes data =
        integers({{"stride", e.stride}, {"padding", e.padding}, {"height", e.height}, {"width", e.width}});
    cases.push_back({"convolution", {.inputs = {x, w, {e.out}}, .attributes = forward}});
    cases.push_back({"convolution_backward_data", {.inputs = {y, w}, .attributes = data}});
    for (int64_t bias : {0, 1}) {
      Attributes weights = integers({{"stride", e.stride},
                                     {"padding", e.padding},
                                     {"kernel_height", e.kernel},
                                     {"kernel_width", e.kernel},
                                     {"bias", bias}});
      cases.push_back({"convolution_backward_weights", {.inputs = {y, x}, .attributes = weights}});
    }
  }
  return cases;
}

std::vector<std::vector<double>> outputs_of(const Case& c, Backend& backend) {
  return run_sample(find_op(c.op), c.sample, DType::float32, backend);
}

class MatrixUnits : public testing::Test {
 protected:
  void SetUp() override {
    if (!cpu::split::matrix_units()) GTEST_SKIP() << "this processor has no bfloat16 matrix units";
  }

  void expect_exact(const std::vector<Case>& cases) {
    auto reference = make_reference_backend();
    auto without = make_cpu_backend({.threads = 1, .matrix_units = false});
    size_t other_bits = 0;
    for (const Case& c : cases) {
      SCOPED_TRACE(c.op + " of " + c.sample.inputs[0].to_string() + " and " + c.sample.inputs[1].to_string());
      auto expected = outputs_of(c, *reference), plain = outputs_of(c, *without);
      std::vector<std::vector<double>> first;
      for (int threads : {1, 2, 3}) {
        auto backend = make_cpu_backend({.threads = threads});
        auto actual = outputs_of(c, *backend);
        for (size_t k = 0; k < expected.size(); ++k) {
          double error = relative_error(actual[k], expected[k]), its = relative_error(plain[k], expected[k]);
          EXPECT_LT(error, 2 * its + 2e-7) << "output " << k << ", " << threads << " thread(s)";
        }
        if (threads == 1) {
          first = actual;
          other_bits += actual != plain ? 1 : 0;
        }
        EXPECT_EQ(actual, first) << threads << " threads";
      }
    }
    // Sums of a few terms may come out alike; were all alike, the units would not have been used.
    EXPECT_GT(other_bits, cases.size() / 2);
  }
};

TEST_F(MatrixUnits, MakeLinearAsExactAsFloat32) { expect_exact(linear_cases()); }

TEST_F(MatrixUnits, MakeConvolutionsAsExactAsFloat32) { expect_exact(convolution_cases()); }

// Long sums of values that do not cancel, where every rounding counts: over rows for weights, over channels
// forward.
TEST_F(MatrixUnits, KeepLongSumsExact) {
  expect_exact({
      {"linear_backward_weights", {.inputs = {{20001, 48}, {20001, 64}}, .positive = {0, 1}}},
      {"linear", {.inputs = {{256, 3137}, {3137, 64}, {64}}, .positive = {0, 1}}},
      {"linear", {.inputs = {{64, 3137}, {3137, 64}, {64}}, .positive = {0, 1}}},
      {"convolution_backward_weights",
       {.inputs = {{64, 14, 14, 16}, {64, 14, 14, 16}},
        .attributes = integers({{"padding", 1}, {"kernel_height", 3}, {"kernel_width", 3}, {"bias", 1}}),
        .positive = {0, 1}}},
      {"convolution",
       {.inputs = {{16, 4, 4, 256}, {3, 3, 256, 32}, {32}},
        .attributes = integers({{"padding", 1}}),
        .positive = {0, 1}}},
  });
}

// Packed weights follow the parameters.
TEST_F(MatrixUnits, PackWeightsAgainWhenParametersHaveChanged) {
  const Op& op = find_op("linear");
  OpSample sample{.inputs = {{256, 64}, {64, 64}, {64}}};
  SampleGraph s = sample_graph(op, sample, DType::float32);
  auto backend = make_cpu_backend({.threads = 1});
  auto reference = make_reference_backend();
  GraphRun ours(s.graph, *backend), oracle(s.graph, *reference);
  for (uint64_t seed : {1, 2}) {
    for (GraphRun* run : {&ours, &oracle}) {
      run->draw_inputs(s, sample, s.graph.nodes[0].attributes, seed);
      run->run(test_scalars());
    }
    EXPECT_LT(relative_error(ours.values(s.outputs[0]), oracle.values(s.outputs[0])), 1e-6) << seed;
  }
}

// x = x1 + x2 + x3 to the last bit over the range of float32 but for numbers whose third part is denormal.
TEST_F(MatrixUnits, SplitNumbersWithoutRest) {
  using namespace cpu::split;
  std::vector<float> x(64), zero(64);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = std::ldexp(1.0f + 0.9999999f * static_cast<float>(i) / 64, static_cast<int>(i * 3) - 95) *
           (i % 2 == 0 ? 1.0f : -1.0f);
  }
  x[0] = 0;
  std::vector<uint16_t> halves(3 * 64);
  split_rows(x.data(), 1, 64, 64, {halves.data(), 64, 64});
  for (size_t i = 0; i < x.size(); ++i) {
    double sum = 0;
    for (size_t plane = 0; plane < 3; ++plane) {
      uint32_t bits = uint32_t{halves[plane * 64 + i]} << 16;
      float part = 0;
      std::memcpy(&part, &bits, sizeof part);
      sum += double{part};
    }
    EXPECT_EQ(static_cast<float>(sum), x[i]) << i;
  }
}

TEST_F(MatrixUnits, HandOnWhatIsNotFinite) {
  using namespace cpu::split;
  for (float special : {INFINITY, -INFINITY, NAN}) {
    std::vector<float> x(32, 1.0f), w(32 * 32, 1.0f), y(32);
    x[5] = special;
    std::vector<uint16_t> rows(3 * 16 * 32), panel(panel_step);
    split_rows(x.data(), 1, 32, 32, {rows.data(), 16 * 32, 32});
    pack_panels(w.data(), 32, 32, 32, 0, {panel.data(), panel_step}, nullptr);
    multiply(Tiles(), {.a = rows.data(),
                       .a_plane = 16 * 32,
                       .a_stride = 32,
                       .a_offsets = nullptr,
                       .panel_offsets = nullptr,
                       .steps = 1,
                       .panels = panel.data(),
                       .panel_stride = panel_step,
                       .rows = 1,
                       .columns = 32,
                       .c = y.data(),
                       .c_stride = 32,
                       .accumulate = false,
                       .bias = nullptr,
                       .relu = false});
    for (float value : y) EXPECT_FALSE(std::isfinite(value)) << value;
  }
}

}  // namespace
}  // namespace trireme::test
