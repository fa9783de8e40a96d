// trireme-sweep as it is run: by mpirun or alone, real trainings, stopped, killed and started again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/atomic_file.h"
#include "support/process.h"
#include "support/temporary_folder.h"
#include "support/toy_images.h"
#include "sweep/history.h"
#include "sweep/journal.h"

namespace trireme::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class SweepJobs : public testing::Test {
 protected:
  SweepJobs() {
    write_toy_images(folder_ / "train.h5", {.count = 61});
    write_toy_images(folder_ / "validation.h5", {.count = 37, .seed = 2});
    write_file_atomically(folder_ / "net.toml", R"(
[data]
train = "TRAIN"
validation = "VALIDATION"
[model]
kind = "mlp"
hidden = [16]
[train]
epochs = 4
[checkpoint]
every_steps = 2
)");
    std::string text = read_file(folder_ / "net.toml");
    text.replace(text.find("TRAIN"), 5, (folder_ / "train.h5").string());
    text.replace(text.find("VALIDATION"), 10, (folder_ / "validation.h5").string());
    write_file_atomically(folder_ / "net.toml", text);
    write_file_atomically(folder_ / "sweep.toml", R"(
[sweep]
name = "toy"
base = "net.toml"
sampler = "random"
scheduler = "asha"
retries = 100
[objective]
metric = "validation.accuracy"
[budget]
trials = 12
[space]
optimizer.learning_rate = { log_uniform = [1e-3, 1.0] }
data.batch = { int = [4, 32] }
model.hidden = { choice = [[8], [16, 8]] }
sweep.ranks_per_trial = { choice = [1, 2] }
)");
  }

  std::vector<std::string> command(int ranks, std::vector<std::string> more = {}) const {
    std::vector<std::string> words = {"/usr/bin/env"};
    if (ranks > 0) {
      for (std::string word : {std::string("mpirun"), std::string("-n"), std::to_string(ranks),
                               std::string("--bind-to"), std::string("none")}) {
        words.push_back(word);
      }
    }
    for (std::string word :
         {std::string(TRIREME_BINARY_DIR "/bin/trireme-sweep"), (folder_ / "sweep.toml").string(),
          std::string("--run-dir"), (folder_ / "run").string()}) {
      words.push_back(word);
    }
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  // Its exit code; what it said is output_.
  int run(const std::vector<std::string>& words) {
    std::string file = folder_ / ("output" + std::to_string(++runs_));
    Process process(words, file);
    int code = process.wait(240);
    output_ = process.output();
    return code;
  }
  std::vector<Record> records() const { return read_journal(folder_ / "run" / "journal" / "0.trj").records; }
  void expect_whole(int64_t trials) const {
    History history(false, true);
    std::map<int64_t, int> ended;
    for (const Record& record : records()) {
      history.apply(record);
      auto* end = std::get_if<EndRecord>(&record.what);
      if (end != nullptr && end->state != "paused" && end->state != "interrupted") ++ended[end->trial];
    }
    ASSERT_EQ(history.trials().size(), static_cast<size_t>(trials));
    int finished = 0;
    for (const Trial& trial : history.trials()) {
      EXPECT_TRUE(trial.is_over()) << trial.number;
      EXPECT_NE(trial.state, TrialState::failed) << trial.reason;
      EXPECT_LE(ended[trial.number], 1);
      EXPECT_FALSE(trial.scores.empty()) << trial.number;
      finished += trial.state == TrialState::finished ? 1 : 0;
    }
    EXPECT_GE(finished, 1);
  }

  TemporaryFolder folder_;
  std::string output_;
  int runs_ = 0;
};

TEST_F(SweepJobs, two_ranks_train_trials_of_one_and_two) {
  ASSERT_EQ(run(command(2)), 0) << output_;
  expect_whole(12);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run" / "sweep.toml"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run" / "trials" / "0000" / "metrics.jsonl"));
  std::set<size_t> widths;
  for (const Record& record : records()) {
    if (auto* begin = std::get_if<BeginRecord>(&record.what)) widths.insert(begin->ranks.size());
  }
  EXPECT_EQ(widths, (std::set<size_t>{1, 2}));
  // Nothing is left to do.
  size_t before = records().size();
  ASSERT_EQ(run(command(2)), 0) << output_;
  EXPECT_EQ(records().size(), before);
  // Another seed is another sweep.
  EXPECT_EQ(run(command(2, {"--set", "sweep.seed=2"})), 78) << output_;
  EXPECT_THAT(output_, HasSubstr("sweep.seed is 2, was 1"));
  ASSERT_EQ(run(command(2, {"--set", "sweep.seed=2", "--fresh", "--set", "budget.trials=3"})), 0) << output_;
  expect_whole(3);
}

