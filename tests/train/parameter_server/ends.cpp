// How jobs of servers and workers end, and what deaths and comings do to them.
#include "train/parameter_server/served_job.h"

namespace trireme::test {
namespace {

using testing::HasSubstr;

class Ends : public ServedJobTest {
 protected:
  // So long that the test is never late.
  static Keys endless(Keys keys) {
    keys.push_back("train.epochs=100000");
    return keys;
  }
  void expect_goes_on(const std::string& run, size_t steps = 8) {
    ASSERT_TRUE(has_trained(run, events(run, "train").size() + steps));
  }
};

TEST_F(Ends, a_signal_to_any_process_stops_all_and_the_run_goes_on_later) {
  for (size_t whom : {0, 2}) {
    Processes job = start(3, "run", endless({"checkpoint.keep=1"}));
    expect_goes_on("run");
    job[whom]->signal(SIGTERM);
    expect_all(job, 75);
    EXPECT_EQ(summary("run")["state"], "stopped");
    int64_t step = summary("run")["steps"];
    EXPECT_GT(step, 0);
    EXPECT_EQ(list_checkpoints(folder_ / "run" / "checkpoints").front().step, step);
  }
  int64_t step = summary("run")["steps"];
  train_served(3, "run", {fmt::format("train.epochs={}", step / 4 + 2)});
  expect_all_samples("run", step / 4 + 2);
}

TEST_F(Ends, a_finished_run_says_so_and_ends_at_once) {
  train_served(3, "run", {});
  std::string hash = summary("run")["parameters_sha256"];
  train_served(3, "run", {});
  EXPECT_EQ(summary("run")["parameters_sha256"], hash);
  EXPECT_THAT(text_of("run/log.txt"), HasSubstr("finished already"));
  train_served(3, "run", {"train.epochs=1"}, {"--fresh"});
  EXPECT_EQ(summary("run")["steps"], 4);
}

TEST_F(Ends, a_killed_worker_costs_no_sample) {
  Processes job = start(4, "run", {"train.epochs=150", "parallel.parameter_server.mode=async"});
  expect_goes_on("run");
  job[2]->signal(SIGKILL);
  EXPECT_EQ(job[2]->wait(), 128 + SIGKILL);
  for (size_t rank : {0, 1, 3}) EXPECT_EQ(job[rank]->wait(), 0) << job[rank]->output();
  expect_all_samples("run", 150);
}

TEST_F(Ends, a_worker_joins_later) {
  Processes job = start(2, "run", endless({}));
  expect_goes_on("run");
  auto joiner = start_one(-1, 1, "run", served(endless({})), {"--join"});
  auto works = [&] {
    auto served = events("run", "parameter_server");
    return !served.empty() && served.back()["workers"] == 2 && served.back()["by_worker"].size() == 2 &&
           served.back()["by_worker"][1]["pieces"] > 0;
  };
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  bool worked = false;
  while (!worked && std::chrono::steady_clock::now() < until) {
    worked = works();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_TRUE(worked) << joiner->output();
  job[1]->signal(SIGKILL);  // the joiner alone is left
  expect_goes_on("run");
  job[0]->signal(SIGTERM);
  EXPECT_EQ(job[0]->wait(), 75) << job[0]->output();
  EXPECT_EQ(joiner->wait(), 75) << joiner->output();
}

TEST_F(Ends, a_stranger_with_another_config_is_refused) {
  Processes job = start(2, "run", endless({}));
  expect_goes_on("run");
  auto stranger = start_one(-1, 1, "run", served(endless({"optimizer.learning_rate=0.2"})), {"--join"});
  EXPECT_EQ(stranger->wait(), 78) << stranger->output();
  EXPECT_THAT(stranger->output(), HasSubstr("another config"));
  expect_goes_on("run");
  job[0]->signal(SIGTERM);
  expect_all(job, 75);
}

TEST_F(Ends, a_run_in_use_is_refused_and_nobody_waits) {
  Processes job = start(2, "run", endless({}));
  expect_goes_on("run");
  Processes other = start(2, "run", endless({}));
  expect_all(other, 64);
  EXPECT_THAT(other[0]->output(), HasSubstr("in use by"));
  expect_goes_on("run");
  job[1]->signal(SIGTERM);
  expect_all(job, 75);
}

TEST_F(Ends, the_coordinators_death_hands_the_run_over) {
  for (bool freezes : {false, true}) {
    std::string run = freezes ? "frozen" : "killed";
    Processes job =
        start(4, run,
              endless({"parallel.parameter_server.servers=2", "parallel.parameter_server.replicas=2",
                       "parallel.parameter_server.lease_seconds=1"}));
    expect_goes_on(run);
    job[0]->signal(freezes ? SIGSTOP : SIGKILL);
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (text_of(run + "/log.txt").find("goes on with the run in place") == std::string::npos &&
           std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    expect_goes_on(run);
    if (freezes) {
      job[0]->signal(SIGCONT);
      EXPECT_EQ(job[0]->wait(), 75) << job[0]->output();
      expect_goes_on(run);
    }
    job[1]->signal(SIGTERM);
    for (size_t rank : {1, 2, 3}) EXPECT_EQ(job[rank]->wait(20), 75) << job[rank]->output();
    EXPECT_EQ(summary(run)["state"], "stopped");
    EXPECT_EQ(list_checkpoints(folder_ / run / "checkpoints").front().step, summary(run)["steps"]);
  }
}

// Each process is a server and a worker: with it go a shard's holder and a worker at once.
TEST_F(Ends, a_colocated_process_may_die) {
  for (size_t whom : {1, 0}) {
    std::string run = fmt::format("run{}", whom);
    Processes job =
        start(3, run,
              endless({"parallel.parameter_server.servers=colocated", "parallel.parameter_server.replicas=2",
                       "parallel.parameter_server.lease_seconds=1"}));
    expect_goes_on(run);
    job[whom]->signal(SIGKILL);
    EXPECT_EQ(job[whom]->wait(), 128 + SIGKILL);
    expect_goes_on(run);
    job[2]->signal(SIGTERM);
    for (size_t rank : {0, 1, 2}) {
      if (rank == whom) continue;
      EXPECT_EQ(job[rank]->wait(), 75) << rank << job[rank]->output();
    }
    EXPECT_EQ(summary(run)["state"], "stopped");
  }
}

TEST_F(Ends, a_lost_server_without_a_copy_stops_the_job) {
  Processes job =
      start(4, "run", endless({"parallel.parameter_server.servers=2", "checkpoint.every_steps=2"}));
  auto has_checkpoint = [&] { return !list_checkpoints(folder_ / "run" / "checkpoints").empty(); };
  for (int i = 0; i < 3000 && !has_checkpoint(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ASSERT_TRUE(has_checkpoint());
  expect_goes_on("run");
  job[1]->signal(SIGKILL);
  for (size_t rank : {0, 2, 3}) EXPECT_EQ(job[rank]->wait(), 75) << rank << job[rank]->output();
  EXPECT_THAT(text_of("run/log.txt"), HasSubstr("server 1"));
  int64_t epochs = list_checkpoints(folder_ / "run" / "checkpoints").front().step / 4 + 2;
  train_served(4, "run", {"parallel.parameter_server.servers=2", fmt::format("train.epochs={}", epochs)});
  expect_all_samples("run", epochs);
}

TEST_F(Ends, a_loss_that_is_no_number_fails_the_job) {
  Processes job = start(3, "run", {"optimizer.learning_rate=1e30", "train.epochs=100"});
  expect_all(job, 70);
  EXPECT_EQ(summary("run")["state"], "failed");
  std::string error = summary("run")["error"];
  EXPECT_THAT(error, testing::AnyOf(HasSubstr("worker"), HasSubstr("finite number")));
}

TEST_F(Ends, nobody_to_train_is_a_bad_config) {
  Processes job = start(2, "run", {"parallel.parameter_server.servers=2"});
  expect_all(job, 78);
  EXPECT_THAT(job[0]->output(), HasSubstr("none is left to train"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

}  // namespace
}  // namespace trireme::test
