// Every mode learns.
#include "train/parameter_server/served_job.h"

namespace trireme::test {
namespace {

class Modes : public ServedJobTest {
 protected:
  void expect_learns(int size, Keys keys) {
    keys.push_back("train.epochs=12");
    train_served(size, "run", keys);
    std::vector<double> all = losses("run");
    ASSERT_EQ(all.size(), 48u);
    double first = all[0] + all[1] + all[2], last = all[45] + all[46] + all[47];
    EXPECT_LT(last, 0.7 * first);
    EXPECT_EQ(summary("run")["state"], "finished");
    EXPECT_EQ(events("run", "validation").size(), 12u);
    expect_all_samples("run", 12);
    auto served = events("run", "parameter_server");
    ASSERT_EQ(served.size(), 48u);
    double pushed = 0;
    for (const auto& event : served) {
      for (const auto& worker : event["by_worker"]) pushed += worker["pieces"].get<double>();
    }
    EXPECT_GT(pushed, 0);
  }
};

TEST_F(Modes, async) { expect_learns(3, {"parallel.parameter_server.mode=async"}); }
TEST_F(Modes, ssp) { expect_learns(3, {"parallel.parameter_server.mode=ssp"}); }
TEST_F(Modes, dcasgd) { expect_learns(3, {"parallel.parameter_server.mode=dcasgd"}); }
TEST_F(Modes, bfloat16) { expect_learns(3, {"parallel.parameter_server.encoding=bfloat16"}); }
TEST_F(Modes, top_k) {
  expect_learns(3,
                {"parallel.parameter_server.encoding=top_k", "parallel.parameter_server.top_k_fraction=0.1"});
}
TEST_F(Modes, float16) { expect_learns(3, {"train.precision=float16"}); }
TEST_F(Modes, colocated) { expect_learns(2, {"parallel.parameter_server.servers=colocated"}); }
TEST_F(Modes, two_servers_with_copies) {
  expect_learns(4, {"parallel.parameter_server.servers=2", "parallel.parameter_server.replicas=2"});
}
TEST_F(Modes, alone_without_a_launcher) {
  auto process = start_one(-1, 1, "run", served({"parallel.parameter_server.mode=async"}));
  ASSERT_EQ(process->wait(), 0) << process->output();
  EXPECT_THAT(text_of("run/log.txt"), testing::HasSubstr("by no launcher"));
  expect_all_samples("run", 3);
}

TEST_F(Modes, easgd) {
  train_served(3, "run",
               {"parallel.parameter_server.mode=easgd", "parallel.parameter_server.easgd_period=2",
                "train.epochs=12"});
  std::vector<double> all = losses("run");
  ASSERT_EQ(all.size(), 24u);  // a record a round
  EXPECT_LT(all.back() + all[22], 0.7 * (all[0] + all[1]));
  EXPECT_LT(summary("run")["validation"]["loss"], events("run", "validation")[0]["loss"]);
  EXPECT_EQ(events("run", "train").back()["samples"], 12 * 61);
}

TEST_F(Modes, gan) {
  write_config("[model]\nkind = \"gan\"\nwidth = 4\nlatent = 5\n");
  train_served(4, "run", {"data.transform.normalize=false", "parallel.parameter_server.servers=2"});
  expect_all_samples("run", 3);
  EXPECT_TRUE(events("run", "train").back().contains("discriminator_loss"));
  auto state = state_of("run");
  EXPECT_FALSE(state.empty());
}

}  // namespace
}  // namespace trireme::test
