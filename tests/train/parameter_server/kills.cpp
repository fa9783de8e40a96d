// Training under deaths at random times: no hang, no lost step, and the model learns as well as without.
#include <algorithm>
#include <cstdlib>
#include <random>

#include "train/parameter_server/served_job.h"

namespace trireme::test {
namespace {

class Kills : public ServedJobTest {
 protected:
  // Some in the ordinary suite, fifty of each kind under the label soak.
  static int rounds(int few) { return std::getenv("TRIREME_SOAK") != nullptr ? 50 : few; }

  static Keys keys() {
    return {"train.epochs=100",
            "parallel.parameter_server.servers=2",
            "parallel.parameter_server.replicas=2",
            "checkpoint.every_steps=40",
            "optimizer.learning_rate=0.04",
            "train.validate_every_epochs=25"};
  }
  double validation_loss(const std::string& run) { return summary(run)["validation"]["loss"]; }

  // What runs without a death end with.
  void SetUp() override {
    for (int i = 0; i < 3; ++i) {
      std::string run = fmt::format("whole-{}", i);
      train_served(4, run, keys());
      least_ = std::min(least_, validation_loss(run));
      most_ = std::max(most_, validation_loss(run));
    }
  }

  void kill_one(const std::string& run, size_t victim, int after_milliseconds) {
    Processes job = start(4, run, keys());
    ASSERT_TRUE(has_trained(run, 4)) << job[0]->output();
    std::this_thread::sleep_for(std::chrono::milliseconds(after_milliseconds));
    job[victim]->signal(SIGKILL);
    int code = job[victim]->wait();
    ASSERT_TRUE(code == 128 + SIGKILL || code == 0) << code;
    for (size_t rank = 0; rank < job.size(); ++rank) {
      if (rank == victim) continue;
      ASSERT_EQ(job[rank]->wait(), 0) << "rank " << rank << ": " << job[rank]->output();
    }
    EXPECT_EQ(summary(run)["state"], "finished");
    EXPECT_EQ(summary(run)["steps"], 400);
    double loss = validation_loss(run);
    double slack = std::max(most_ - least_, 0.15 * most_);
    EXPECT_GT(loss, least_ - slack);
    EXPECT_LT(loss, most_ + slack);
  }

  double least_ = 1e9, most_ = 0;
};

TEST_F(Kills, of_workers) {
  std::mt19937 random(1);
  for (int i = 0; i < rounds(2); ++i) {
    kill_one(fmt::format("run-{}", i), 2 + random() % 2, static_cast<int>(random() % 300));
    if (HasFailure()) return;
  }
}

TEST_F(Kills, of_servers) {
  std::mt19937 random(2);
  for (int i = 0; i < rounds(4); ++i) {
    kill_one(fmt::format("run-{}", i), random() % 2, static_cast<int>(random() % 300));
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace trireme::test
