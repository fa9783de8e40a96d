// Steps and clocks, and who is what.
#include <gmock/gmock.h>

#include "support/expect_error.h"
#include "train/parameter_server/clocks.h"
#include "train/parameter_server/roles.h"

namespace trireme::test {
namespace {

Config config_of(const std::string& mode, int64_t period = 4, int64_t every = 0) {
  Config config;
  config.parallel.mode = "parameter_server";
  config.parameter_server.mode = mode;
  config.parameter_server.easgd_period = period;
  config.checkpoint.every_steps = every;
  return config;
}

std::vector<int64_t> cuts(const Clocks& clocks) {
  std::vector<int64_t> all;
  for (int64_t c = clocks.next_cut(clocks.first()); c < clocks.end(); c = clocks.next_cut(c))
    all.push_back(c);
  return all;
}

TEST(Clocks, are_steps) {
  Clocks clocks(config_of("ssp", 4, 3), {.total_steps = 14, .steps_per_epoch = 5}, 2);
  EXPECT_EQ(clocks.first(), 2);
  EXPECT_EQ(clocks.end(), 14);
  EXPECT_EQ(clocks.begin_step(14), 14);
  EXPECT_THAT(cuts(clocks), testing::ElementsAre(3, 5, 6, 9, 10, 12));
}

// Every step lies in one round, and rounds end where epochs do, wherever the run begins.
TEST(Clocks, of_easgd_are_rounds_that_end_with_epochs) {
  for (int64_t total : {1, 7, 20, 23}) {
    for (int64_t start = 0; start < total; ++start) {
      for (int64_t period : {1, 2, 3, 4, 10, 50}) {
        Clocks clocks(config_of("easgd", period), {.total_steps = total, .steps_per_epoch = 10}, start);
        int64_t step = start;
        for (int64_t c = clocks.first(); c < clocks.end(); ++c) {
          ASSERT_EQ(clocks.begin_step(c), step);
          ASSERT_LT(step, clocks.end_step(c));
          ASSERT_LE(clocks.end_step(c) - step, period);
          ASSERT_EQ(step / 10, (clocks.end_step(c) - 1) / 10) << "one epoch's";
          step = clocks.end_step(c);
        }
        ASSERT_EQ(step, total);
        ASSERT_EQ(clocks.begin_step(clocks.end()), total);
        for (int64_t c : cuts(clocks)) ASSERT_EQ(clocks.begin_step(c) % 10, 0);
      }
    }
  }
}

TEST(Clocks, of_nothing_left_are_none) {
  Clocks clocks(config_of("ssp"), {.total_steps = 8, .steps_per_epoch = 4}, 8);
  EXPECT_EQ(clocks.first(), clocks.end());
}

Launch launch_of(int rank, int size) {
  return {.launcher = "mpirun", .rank = rank, .size = size, .local_size = size};
}

TEST(Roles, the_first_ranks_serve) {
  Config config = config_of("ssp");
  config.parameter_server.servers = 2;
  for (int rank = 0; rank < 5; ++rank) {
    Roles roles = roles_of(config, launch_of(rank, 5), {});
    EXPECT_EQ(roles.server, rank < 2 ? rank : -1);
    EXPECT_EQ(roles.works, rank >= 2);
    EXPECT_EQ(roles.workers, 3);
    EXPECT_EQ(pieces_of(config, roles), 3);
  }
  expect_error(ExitCode::bad_config, {"none is left to train", "servers"},
               [&] { roles_of(config, launch_of(0, 2), {}); });
}

TEST(Roles, one_of_each_node_serves) {
  Config config = config_of("ssp");
  config.parameter_server.servers.name = "per_node";
  Roles first = roles_of(config, launch_of(3, 6), {.local_rank = 0, .node = 1, .nodes = 2});
  EXPECT_EQ(first.server, 1);
  EXPECT_FALSE(first.works);
  Roles second = roles_of(config, launch_of(4, 6), {.local_rank = 1, .node = 1, .nodes = 2});
  EXPECT_EQ(second.server, -1);
  EXPECT_EQ(second.servers, 2);
  EXPECT_EQ(second.workers, 4);
  expect_error(ExitCode::bad_config, {"per_node", "does not tell"},
               [&] { roles_of(config, launch_of(4, 6), {.local_rank = 1}); });
}

TEST(Roles, colocated_are_both_and_copies_need_servers) {
  Config config = config_of("ssp");
  config.parameter_server.servers.name = "colocated";
  Roles roles = roles_of(config, launch_of(1, 3), {});
  EXPECT_EQ(roles.server, 1);
  EXPECT_TRUE(roles.works);
  EXPECT_EQ(roles.servers, 3);
  Roles alone = roles_of(config_of("ssp"), {}, {});
  EXPECT_TRUE(alone.serves() && alone.works);
  EXPECT_FALSE(alone.note.empty());
  config.parameter_server.replicas = 2;
  expect_error(ExitCode::bad_config, {"replicas"}, [&] { roles_of(config, launch_of(0, 1), {}); });
}

}  // namespace
}  // namespace trireme::test
