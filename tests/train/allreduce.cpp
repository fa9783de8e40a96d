// The strategy alone: arenas without a model, filled by hand, on thread ranks.
#include "train/allreduce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "comm/thread_ranks.h"
#include "support/expect_error.h"
#include "train/strategies.h"

namespace trireme {
namespace {

// A matrix of 100, a bias of 10, a matrix of 50; statistics: a mean of 3 channels, the loss.
ArenaLayout layout() {
  ArenaLayout layout;
  layout.parameters = {{"b.weight", {10, 10}, 0}, {"b.bias", {10}, 112}, {"a.weight", {5, 10}, 128}};
  layout.parameter_elements = 192;
  layout.statistics = {{"mean", {3}, 192}, {"loss", {}, 208}};
  layout.gradient_elements = 224;
  layout.states = {{"running_mean", {3}, 0}};
  layout.state_elements = 16;
  layout.running_means = {{192, 0, 3, 0.25}};
  return layout;
}

std::unique_ptr<Optimizer> plain_sgd(double weight_decay = 0) {
  OptimizerConfig config;
  config.momentum = 0;
  config.weight_decay = weight_decay;
  return make_optimizer(config, update_spans(parameter_tensors(layout()), config));
}

StepReport finish(Strategy& strategy) {
  StepReport report = strategy.finish_exchange();
  strategy.update();
  return report;
}

void fill_gradients(Arenas& arenas, int rank) {
  for (const auto* tensors : {&arenas.layout.parameters, &arenas.layout.statistics}) {
    for (const ArenaTensor& tensor : *tensors) {
      for (size_t i = 0; i < tensor.size(); ++i) {
        arenas.gradients.as<float>()[tensor.offset + i] =
            static_cast<float>(rank + 1) * static_cast<float>(tensor.offset + i + 1);
      }
    }
  }
}

TEST(ParameterTensors, cover_the_arena_with_its_padding) {
  std::vector<ParameterTensor> tensors = parameter_tensors(layout());
  ASSERT_EQ(tensors.size(), 3u);
  EXPECT_EQ(tensors[0].name, "b.weight");
  EXPECT_EQ(tensors[0].range, (Range{0, 112}));
  EXPECT_EQ(tensors[0].rank, 2u);
  EXPECT_EQ(tensors[1].range, (Range{112, 128}));
  EXPECT_EQ(tensors[1].rank, 1u);
  EXPECT_EQ(tensors[2].range, (Range{128, 192}));
}

// Whatever the bucket's size and however ranges arrive, also differently on different ranks.
TEST(AllReduce, sums_over_ranks_in_buckets_of_any_size) {
  for (int ranks : {1, 2, 3}) {
    for (size_t bucket_bytes : {size_t{1}, size_t{100}, size_t{256}, size_t{896}, size_t{1} << 20}) {
      run_ranks(ranks, [&](Communicator& communicator) {
        Arenas arenas(layout());
        Exchanger exchanger(false);
        AllReduceStrategy strategy(arenas, communicator, exchanger, plain_sgd(),
                                   {.bucket_bytes = bucket_bytes});
        for (int64_t step = 0; step < 2; ++step) {
          std::fill_n(arenas.parameters.as<float>(), 192, 0.0f);
          fill_gradients(arenas, communicator.rank());
          strategy.begin_step({.step = step, .learning_rate = 1.0});
          if (communicator.rank() == 1) {
            strategy.range_ready({0, 224});
          } else {
            strategy.range_ready({0, 112});
            strategy.range_ready({112, 128});
            strategy.range_ready({128, 192});
            strategy.range_ready({192, 224});
          }
          finish(strategy);
          float factor = static_cast<float>(ranks * (ranks + 1)) / 2;
          for (size_t i : {0, 99, 112, 121, 128, 177}) {
            EXPECT_EQ(arenas.parameters.as<float>()[i], -factor * static_cast<float>(i + 1)) << i;
          }
          EXPECT_EQ(arenas.gradients.as<float>()[208], factor * 209);  // the loss
          EXPECT_EQ(arenas.parameters.as<float>()[111], 0.0f);         // padding
        }
      });
    }
  }
}

TEST(AllReduce, moves_running_means) {
  run_ranks(2, [](Communicator& communicator) {
    Arenas arenas(layout());
    Exchanger exchanger(false);
    AllReduceStrategy strategy(arenas, communicator, exchanger, plain_sgd(), {});
    arenas.state.as<float>()[0] = 8;
    arenas.gradients.as<float>()[192] = communicator.rank() == 0 ? 3.0f : 1.0f;
    strategy.begin_step({.learning_rate = 0.1});
    strategy.range_ready({0, 224});
    finish(strategy);
    EXPECT_EQ(arenas.state.as<float>()[0], 0.75f * 8 + 0.25f * 4);
  });
}

// Between exchange and update nothing has moved, so a step can be left out.
TEST(AllReduce, updates_only_when_told) {
  run_ranks(2, [](Communicator& communicator) {
    Arenas arenas(layout());
    Exchanger exchanger(false);
    AllReduceStrategy strategy(arenas, communicator, exchanger, plain_sgd(), {.clip_norm = 1e9});
    fill_gradients(arenas, communicator.rank());
    strategy.begin_step({.learning_rate = 1.0});
    strategy.range_ready({0, 224});
    strategy.finish_exchange();
    EXPECT_EQ(arenas.gradients.as<float>()[0], 3.0f);
    EXPECT_EQ(arenas.parameters.as<float>()[0], 0.0f);
    EXPECT_EQ(arenas.state.as<float>()[0], 0.0f);
    fill_gradients(arenas, communicator.rank());
    strategy.begin_step({.step = 1, .learning_rate = 1.0, .gradient_scale = 0.5});
    strategy.range_ready({0, 224});
    StepReport report = finish(strategy);
    EXPECT_EQ(arenas.parameters.as<float>()[0], -1.5f);
    double squares = 0;
    for (size_t i : {0, 112, 128}) {
      size_t size = i == 0 ? 100 : i == 112 ? 10 : 50;
      for (size_t k = i; k < i + size; ++k) squares += 2.25 * static_cast<double>((k + 1) * (k + 1));
    }
    EXPECT_NEAR(report.gradient_norm, std::sqrt(squares), 1e-3);
  });
}

// Seen before anything is updated, on every rank, wherever it came from; the statistics are not its concern.
TEST(AllReduce, tells_of_gradients_that_are_no_numbers) {
  for (auto [ranks, clip_norm] : {std::pair{1, 0.0}, {1, 1.0}, {2, 0.0}, {2, 1.0}}) {
    run_ranks(ranks, [clip_norm = clip_norm](Communicator& communicator) {
      Arenas arenas(layout());
      Exchanger exchanger(false);
      AllReduceStrategy strategy(arenas, communicator, exchanger, plain_sgd(), {.clip_norm = clip_norm});
      auto exchange = [&](size_t place, float value) {
        fill_gradients(arenas, communicator.rank());
        if (communicator.rank() == communicator.size() - 1) arenas.gradients.as<float>()[place] = value;
        strategy.begin_step({});
        strategy.range_ready({0, 112});
        strategy.range_ready({112, 224});
        return strategy.finish_exchange().finite;
      };
      EXPECT_TRUE(exchange(0, 1));
      EXPECT_FALSE(exchange(0, std::nanf("")));
      EXPECT_FALSE(exchange(177, std::numeric_limits<float>::infinity()));
      EXPECT_TRUE(exchange(208, std::nanf("")));
    });
  }
}

TEST(AllReduce, decays_matrices_only) {
  run_ranks(1, [](Communicator& communicator) {
    Arenas arenas(layout());
    std::fill_n(arenas.parameters.as<float>(), 192, 1.0f);
    Exchanger exchanger(false);
    AllReduceStrategy strategy(arenas, communicator, exchanger, plain_sgd(0.5), {});
    strategy.begin_step({.learning_rate = 0.5});
    strategy.range_ready({0, 224});
    finish(strategy);
    EXPECT_EQ(arenas.parameters.as<float>()[0], 0.75f);
    EXPECT_EQ(arenas.parameters.as<float>()[112], 1.0f);
    EXPECT_EQ(arenas.parameters.as<float>()[130], 0.75f);
  });
}

TEST(AllReduce, clips_by_the_norm_of_the_whole_group) {
  run_ranks(2, [](Communicator& communicator) {
    Arenas arenas(layout());
    Exchanger exchanger(false);
    AllReduceStrategy strategy(arenas, communicator, exchanger, plain_sgd(),
                               {.bucket_bytes = 256, .clip_norm = 1.0});
    // The sum over both ranks is (3, 4): norm 5. The loss behind the gradients does not count.
    arenas.gradients.as<float>()[0] = communicator.rank() == 0 ? 3.0f : 0.0f;
    arenas.gradients.as<float>()[150] = communicator.rank() == 1 ? 4.0f : 0.0f;
    arenas.gradients.as<float>()[208] = 1000;
    strategy.begin_step({.learning_rate = 1.0});
    strategy.range_ready({0, 224});
    StepReport report = finish(strategy);
    EXPECT_DOUBLE_EQ(report.gradient_norm, 5.0);
    EXPECT_FLOAT_EQ(arenas.parameters.as<float>()[0], -0.6f);
    EXPECT_FLOAT_EQ(arenas.parameters.as<float>()[150], -0.8f);
  });
}

TEST(AllReduce, refuses_gaps_and_missing_ranges) {
  run_ranks(1, [](Communicator& communicator) {
    Arenas arenas(layout());
    Exchanger exchanger(false);
    AllReduceStrategy strategy(arenas, communicator, exchanger, plain_sgd(), {});
    strategy.begin_step({.learning_rate = 1.0});
    strategy.range_ready({0, 112});
    test::expect_error(ExitCode::internal, {"[128, 192)", "[0, 112)"}, [&] {
      strategy.range_ready({128, 192});
    });
    test::expect_error(ExitCode::internal, {"112"}, [&] { strategy.finish_exchange(); });
  });
}

TEST(Strategies, by_name) {
  run_ranks(1, [](Communicator& communicator) {
    Arenas arenas(layout());
    Config config;
    config.optimizer.kind = "adamw";
    Exchanger exchanger(false);
    auto strategy = make_strategy(config, config.optimizer, arenas, communicator, exchanger);
    EXPECT_EQ(strategy->name(), "allreduce");
    std::vector<StateSlot> slots = strategy->whole_state(true).slots;
    ASSERT_EQ(slots.size(), 2u);
    EXPECT_EQ(slots[0].name, "first_moment");
    EXPECT_EQ(slots[1].values.size(), 192u);
    config.parallel.mode = "gossip";
    test::expect_error(ExitCode::bad_config, {"parallel.mode", "gossip"},
                       [&] { make_strategy(config, config.optimizer, arenas, communicator, exchanger); });
  });
}

}  // namespace
}  // namespace trireme
