// Recurrences by split products on matrix units, against the reference: numbers of samples and units that
// fill no block, one block and several; bits do not depend on the number of threads.
#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/split/kernels.h"
#include "base/buffer.h"
#include "base/rng.h"
#include "graph/op.h"

namespace trireme {
namespace {

// An op and its backward op with memory of their own; the inputs are the same in all that are made alike.
struct Net {
  Net(const std::string& op, int64_t samples, int64_t steps, int64_t hidden) {
    int64_t gates = op == "lstm" ? 4 : 1;
    GraphWriter writer(graph, op);
    ValueId before = graph.add_input("before", {DType::float32, {samples, steps, gates * hidden}});
    ValueId weights = graph.add_input("weights", {DType::float32, {hidden, gates * hidden}});
    ValueId dh = graph.add_input("dh", {DType::float32, {samples, steps, hidden}});
    writer.add(op, {before, weights});
    Node node = graph.nodes.back();
    find_op(op).gradient(writer, node, dh);
    RandomStream stream(7, Purpose::test);
    float scale = 1 / std::sqrt(static_cast<float>(hidden));
    for (size_t i = 0; i < graph.values.size(); ++i) {
      memory.emplace_back(graph.values[i].type.bytes());
      addresses.push_back(memory.back().data());
      bool input = i < 3;
      for (float& x : memory.back().span<float>()) {
        x = input ? stream.normal() * (static_cast<ValueId>(i) == weights ? scale : 1.0f) : 42.0f;
      }
    }
  }
  void run(Backend& backend) {
    for (const Node& node : graph.nodes) backend.bind(graph, node, addresses)({1, 0, 0, 1.0});
  }
  Graph graph;
  std::deque<Buffer> memory;
  std::vector<void*> addresses;
};

struct Case {
  std::string op;
  int64_t samples, steps, hidden;
  bool by_units;
};

class SplitRecurrent : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!cpu::split::matrix_units())
      GTEST_SKIP() << "this processor has no matrix units, or may not use them";
  }
  static Net made() {
    const Case& one = GetParam();
    return Net(one.op, one.samples, one.steps, one.hidden);
  }
  static Net computed(const BackendOptions& options) {
    Net net = made();
    net.run(*make_cpu_backend(options));
    return net;
  }
};

// Of every output, relative to its largest value.
double largest_error(const Net& net, const Net& reference) {
  double worst = 0;
  for (size_t i = 3; i < net.memory.size(); ++i) {
    auto values = net.memory[i].span<float>(), expected = reference.memory[i].span<float>();
    double largest = 0, error = 0;
    for (size_t k = 0; k < values.size(); ++k) {
      largest = std::max(largest, std::abs(double{expected[k]}));
      double off = std::abs(double{values[k]} - double{expected[k]});
      error = off > error || std::isnan(off) ? off : error;
    }
    worst = std::max(worst, error / std::max(largest, 1e-3));
    if (std::isnan(error)) return error;
  }
  return worst;
}

TEST_P(SplitRecurrent, AgreesWithTheReference) {
  Net reference = made();
  reference.run(*make_reference_backend());
  EXPECT_LT(largest_error(computed({.threads = 2}), reference), 3e-6);
  EXPECT_LT(largest_error(computed({.threads = 2, .matrix_units = false}), reference), 3e-6);
}

TEST_P(SplitRecurrent, BitsDoNotDependOnTheNumberOfThreads) {
  Net one = computed({.threads = 1});
  for (int threads : {2, 3}) {
    Net more = computed({.threads = threads});
    for (size_t i = 3; i < one.memory.size(); ++i) {
      auto a = one.memory[i].span<float>(), b = more.memory[i].span<float>();
      for (size_t k = 0; k < a.size(); ++k) {
        ASSERT_EQ(a[k], b[k]) << threads << " threads, value " << i << ", element " << k;
      }
    }
  }
}

// The units are used where they should be: other bits than by float32 arithmetic.
TEST_P(SplitRecurrent, UsesTheUnitsWhereSizesAllow) {
  Net with = computed({.threads = 1}), without = computed({.threads = 1, .matrix_units = false});
  bool differs = false;
  auto a = with.memory[3].span<float>(), b = without.memory[3].span<float>();
  for (size_t k = 0; k < a.size(); ++k) differs = differs || a[k] != b[k];
  EXPECT_EQ(differs, GetParam().by_units);
}

INSTANTIATE_TEST_SUITE_P(Sizes, SplitRecurrent,
                         testing::Values(Case{"lstm", 9, 2, 128, true}, Case{"lstm", 16, 7, 96, true},
                                         Case{"lstm", 17, 3, 64, true}, Case{"lstm", 33, 4, 128, true},
                                         Case{"lstm", 70, 5, 64, true}, Case{"lstm", 32, 33, 64, true},
                                         Case{"lstm", 17, 3, 101, false}, Case{"lstm", 16, 1, 64, false},
                                         Case{"lstm", 5, 3, 256, false}, Case{"rnn", 9, 2, 128, true},
                                         Case{"rnn", 16, 7, 96, true}, Case{"rnn", 33, 4, 128, true},
                                         Case{"rnn", 70, 5, 64, true}, Case{"rnn", 17, 3, 101, false},
                                         Case{"rnn", 16, 1, 64, false}),
                         [](const testing::TestParamInfo<Case>& one) {
                           return one.param.op + "_" + std::to_string(one.param.samples) + "_" +
                                  std::to_string(one.param.steps) + "_" + std::to_string(one.param.hidden);
                         });

}  // namespace
}  // namespace trireme
