#include "train/plan_report.h"

#include <gmock/gmock.h>

#include "training_fixture.h"

namespace trireme::test {
namespace {

using testing::HasSubstr;
class Plan : public TrainingTest {};

TEST_F(Plan, tells_shapes_counts_and_bytes) {
  Config c = config("", 61, 17);
  std::string text = plan_report(c, 2);
  EXPECT_THAT(text, HasSubstr("local batch 9"));
  EXPECT_THAT(text, HasSubstr("float32[9, 8, 8, 1]"));
  EXPECT_THAT(text, HasSubstr("linear1.weight"));
  EXPECT_THAT(text, HasSubstr("[64, 16]"));
  EXPECT_THAT(text, HasSubstr("parameters  1108 ("));  // 64 * 16 + 16 + 16 * 4 + 4
  EXPECT_THAT(text, HasSubstr("4 an epoch (batch 17 over all ranks), 4 in all"));
  EXPECT_THAT(text, HasSubstr("61 samples"));
  EXPECT_THAT(text, HasSubstr("in 1 slot(s) of sgd"));
  EXPECT_THAT(text, HasSubstr("planned"));
  EXPECT_THAT(text, HasSubstr("FLOPs"));
  EXPECT_THAT(plan_report(c, 1), HasSubstr("exchange    0 B"));
}

TEST_F(Plan, tells_of_shards_and_the_sums_that_they_keep) {
  Config c = config("parallel.virtual_ranks = 8\n", 61, 17);
  std::string alone = plan_report(c, 1);
  EXPECT_THAT(alone, HasSubstr("local batch 17 in 8 shards of up to 3"));
  EXPECT_THAT(alone, HasSubstr("float32[3, 8, 8, 1]"));
  EXPECT_THAT(alone, testing::ContainsRegex(
                         "sums        3 kept .* KiB .virtual ranks: 8, of which each rank computes 8"));
  std::string pair = plan_report(c, 2);
  EXPECT_THAT(pair, HasSubstr("local batch 9 in 4 shards of up to 3"));
  EXPECT_THAT(pair, HasSubstr("sums        2 kept"));
  EXPECT_THAT(plan_report(c, 8), HasSubstr("sums        0 kept beside the gradients, 0 B"));
  expect_error(ExitCode::bad_config, {"parallel.virtual_ranks", "3 ranks"}, [&] { plan_report(c, 3); });
  EXPECT_THAT(plan_report(config("train.micro_batches = 4\n"), 2), HasSubstr("sums        1 kept"));
  EXPECT_THAT(plan_report(config(), 2), testing::Not(HasSubstr("sums  ")));
}

TEST_F(Plan, tells_of_servers_and_pieces) {
  Config c = config("parallel.mode = \"parameter_server\"\nparallel.parameter_server.servers = 2\n", 61, 17);
  std::string text = plan_report(c, 5);
  EXPECT_THAT(text, HasSubstr("program of the first piece of 3 (local batch 6)"));
  EXPECT_THAT(text, HasSubstr("servers     2 of mode ssp"));
  EXPECT_THAT(text, HasSubstr("pushed a piece"));
  c.parameter_server.servers.name = "colocated";
  EXPECT_THAT(plan_report(c, 5), HasSubstr("program of the first piece of 5 (local batch 4)"));
  c.parameter_server.pieces = 8;
  EXPECT_THAT(plan_report(c, 1), HasSubstr("program of the first piece of 8 (local batch 3)"));
  c.parameter_server.servers = CountOrName{1000};
  expect_error(ExitCode::bad_config, {"parallel.parameter_server.servers", "start fewer servers"},
               [&] { plan_report(c, 5); });
}

TEST_F(Plan, tells_of_parameter_groups) {
  Config c = config();
  c.optimizer.weight_decay = 0.125;
  c.optimizer.group = {{.parameters = {"linear1.*"}, .learning_rate_factor = 0.5}};
  std::string text = plan_report(c, 1);
  EXPECT_THAT(text,
              testing::ContainsRegex("linear1.weight .*1024  weight decay 0.125  learning rate x 0.5\n"));
  EXPECT_THAT(text, testing::ContainsRegex("linear1.bias .*16  learning rate x 0.5\n"));
  EXPECT_THAT(text, testing::ContainsRegex("linear2.weight .*64  weight decay 0.125\n"));
  c.optimizer.group[0].parameters = {"linear9.*"};
  expect_error(ExitCode::bad_config, {"linear9", "names no parameter"}, [&] { plan_report(c, 1); });
}

TEST_F(Plan, tells_what_recompute_costs_and_saves) {
  Config c = config();
  c.model.hidden = {64, 64, 64, 64, 64, 64, 64};
  EXPECT_THAT(plan_report(c, 1), HasSubstr("recompute   none\n"));
  for (const char* policy : {"layer", "sqrt"}) {
    c.train.recompute = policy;
    EXPECT_THAT(
        plan_report(c, 1),
        testing::ContainsRegex(std::string("recompute   ") + policy +
                               ": [0-9.]+ KiB of activations in place of [0-9.]+ KiB, [0-9.]+ % more FLOPs"));
  }
  c.train.recompute = "all";
  expect_error(ExitCode::bad_config, {"train.recompute"}, [&] { plan_report(c, 1); });
}

TEST_F(Plan, touches_nothing) {
  Config c = config();
  std::vector<std::string> before = folder_.names();
  plan_report(c, 4);
  EXPECT_EQ(folder_.names(), before);
}

TEST_F(Plan, tells_of_bad_data) {
  Config c = config();
  std::ofstream(c.data.train) << "rubbish";
  expect_error(ExitCode::bad_data, {c.data.train}, [&] { plan_report(c, 1); });
}

}  // namespace
}  // namespace trireme::test