TEST_F(SweepJobs, alone_it_is_one_rank) {
  ASSERT_EQ(
      run(command(0, {"--set", "space.sweep.ranks_per_trial={ choice = [1] }", "--set", "budget.trials=4"})),
      0)
      << output_;
  expect_whole(4);
}

TEST_F(SweepJobs, trials_wider_than_the_job_exit_78) {
  EXPECT_EQ(run(command(0)), 78);
  EXPECT_THAT(output_, HasSubstr("ranks_per_trial = 2, but the sweep has 1 rank"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(SweepJobs, a_plan_touches_nothing) {
  ASSERT_EQ(run(command(2, {"--plan"})), 0) << output_;
  EXPECT_THAT(output_, testing::AllOf(HasSubstr("maximize validation.accuracy"), HasSubstr("12 trials"),
                                      HasSubstr("optimizer.learning_rate"),
                                      HasSubstr("1 to 2 trials side by side"), HasSubstr("0004")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(SweepJobs, a_signal_saves_all_state_and_exits_75) {
  int stops = 0;
  int code = 75;
  for (int round = 0; code == 75 && round < 30; ++round) {
    std::string file = folder_ / ("stopped" + std::to_string(round));
    Process process(command(2, {"--set", "budget.trials=20"}), file);
    size_t before = std::filesystem::exists(folder_ / "run") ? records().size() : 0;
    // Once something has happened in this start.
    auto moves = [&] {
      return std::filesystem::exists(folder_ / "run/journal/0.trj") && records().size() > before + 8;
    };
    for (int i = 0; i < 20000 && !moves() && process.wait(0.001) == -1; ++i) continue;
    process.signal(SIGUSR1);  // which mpirun hands on; of a SIGTERM it dies itself
    code = process.wait(120);
    output_ = process.output();
    stops += code == 75 ? 1 : 0;
  }
  EXPECT_EQ(code, 0) << output_;
  EXPECT_GE(stops, 1);
  expect_whole(20);
  History history(false, true);
  for (const Record& record : records()) history.apply(record);
  for (const Trial& trial : history.trials()) EXPECT_EQ(trial.attempts, 1) << trial.number;
}

TEST_F(SweepJobs, killed_again_and_again_it_goes_on) {
  int code = -1;
  int kills = 0;
  for (int round = 0; code != 0 && round < 60; ++round) {
    std::string file = folder_ / ("killed" + std::to_string(round));
    Process process(command(2), file);
    if (round < 8) {
      process.wait(0.3 + 0.2 * round);
      std::ifstream children("/proc/" + std::to_string(process.pid()) + "/task/" +
                             std::to_string(process.pid()) + "/children");
      for (pid_t child; children >> child;) ::kill(child, SIGKILL);
      ++kills;
    }
    code = process.wait(120);
    output_ = process.output();
  }
  EXPECT_EQ(code, 0) << output_;
  expect_whole(12);
}

// The trial whose rank dies of a fault is known by its note; the one beside it is not to blame.
TEST_F(SweepJobs, a_fault_is_put_down_to_the_trial_that_had_it) {
  std::vector<std::string> two_long_ones = {"--set", "space.sweep.ranks_per_trial={ choice = [1] }",
                                            "--set", "sweep.set.train.epochs=100",
                                            "--set", "budget.trials=2",
                                            "--set", "sweep.scheduler=\"none\""};
  std::string file = folder_ / "faulty";
  Process process(command(2, two_long_ones), file);
  auto begun = [&] {
    if (!std::filesystem::exists(folder_ / "run/journal/0.trj")) return false;
    std::set<int64_t> trials;
    for (const Record& record : records()) {
      if (auto* report = std::get_if<ReportRecord>(&record.what)) trials.insert(report->trial);
    }
    return trials.size() == 2;
  };
  for (int i = 0; i < 20000 && !begun() && process.wait(0.001) == -1; ++i) continue;
  std::ifstream children("/proc/" + std::to_string(process.pid()) + "/task/" + std::to_string(process.pid()) +
                         "/children");
  pid_t child = 0;
  ASSERT_TRUE(children >> child);
  ::kill(child, SIGSEGV);
  EXPECT_NE(process.wait(120), 0);
  ASSERT_EQ(run(command(2, two_long_ones)), 0) << output_;
  std::map<std::string, int> ends;
  std::string reason;
  for (const Record& record : records()) {
    auto* end = std::get_if<EndRecord>(&record.what);
    if (end == nullptr) continue;
    ++ends[end->state];
    if (end->state == "crashed") reason = end->reason;
  }
  EXPECT_EQ(reason, "signal 11, segmentation fault");
  EXPECT_EQ(ends["crashed"], 1);
  EXPECT_EQ(ends["interrupted"], 1);
  EXPECT_EQ(ends["finished"], 2);
}

}  // namespace
}  // namespace trireme::test
