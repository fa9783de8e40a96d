// The timeline: intervals end to end, a warm-up that is forgotten, every kernel told; bits and allocations of
// a step are those of an unobserved one.
#include "exec/step_timeline.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "support/count_allocations.h"
#include "support/model_fixture.h"

namespace trireme {
namespace {

using namespace test;

constexpr int64_t batch_size = 6;

Graph cnn() { return build_model(preset("cnn"), small_sample, batch_size, GraphMode::training); }

TEST(StepTimeline, ForgetsTheWarmUpAndCutsTheRestIntoSteps) {
  StepTimeline timeline(2, 3);
  for (int step = 0; step < 5; ++step) {
    timeline.begin_step();
    timeline.enter(StepPart::other);
    if (step == 4) timeline.mark();
    timeline.exchange_done({});
    timeline.end_step();
    EXPECT_EQ(timeline.steps(), std::max(0, step - 1));
  }
  const StepRecording& recording = timeline.recording();
  // The first step begins with its data; the others with what went by before, which is `other`.
  EXPECT_EQ(recording.step_ends, (std::vector<size_t>{2, 5, 9}));
  EXPECT_EQ(recording.events[0].part, StepPart::data);
  EXPECT_EQ(recording.events[2].part, StepPart::other);
  EXPECT_EQ(recording.events[3].part, StepPart::data);
  EXPECT_EQ(recording.exchanges.size(), 3u);
  StepTimeline::Clock::time_point at = recording.begin;
  for (const StepEvent& event : recording.events) {
    EXPECT_GE(event.end, at);
    at = event.end;
  }
}

TEST(StepTimeline, APartGoesOnBehindWhatInterruptsIt) {
  StepTimeline timeline(1, 1);
  for (int step = 0; step < 2; ++step) {
    timeline.begin_step();
    timeline.enter(StepPart::update);
    StepPart part = timeline.enter(StepPart::exchange);
    EXPECT_EQ(part, StepPart::update);
    timeline.enter(part);
    timeline.end_step();
  }
  std::vector<StepPart> parts;
  for (const StepEvent& event : timeline.recording().events) parts.push_back(event.part);
  EXPECT_EQ(parts,
            (std::vector<StepPart>{StepPart::data, StepPart::update, StepPart::exchange, StepPart::update}));
}

TEST(StepTimeline, NeedsAStepOfEach) {
  EXPECT_THROW(StepTimeline(0, 1), GraphError);
  EXPECT_THROW(StepTimeline(1, 0), GraphError);
}

TEST(StepTimeline, AnExecutorTellsEveryKernelAndComputesTheSameBits) {
  for (bool cpu : {false, true}) {
    auto backend = [&] { return cpu ? make_cpu_backend({}) : make_reference_backend(); };
    Trainer<float> observed(cnn(), backend(), 3);
    Trainer<float> plain(cnn(), backend(), 3);
    auto batch = random_batch<float>(batch_size, small_sample, 1);
    StepTimeline timeline(1, 1);
    std::vector<size_t> told_ranges;  // by how many events came before
    for (int64_t step = 0; step < 2; ++step) {
      told_ranges.clear();
      const void* inputs[] = {batch.images.data(), batch.labels.data()};
      observed.backend->parameters_changed();
      timeline.begin_step();
      observed.executor.step(
          inputs, {1, step, 0, 1.0 / batch_size},
          [&](Range) { told_ranges.push_back(timeline.recording().events.size()); }, &timeline);
      timeline.end_step();
      plain.step(batch, step);
      EXPECT_TRUE(same_bits(observed.gradients(), plain.gradients()));
    }
    // What a range sets off is not the time of the kernel that comes next.
    EXPECT_GT(told_ranges.size(), 2u);
    for (size_t event : told_ranges) {
      EXPECT_NE(timeline.recording().events.at(event).part, StepPart::kernel) << event;
    }
    const Program& program = observed.executor.program();
    std::vector<int32_t> told, expected;
    for (const StepEvent& event : timeline.recording().events) {
      if (event.part != StepPart::kernel) continue;
      EXPECT_EQ(event.program, &program);
      told.push_back(event.node);
    }
    for (size_t n = 0; n < program.graph.nodes.size(); ++n) {
      if (!find_op(program.graph.nodes[n].op).is_view) expected.push_back(static_cast<int32_t>(n));
    }
    std::erase_if(told, [&](int32_t n) {  // a view may need a kernel
      return find_op(program.graph.nodes[static_cast<size_t>(n)].op).is_view;
    });
    EXPECT_EQ(told, expected);
  }
}

TEST(StepTimeline, ATimedStepAllocatesNothing) {
  Trainer<float> trainer(cnn(), make_reference_backend(), 3);
  auto batch = random_batch<float>(batch_size, small_sample, 1);
  const void* inputs[] = {batch.images.data(), batch.labels.data()};
  Executor::RangeReady ready = [](Range) {};
  StepTimeline timeline(2, 20);
  auto step = [&](int64_t number) {
    trainer.executor.step(inputs, {1, number, 0, 1.0 / batch_size}, ready, &timeline);
    timeline.end_step();
  };
  for (int64_t number = 0; number < 2; ++number) {
    timeline.begin_step();
    step(number);
  }
  timeline.begin_step();  // makes room
  start_counting_allocations();
  step(2);
  for (int64_t number = 3; number < 22; ++number) {
    timeline.begin_step();
    step(number);
  }
  EXPECT_EQ(stop_counting_allocations(), 0u);
  EXPECT_EQ(timeline.steps(), 20);
}

}  // namespace
}  // namespace trireme
