// The executor: planned memory changes no bit, ranges are told in order and without gaps, a step allocates
// nothing.
#include "exec/executor.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "support/count_allocations.h"
#include "support/model_fixture.h"

namespace trireme {
namespace {

using namespace test;

constexpr int64_t batch_size = 6;

class EveryModel : public testing::TestWithParam<std::string> {
 protected:
  ModelConfig model() const { return GetParam() == "every" ? every_layer_model() : preset(GetParam()); }
  Graph graph() const { return build_model(model(), small_sample_for(), batch_size, GraphMode::training); }
  SampleShape small_sample_for() const {
    return GetParam() == "lenet" ? SampleShape{28, 28, 1, 5} : small_sample;
  }
};
INSTANTIATE_TEST_SUITE_P(Models, EveryModel, testing::Values("every", "mlp", "lenet", "cnn"));

TEST_P(EveryModel, PlannedMemoryGivesTheSameBits) {
  for (bool cpu : {false, true}) {
    auto backend = [&] { return cpu ? make_cpu_backend({}) : make_reference_backend(); };
    CompileOptions off;
    off.reuse = MemoryReuse::off;
    Trainer<float> planned(graph(), backend(), 3);
    Trainer<float> unplanned(graph(), backend(), 3, off);
    EXPECT_LT(planned.workspace.bytes(), unplanned.workspace.bytes());
    for (int64_t step = 0; step < 3; ++step) {
      auto batch = random_batch<float>(batch_size, small_sample_for(), static_cast<uint64_t>(step));
      planned.step(batch, step);
      unplanned.step(batch, step);
      EXPECT_TRUE(same_bits(planned.gradients(), unplanned.gradients())) << "step " << step;
    }
  }
}

TEST_P(EveryModel, RangesComeInOrderWithoutGaps) {
  Trainer<float> trainer(graph(), make_cpu_backend({}), 3);
  size_t end = 0;
  int calls = 0;
  trainer.step(random_batch<float>(batch_size, small_sample_for(), 1), 0, [&](Range range) {
    EXPECT_EQ(range.begin, end);
    EXPECT_GT(range.end, range.begin);
    end = range.end;
    ++calls;
  });
  EXPECT_EQ(end, trainer.arenas.layout.gradient_elements);
  EXPECT_GT(calls, 2);
}

// Of ours: oneDNN makes small objects of its own at every execution, so it is the reference backend that
// shows it.
TEST_P(EveryModel, AStepAllocatesNothing) {
  Trainer<float> trainer(graph(), make_reference_backend(), 3);
  auto batch = random_batch<float>(batch_size, small_sample_for(), 1);
  trainer.step(batch);
  start_counting_allocations();
  trainer.step(batch, 1);
  EXPECT_EQ(stop_counting_allocations(), 0u);
}

TEST(Executor, WrongNumberOfInputsIsNamed) {
  Trainer<float> trainer(build_model(preset("mlp"), small_sample, batch_size, GraphMode::training),
                         make_cpu_backend({}), 3);
  const void* none = nullptr;
  EXPECT_THROW(trainer.executor.step({&none, 1}, {}), GraphError);
}

TEST(Executor, ParametersStartAlikeForASeedAndDifferForAnother) {
  Graph graph = build_model(preset("cnn"), small_sample, batch_size, GraphMode::training);
  Trainer<float> a(graph, make_cpu_backend({}), 3);
  Trainer<float> b(graph, make_cpu_backend({}), 3);
  Trainer<float> c(graph, make_cpu_backend({}), 4);
  auto values = [](const Trainer<float>& t) {
    auto all = t.arenas.parameters.span<float>();
    return std::vector<float>(all.begin(), all.end());
  };
  EXPECT_TRUE(same_bits(values(a), values(b)));
  EXPECT_FALSE(same_bits(values(a), values(c)));
}

TEST(Executor, LayoutDoesNotDependOnTheBatch) {
  auto layout = [](int64_t batch) {
    return compile_training(build_model(preset("cnn"), small_sample, batch, GraphMode::training)).layout;
  };
  ArenaLayout a = layout(6);
  ArenaLayout b = layout(2);
  ASSERT_EQ(a.parameters.size(), b.parameters.size());
  for (size_t i = 0; i < a.parameters.size(); ++i) {
    EXPECT_EQ(a.parameters[i].name, b.parameters[i].name);
    EXPECT_EQ(a.parameters[i].offset, b.parameters[i].offset);
  }
  EXPECT_EQ(a.gradient_elements, b.gradient_elements);
}

}  // namespace
}  // namespace trireme
