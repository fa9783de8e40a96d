// A step of the strategy allocates nothing: neither in the communication thread nor with shards; and no more
// does one that sums pieces or virtual ranks' shards.
#include <gtest/gtest.h>

#include "comm/thread_ranks.h"
#include "data/sampler.h"
#include "support/count_allocations.h"
#include "train/session.h"
#include "train/strategies.h"
#include "training_fixture.h"

namespace trireme::test {
namespace {

ArenaLayout two_buckets() {
  ArenaLayout layout;
  layout.parameters = {{"weight", {200, 200}, 0}, {"bias", {16}, 40000}};
  layout.parameter_elements = 40016;
  layout.statistics = {{"loss", {}, 40016}};
  layout.gradient_elements = 40032;
  return layout;
}

TEST(Allocations, a_step_makes_none) {
  for (const char* kind : {"adam", "lamb"}) {
    for (double clip_norm : {0.0, 1.0}) {
      for (bool sharded : {false, true}) {
        for (bool overlap : {false, true}) {
          size_t count = 1;
          run_ranks(3, [&](Communicator& communicator) {
            Config config;
            config.optimizer.kind = kind;
            config.train.gradient_clip_norm = clip_norm;
            config.comm.bucket_bytes = 65536;
            config.allreduce.shard_optimizer = sharded;
            Arenas arenas(two_buckets(), communicator);
            Exchanger exchanger(overlap);
            auto strategy = make_strategy(config, config.optimizer, arenas, communicator, exchanger);
            auto steps = [&](int64_t number) {
              for (int64_t step = 0; step < number; ++step) {
                strategy->begin_step({.step = step, .updates = step, .learning_rate = 0.01});
                arenas.gradients.as<float>()[7] = 1;
                strategy->range_ready({0, 30000});
                strategy->range_ready({30000, 40032});
                strategy->finish_exchange();
                strategy->update();
              }
            };
            steps(2);
            communicator.barrier();
            if (communicator.rank() == 0) start_counting_allocations();
            communicator.barrier();
            steps(4);
            communicator.barrier();
            if (communicator.rank() == 0) count = stop_counting_allocations();
            communicator.barrier();
          });
          EXPECT_EQ(count, 0u) << kind << ", clipping " << clip_norm << ", shards " << sharded << ", overlap "
                               << overlap;
        }
      }
    }
  }
}

class StepsOfPieces : public TrainingTest {};

// Batches of both sizes that 61 samples make: 17, and the last one's 10.
TEST_F(StepsOfPieces, allocate_nothing) {
  for (const char* pieces : {"parallel.virtual_ranks = 8\n", "train.micro_batches = 3\n"}) {
    // The reference backend: oneDNN makes small objects of its own at every execution.
    Config c = config(std::string(pieces) + "train.backend = \"reference\"\n", 61, 17);
    size_t count = 1;
    run_ranks(2, [&](Communicator& communicator) {
      Session session(c, communicator);
      std::vector<float> images(17 * 64, 0.5f);
      std::vector<int32_t> labels(17, 1);
      auto steps = [&](int64_t first) {
        for (int64_t step = first; step < first + 4; ++step) {
          int64_t global = step % 2 == 0 ? 17 : 10;
          Range own = share_of(global, communicator.rank(), 2, c.parallel.virtual_ranks);
          Batch batch{.features = images.data(), .targets = labels.data()};
          batch.count = static_cast<int64_t>(own.size());
          batch.global_count = global;
          batch.first = static_cast<int64_t>(own.begin);
          EXPECT_TRUE(session.learner->step(batch, {.step = step}).applied);
        }
      };
      steps(0);
      communicator.barrier();
      if (communicator.rank() == 0) start_counting_allocations();
      communicator.barrier();
      steps(4);
      communicator.barrier();
      if (communicator.rank() == 0) count = stop_counting_allocations();
      communicator.barrier();
    });
    EXPECT_EQ(count, 0u) << pieces;
  }
}

}  // namespace
}  // namespace trireme::test
