// The sharded optimizer: who owns what, the same bits as without shards, and state that goes from one to the
// other.
#include "train/shards.h"

#include <gmock/gmock.h>

#include <numeric>

#include "base/rng.h"
#include "optim/norm.h"
#include "train/session.h"
#include "train/strategies.h"
#include "training_fixture.h"

namespace trireme::test {
namespace {

std::vector<UpdateSpan> spans_of(std::initializer_list<size_t> sizes) {
  std::vector<UpdateSpan> spans;
  size_t begin = 0;
  for (size_t size : sizes) {
    spans.push_back({.range = {begin, begin + size}});
    begin += size;
  }
  return spans;
}

TEST(Shards, buckets_have_equal_blocks_that_keep_the_order_of_norms) {
  std::vector<UpdateSpan> spans = spans_of({100 * norm_block, 16, 7 * norm_block + 48});
  for (int ranks : {2, 3, 5}) {
    Shards shards = make_shards(spans, Cut::anywhere, 32 * norm_block, ranks);
    EXPECT_EQ(shards.gradients.size(), shards.parameters.size());
    size_t end = 0;
    for (const Blocks& bucket : shards.parameters) {
      EXPECT_EQ(bucket.range.begin, end);
      end = bucket.range.end;
      ASSERT_EQ(bucket.bounds.size(), static_cast<size_t>(ranks) + 1);
      EXPECT_EQ(bucket.bounds.front(), 0u);
      EXPECT_EQ(bucket.bounds.back(), bucket.range.size());
      for (int r = 0; r < ranks; ++r) {
        Range own = bucket.block(r);
        EXPECT_EQ(own.begin % norm_block, 0u);
        if (&bucket != &shards.parameters.back()) {
          EXPECT_EQ(own.size(), bucket.range.size() / static_cast<size_t>(ranks));
        }
      }
    }
    EXPECT_EQ(end, spans.back().range.end);
    EXPECT_NEAR(static_cast<double>(shards.parameters[0].range.size()), 32.0 * norm_block, 2.5 * norm_block);
  }
}

TEST(Shards, whole_tensors_go_where_the_longest_run_is_shortest) {
  std::vector<UpdateSpan> spans = spans_of({16, 64, 32, 48, 16, 160, 16, 32});
  Shards shards = make_shards(spans, Cut::at_tensors, 1, 3);
  EXPECT_TRUE(shards.gradients.empty());
  ASSERT_EQ(shards.parameters.size(), 1u);
  EXPECT_THAT(shards.parameters[0].bounds, testing::ElementsAre(0, 176, 352, 384));
  EXPECT_THAT(make_shards(spans_of({32, 16}), Cut::at_tensors, 1, 4).parameters[0].bounds,
              testing::ElementsAre(0, 32, 48, 48, 48));
}

TEST(Shards, owned_spans_are_what_lies_in_the_owned_ranges) {
  std::vector<UpdateSpan> spans = spans_of({100, 50, 50});
  spans[1].weight_decay = 0.5;
  std::vector<Range> owned{{20, 40}, {90, 160}};
  std::vector<UpdateSpan> parts = owned_spans(spans, owned);
  ASSERT_EQ(parts.size(), 4u);
  EXPECT_EQ(parts[0].range, (Range{20, 40}));
  EXPECT_EQ(parts[1].range, (Range{90, 100}));
  EXPECT_EQ(parts[2].range, (Range{100, 150}));
  EXPECT_EQ(parts[2].weight_decay, 0.5);
  EXPECT_EQ(parts[3].range, (Range{150, 160}));
}

TEST(Shards, collect_and_spread_bring_every_value_to_its_place) {
  std::vector<Blocks> all{{{0, 100}, {0, 10, 10, 100}}, {{100, 130}, {0, 20, 25, 30}}};
  for (size_t piece : {size_t{7}, size_t{40}, size_t{1000}}) {
    run_ranks(3, [&](Communicator& communicator) {
      std::vector<float> own;
      for (Range range : owned_ranges(all, communicator.rank())) {
        for (size_t i = range.begin; i < range.end; ++i) own.push_back(static_cast<float>(i));
      }
      std::vector<float> whole(communicator.rank() == 0 ? 130 : 0, -1.0f);
      float* at_root = communicator.rank() == 0 ? whole.data() : nullptr;
      collect_blocks(communicator, all, piece, own, [&](Range range, const float* values) {
        if (at_root != nullptr) std::copy_n(values, range.size(), at_root + range.begin);
      });
      for (size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(whole[i], static_cast<float>(i));
      std::vector<float> again(own.size(), -1.0f);
      spread_blocks(communicator, all, piece, at_root, again);
      EXPECT_EQ(again, own);
    });
  }
}

// Puts what is collected into `state` where that has room.
StateSink sink_to(WholeState& state) {
  return [&state](size_t slot, Range range, const float* values) {
    std::span<float> room = state.slots.at(slot).values;
    if (!room.empty()) std::copy_n(values, range.size(), room.data() + range.begin);
  };
}

// Tensors of many sizes, some of them cut by blocks of every kind; statistics behind them.
ArenaLayout mixed_layout() {
  ArenaLayout layout;
  size_t offset = 0;
  for (int64_t rows : {3, 200, 1, 70, 130, 5}) {
    std::string name = "t" + std::to_string(rows);
    layout.parameters.push_back(
        {name + (rows == 1 ? ".bias" : ".weight"), rows == 1 ? Shape{96} : Shape{rows, 97}, offset});
    offset += (layout.parameters.back().size() + arena_alignment - 1) / arena_alignment * arena_alignment;
  }
  layout.parameter_elements = offset;
  layout.statistics = {{"loss", {}, offset}};
  layout.gradient_elements = offset + arena_alignment;
  return layout;
}

// Rank `rank`'s share of a step's gradients.
void draw_gradients(Arenas& arenas, int rank, int64_t step, float scale) {
  RandomStream stream(7, Purpose::test, static_cast<uint64_t>(step * 10 + rank));
  for (const ArenaTensor& tensor : arenas.layout.parameters) {
    float* values = arenas.gradients.as<float>() + tensor.offset;
    for (size_t i = 0; i < tensor.size(); ++i) values[i] = scale * stream.normal();
  }
  arenas.gradients.as<float>()[arenas.layout.statistics[0].offset] = static_cast<float>(rank + 1);
}

// A net without a model: arenas, and the strategy that moves them.
struct Moved {
  Moved(const Config& config, Communicator& communicator, bool sharded, bool overlap)
      : arenas(mixed_layout(), communicator), exchanger(std::make_unique<Exchanger>(overlap)) {
    RandomStream stream(3, Purpose::test);
    for (const ArenaTensor& tensor : arenas.layout.parameters) {
      float* values = arenas.parameters.as<float>() + tensor.offset;
      for (size_t i = 0; i < tensor.size(); ++i) values[i] = stream.normal();
    }
    Config own = config;
    own.allreduce.shard_optimizer = sharded;
    strategy = make_strategy(own, own.optimizer, arenas, communicator, *exchanger);
  }
  StepReport exchange(int rank, int64_t step, float scale = 1, float rate = 0.01f) {
    strategy->begin_step({.step = step, .updates = step, .learning_rate = rate, .gradient_scale = 0.5});
    draw_gradients(arenas, rank, step, scale);
    strategy->range_ready({0, 5000});
    strategy->range_ready({5000, arenas.layout.gradient_elements});
    return strategy->finish_exchange();
  }
  std::vector<float> parameters() const {
    auto values = arenas.parameters.span<const float>();
    return {values.begin(), values.end()};
  }

  Arenas arenas;
  std::unique_ptr<Exchanger> exchanger;
  std::unique_ptr<Strategy> strategy;
};

Config strategy_config(std::string_view kind, double clip_norm) {
  Config config;
  config.optimizer.kind = std::string(kind);
  config.optimizer.weight_decay = 0.01;
  config.train.gradient_clip_norm = clip_norm;
  config.comm.bucket_bytes = static_cast<int64_t>(4 * norm_block * sizeof(float));
  return config;
}

class EveryRule : public testing::TestWithParam<std::string_view> {};

TEST_P(EveryRule, moves_to_the_same_bits_and_takes_its_part_of_the_memory) {
  for (double clip_norm : {0.0, 1.0}) {
    for (int ranks : {1, 2, 3, 4}) {
      std::atomic<size_t> state_bytes{0};
      run_ranks(ranks, [&](Communicator& communicator) {
        Config config = strategy_config(GetParam(), clip_norm);
        Moved whole(config, communicator, false, false);
        Moved sharded(config, communicator, true, ranks % 2 == 1);
        state_bytes += sharded.strategy->state_bytes();
        if (ranks > 1) {
          EXPECT_LT(sharded.strategy->state_bytes(), whole.strategy->state_bytes());
        }
        for (int64_t step = 0; step < 4; ++step) {
          StepReport a = whole.exchange(communicator.rank(), step);
          StepReport b = sharded.exchange(communicator.rank(), step);
          EXPECT_EQ(a.gradient_norm, b.gradient_norm);
          EXPECT_EQ(b.gradient_norm > 0, clip_norm > 0);
          EXPECT_TRUE(b.finite);
          size_t loss = whole.arenas.layout.statistics[0].offset;
          EXPECT_EQ(sharded.arenas.gradients.as<float>()[loss], static_cast<float>(ranks * (ranks + 1)) / 2);
          if (step == 2) continue;  // left out
          whole.strategy->update();
          sharded.strategy->update();
          ASSERT_EQ(whole.parameters(), sharded.parameters()) << ranks << " ranks, step " << step;
        }
        // The state as a checkpoint has it.
        WholeState a = whole.strategy->whole_state(communicator.rank() == 0),
                   b = sharded.strategy->whole_state(communicator.rank() == 0);
        sharded.strategy->collect_state(sink_to(b));
        ASSERT_EQ(a.slots.size(), b.slots.size());
        for (size_t i = 0; i < a.slots.size(); ++i) {
          EXPECT_EQ(a.slots[i].name, b.slots[i].name);
          if (communicator.rank() != 0) continue;
          EXPECT_TRUE(std::ranges::equal(a.slots[i].values, b.slots[i].values)) << a.slots[i].name;
        }
        // And back: two that begin anew with it go on alike.
        Moved next(config, communicator, true, false);
        std::ranges::copy(whole.arenas.parameters.span<float>(), next.arenas.parameters.as<float>());
        WholeState loaded = next.strategy->whole_state(communicator.rank() == 0);
        for (size_t i = 0; i < a.slots.size(); ++i) {
          std::ranges::copy(a.slots[i].values.first(loaded.slots[i].values.size()),
                            loaded.slots[i].values.begin());
        }
        next.strategy->spread_state(loaded);
        next.exchange(communicator.rank(), 4);
        next.strategy->update();
        whole.exchange(communicator.rank(), 4);
        whole.strategy->update();
        EXPECT_EQ(whole.parameters(), next.parameters());
        next.strategy->restart();
        next.strategy->collect_state(sink_to(loaded));
        for (const StateSlot& slot : loaded.slots) {
          EXPECT_EQ(std::accumulate(slot.values.begin(), slot.values.end(), 0.0f), 0.0f);
        }
      });
      run_ranks(1, [&](Communicator& communicator) {
        Moved one(strategy_config(GetParam(), clip_norm), communicator, false, false);
        EXPECT_EQ(state_bytes, one.strategy->state_bytes()) << "no value twice";
      });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, EveryRule, testing::ValuesIn(optimizer_kinds()),
                         [](const auto& name) { return std::string(name.param); });

TEST(Sharded, state_memory_falls_by_the_number_of_ranks) {
  for (int ranks : {2, 3, 4}) {
    run_ranks(ranks, [&](Communicator& communicator) {
      Config config = strategy_config("adam", 0);
      Moved whole(config, communicator, false, false);
      Moved sharded(config, communicator, true, false);
      size_t one_block_a_slot = 2 * norm_block * sizeof(float);
      EXPECT_LE(sharded.strategy->state_bytes(),
                whole.strategy->state_bytes() / static_cast<size_t>(ranks) + one_block_a_slot);
    });
  }
}

// Wherever it lies, all ranks hear of it, and a look finds it on all of them.
TEST(Sharded, tells_of_gradients_that_are_no_numbers) {
  for (double clip_norm : {0.0, 1.0}) {
    run_ranks(3, [&](Communicator& communicator) {
      Moved sharded(strategy_config("sgd", clip_norm), communicator, true, false);
      ArenaLayout layout = mixed_layout();
      for (const ArenaTensor& tensor : layout.parameters) {
        sharded.strategy->begin_step({});
        draw_gradients(sharded.arenas, communicator.rank(), 0, 1);
        if (communicator.rank() == 2) sharded.arenas.gradients.as<float>()[tensor.offset] = HUGE_VALF;
        sharded.strategy->range_ready({0, layout.gradient_elements});
        EXPECT_FALSE(sharded.strategy->finish_exchange().finite) << tensor.name;
        sharded.strategy->collect_gradients();
        EXPECT_FALSE(std::isfinite(sharded.arenas.gradients.as<float>()[tensor.offset]));
      }
    });
  }
}

class ShardedRuns : public TrainingTest {
 protected:
  Config with_shards(Config c, bool sharded = true) {
    c.allreduce.shard_optimizer = sharded;
    return c;
  }
  // Losses, norms and parameters of whole runs, on some numbers of ranks, with the communication thread and
  // without.
  void expect_same_bits(const Config& c, std::initializer_list<int> rank_counts) {
    for (int ranks : rank_counts) {
      std::string name = std::to_string(ranks);
      RunOutcome whole = run(c, ranks, "whole" + name);
      for (const char* overlap : {"off", "on"}) {
        Config own = with_shards(c);
        own.comm.overlap = overlap;
        RunOutcome sharded = run(own, ranks, "sharded" + name + overlap);
        EXPECT_EQ(sharded.result.parameters_sha256, whole.result.parameters_sha256)
            << ranks << " ranks, overlap " << overlap;
        EXPECT_EQ(sharded.losses(), whole.losses());
        EXPECT_EQ(sharded.validations.back().loss, whole.validations.back().loss);
        for (size_t i = 0; i < whole.steps.size(); ++i) {
          EXPECT_EQ(sharded.steps[i].gradient_norm, whole.steps[i].gradient_norm);
          EXPECT_EQ(sharded.steps[i].loss_scale, whole.steps[i].loss_scale);
          EXPECT_EQ(sharded.steps[i].skipped_steps, whole.steps[i].skipped_steps);
        }
      }
    }
  }
};

const char* const wide = "model.hidden = [160, 100]\ncomm.bucket_bytes = 1024\ntrain.epochs = 2\n";

TEST_F(ShardedRuns, clipping_average_and_shares_of_nothing) {
  expect_same_bits(config(std::string(wide) + "train.gradient_clip_norm = 0.5\noptimizer.ema_decay = 0.9\n"
                                              "optimizer.kind = \"adamw\"\noptimizer.learning_rate = 0.01\n",
                          33, 16),
                   {1, 2, 3, 4});
}

TEST_F(ShardedRuns, groups_and_micro_batches) {
  Config c = config(std::string(wide) + "train.micro_batches = 3\noptimizer.weight_decay = 0.01\n");
  c.optimizer.group.push_back(
      {.parameters = {"linear1.*"}, .learning_rate_factor = 0.5, .weight_decay = 0.1});
  expect_same_bits(c, {2, 3});
}

TEST_F(ShardedRuns, whole_tensors) {
  expect_same_bits(config(std::string(wide) + "train.gradient_clip_norm = 0.5\noptimizer.kind = \"lamb\"\n"
                                              "optimizer.learning_rate = 0.01\n"),
                   {2, 4});
}

TEST_F(ShardedRuns, batch_norm_and_float16_with_skipped_steps) {
  Config c = config("train.epochs = 4\ntrain.precision = \"float16\"\ntrain.loss_scale = 16777216.0\n" +
                    std::string(batch_norm_model));
  expect_same_bits(c, {2, 3});
  EXPECT_GT(run(with_shards(c), 2, "skips").steps.back().skipped_steps, 2);
}

TEST_F(ShardedRuns, gan) {
  expect_same_bits(
      config("train.epochs = 2\ndata.transform.normalize = false\noptimizer.kind = \"adam\"\n"
             "optimizer.learning_rate = 0.002\n[model]\nkind = \"gan\"\nlatent = 5\nwidth = 16\n",
             24, 8),
      {2, 3});
}

// A run that changes between shards and none, and its number of ranks, against one that never has shards.
TEST_F(ShardedRuns, checkpoints_are_the_same_with_and_without) {
  Config c = config(std::string(wide) +
                    "train.epochs = 4\noptimizer.kind = \"adam\"\noptimizer.learning_rate = 0.01\n"
                    "optimizer.ema_decay = 0.9\n");
  struct Leg {
    int64_t stop;
    bool sharded;
    int ranks;
  };
  auto travel = [&](const std::string& name, const std::vector<Leg>& legs, bool shards) {
    std::string hash;
    for (const Leg& leg : legs) {
      RunOutcome outcome = run(with_shards(c, leg.sharded && shards), leg.ranks, name,
                               [&](TrainOptions& options, int) { stop_after(options, leg.stop); });
      hash = outcome.result.parameters_sha256;
    }
    return hash;
  };
  std::vector<Leg> same_ranks{{3, true, 3}, {6, false, 3}, {9, true, 3}, {100, true, 3}};
  EXPECT_EQ(travel("a", same_ranks, true), run(c, 3, "whole").result.parameters_sha256);
  std::vector<Leg> other_ranks{{3, true, 3}, {6, true, 2}, {9, true, 1}, {12, true, 4}, {100, false, 2}};
  EXPECT_EQ(travel("b", other_ranks, true), travel("c", other_ranks, false));
}

// Shards, the communication thread and the tree of virtual ranks at once.
TEST_F(ShardedRuns, any_number_of_ranks_gives_the_same_bits_with_virtual_ranks) {
  Config c =
      config(std::string(wide) + "parallel.virtual_ranks = 4\ntrain.gradient_clip_norm = 0.5\n", 61, 17);
  std::string alone = run(c, 1, "alone").result.parameters_sha256;
  for (const char* kind : {"off", "on"}) {
    Config own = with_shards(c);
    own.comm.overlap = kind;
    for (int ranks : {2, 4}) {
      EXPECT_EQ(run(own, ranks, kind + std::to_string(ranks)).result.parameters_sha256, alone);
    }
    for (int ranks : {4, 2, 1}) {
      RunOutcome part = run(own, ranks, std::string("parts") + kind, [&](TrainOptions& options, int) {
        stop_after(options, ranks == 4 ? 2 : ranks == 2 ? 5 : 100);
      });
      if (ranks == 1) {
        EXPECT_EQ(part.result.parameters_sha256, alone);
      }
    }
  }
}

TEST_F(ShardedRuns, roll_back_like_others) {
  std::string keys =
      "train.epochs = 1\ntrain.on_nan = \"rollback\"\ntrain.log_every_steps = 1\nmodel.hidden = [160, 100]\n"
      "optimizer.weight_decay = 40.0\noptimizer.learning_rate = 0.2\n";
  Config c = config(keys, 800, 8);
  c.optimizer.momentum = 0.1;
  c.checkpoint.every_steps = 40;
  RunOutcome whole = run(c, 2, "whole");
  RunOutcome sharded = run(with_shards(c), 2, "sharded");
  EXPECT_THAT(text_of("sharded/log.txt"), testing::HasSubstr("ROLLBACK"));
  EXPECT_EQ(sharded.result.parameters_sha256, whole.result.parameters_sha256);
}

TEST_F(ShardedRuns, a_failing_rank_ends_all) {
  Config c = with_shards(config(std::string(wide) + "train.epochs = 50\ncomm.overlap = \"on\"\n"));
  expect_error(ExitCode::io, {"no more"}, [&] {
    run(c, 3, "run", [](TrainOptions& options, int rank) {
      if (rank != 1) return;
      options.hooks.after_step = [](const TrainRecord& record) {
        if (record.step == 3) throw IoError("no more");
      };
    });
  });
}

}  // namespace
}  // namespace trireme::test
