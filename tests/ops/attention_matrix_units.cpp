// Attention on bfloat16 matrix units: as exact in float32 as without them, over lengths and head sizes on
// both sides of the blocks' borders; bits do not depend on threads; what it hands to the vector kernels.
#include "backend/cpu/split/attention.h"
#include "ops/attention_cases.h"

namespace trireme::test {
namespace {

class MatrixUnits : public testing::TestWithParam<std::pair<int64_t, int64_t>> {
 protected:
  void SetUp() override {
    if (!cpu::split::matrix_units()) GTEST_SKIP() << "this processor has no bfloat16 matrix units";
    ASSERT_TRUE(cpu::split::takes_attention(cpu::ElementType::float32, length(), head_size()));
  }
  static int64_t length() { return GetParam().first; }
  static int64_t head_size() { return GetParam().second; }
  static AttentionCase of(int64_t samples, int64_t heads, bool causal, double rate) {
    return {{samples, length(), heads * head_size(), heads}, causal, rate};
  }
};
using Sizes = std::pair<int64_t, int64_t>;
INSTANTIATE_TEST_SUITE_P(LengthsAndHeadSizes, MatrixUnits,
                         testing::Values(Sizes{32, 16}, Sizes{33, 32}, Sizes{47, 17}, Sizes{64, 31},
                                         Sizes{65, 33}, Sizes{96, 48}, Sizes{127, 64}, Sizes{128, 32},
                                         Sizes{130, 100}, Sizes{40, 128}, Sizes{290, 20}));

// The errors of y and dqkv against float64, in units of what float32 arithmetic leaves.
TEST_P(MatrixUnits, AreAsExactAsFloat32Arithmetic) {
  auto units = make_cpu_backend({.threads = 1}),
       vectors = make_cpu_backend({.threads = 1, .matrix_units = false});
  for (bool causal : {false, true}) {
    for (double rate : {0.0, 0.2}) {
      AttentionCase c = of(1, 3, causal, rate);
      expect_plain(c, *units, DType::float32, 1e-5);
      std::vector<double> qkv = normal_values(elements(c.extents, 3), 1),
                          dy = normal_values(elements(c.extents, 1), 2);
      round_to(DType::float32, qkv);
      round_to(DType::float32, dy);
      Plain plain = plain_attention(c, qkv, dy, test_scalars());
      auto by_units = attention_results(c, *units), by_vectors = attention_results(c, *vectors);
      EXPECT_NE(by_units, by_vectors) << "the units were not asked";
      EXPECT_LT(relative_error(by_units[0], plain.y), 2 * relative_error(by_vectors[0], plain.y) + 0x1p-22);
      EXPECT_LT(relative_error(by_units[2], plain.dqkv),
                2 * relative_error(by_vectors[2], plain.dqkv) + 0x1p-22);
    }
  }
}

TEST_P(MatrixUnits, InBfloat16RoundOperandsOfProducts) {
  auto units = make_cpu_backend({1});
  for (bool causal : {false, true}) {
    expect_plain(of(1, 2, causal, 0), *units, DType::bfloat16, 0x1p-6);
    expect_plain(of(1, 2, causal, 0.2), *units, DType::bfloat16, 0x1p-6);
  }
}

TEST_P(MatrixUnits, ThreadsChangeNoBit) {
  for (DType type : {DType::float32, DType::bfloat16}) {
    AttentionCase c = of(2, 3, true, 0.1);
    auto one = make_cpu_backend({1});
    auto expected = attention_results(c, *one, type);
    for (int threads : {2, 3}) {
      auto backend = make_cpu_backend({threads});
      EXPECT_EQ(attention_results(c, *backend, type), expected) << threads << " threads";
    }
  }
}

// Scores far below the largest have no weight; scores beyond exp's range do not overflow.
TEST_P(MatrixUnits, LargeScoresKeepTheirSoftmax) {
  auto units = make_cpu_backend({1});
  AttentionCase c = of(1, 2, true, 0);
  AttentionRun run(c, *units);
  std::vector<double> qkv = normal_values(elements(c.extents, 3), 1),
                      dy = normal_values(elements(c.extents, 1), 2);
  for (double& value : qkv) value *= 8;
  run.give(run.qkv(), qkv);
  run.give(run.dy, dy);
  run.run->run(test_scalars());
  Plain plain = plain_attention(c, qkv, dy, test_scalars());
  EXPECT_LT(relative_error(run.run->values(run.sample.outputs[0]), plain.y), 1e-4);
  EXPECT_LT(relative_error(run.run->values(run.sample.outputs[1]), plain.logsumexp), 1e-5);
  EXPECT_LT(relative_error(run.run->values(run.dqkv()), plain.dqkv), 1e-3);
}

TEST(MatrixUnitsAttention, LeaveSmallHeadsAndFloat16ToTheVectorKernels) {
  EXPECT_FALSE(cpu::split::takes_attention(cpu::ElementType::float32, 31, 64));
  EXPECT_FALSE(cpu::split::takes_attention(cpu::ElementType::bfloat16, 128, 15));
  EXPECT_FALSE(cpu::split::takes_attention(cpu::ElementType::float16, 128, 64));
  EXPECT_TRUE(cpu::split::takes_attention(cpu::ElementType::bfloat16, 32, 16));
}

}  // namespace
}  // namespace trireme::test
