// A real sweep of real (tiny) trainings that is killed at random moments and started again, until it is done:
// no trial is lost or doubled, and on one rank every point and every score is that of a sweep that nobody
// disturbed.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "support/temporary_folder.h"
#include "support/toy_images.h"
#include "sweep/journal_story.h"
#include "sweep/shared_journals.h"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr auto limit = std::chrono::seconds(120);  // for whatever is waited for
constexpr int64_t trials = 12;
constexpr int64_t epochs = 3;

// A command in the background, its output in a file.
class Job {
 public:
  Job(const fs::path& folder, std::vector<std::string> command) : output_(folder / "output.txt") {
    pid_ = ::fork();
    if (pid_ != 0) return;
    std::vector<char*> arguments;
    for (std::string& word : command) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    if (::chdir(folder.c_str()) != 0 || !std::freopen(output_.c_str(), "w", stdout)) ::_exit(127);
    ::dup2(STDOUT_FILENO, STDERR_FILENO);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  ~Job() { kill(); }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Its ranks too, where it is mpirun; all at once, as far as that can be.
  void kill() {
    if (ended_) return;
    std::string pid = std::to_string(pid_);
    std::istringstream list(text_of_file("/proc/" + pid + "/task/" + pid + "/children"));
    std::vector<pid_t> all{pid_};
    for (pid_t child; list >> child;) all.push_back(child);
    for (pid_t one : all) ::kill(one, SIGKILL);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    ended_ = true;
  }
  // Whether it has ended by itself; its exit code, or 128 + a signal's number, is in code() then.
  bool ended() {
    int status = 0;
    if (!ended_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
      ended_ = true;
      code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return ended_;
  }
  int code() const { return code_; }
  std::string output() const { return text_of_file(output_); }

 private:
  pid_t pid_;
  bool ended_ = false;
  int code_ = -1;
  fs::path output_;
};

class SweepKills : public testing::Test {
 protected:
  SweepKills() {
    write_toy_images(folder_ / "train.h5", {.count = 64});
    write_toy_images(folder_ / "validation.h5", {.count = 32, .seed = 2});
    put_file(folder_ / "base.toml", fmt::format(R"(
[data]
train = "train.h5"
validation = "validation.h5"
batch = 16
[model]
kind = "mlp"
hidden = [16]
[train]
epochs = {}
threads = 1
device = "cpu"
[checkpoint]
every_steps = 2
)",
                                                epochs));
  }

  void write_sweep(const std::string& name, const std::string& more) {
    put_file(folder_ / (name + ".toml"), fmt::format(R"(
[sweep]
name = "{}"
base = "base.toml"
seed = 7
retries = 100
{}
[objective]
metric = "validation.loss"
[budget]
trials = {}
[space]
optimizer.learning_rate = {{ log_uniform = [1e-3, 1.0] }}
optimizer.momentum = {{ uniform = [0.0, 0.9] }}
model.hidden = {{ choice = [[8], [16], [8, 8]] }}
)",
                                                     name, more, trials));
  }

  std::vector<std::string> command(const std::string& name, const std::string& run, int ranks) const {
    std::vector<std::string> words;
    if (ranks > 1) words = {"mpirun", "-n", std::to_string(ranks), "--bind-to", "none"};
    for (const std::string& word : {std::string(TRIREME_SWEEP), name + ".toml", std::string("--run-dir"), run,
                                    std::string("--quiet")}) {
      words.push_back(word);
    }
    return words;
  }

  History read_back(const std::string& run) const {
    History history(false, true);
    JournalContent content = read_journal(journal_path(folder_ / run, 0));
    for (const Record& record : content.records) history.apply(record, 0);
    return history;
  }

  uintmax_t journal_bytes(const std::string& run) const {
    std::error_code absent;
    uintmax_t bytes = fs::file_size(journal_path(folder_ / run, 0), absent);
    return absent ? 0 : bytes;
  }

  // Started once, and not disturbed.
  void finish(const std::string& name, const std::string& run, int ranks) {
    Job job(folder_.path(), command(name, run, ranks));
    Clock::time_point begin = Clock::now();
    while (!job.ended()) {
      ASSERT_LT(Clock::now() - begin, limit) << job.output();
      ::usleep(1000);
    }
    ASSERT_EQ(job.code(), 0) << job.output();
  }

  // Started again and again until it is done. Each start is killed: every other one after a while that hits
  // its beginning, the rest once the journal has grown by some bytes, in the middle of the work. Returns the
  // kills.
  int finish_with_kills(const std::string& name, const std::string& run, int ranks, int most_kills) {
    for (int kills = 0;; ++kills) {
      uintmax_t before = journal_bytes(run);
      bool in_its_beginning = kills % 3 == 2;
      uintmax_t growth = in_its_beginning ? 0 : 1 + random_() % 1500;
      Job job(folder_.path(), command(name, run, ranks));
      Clock::time_point begin = Clock::now();
      while (!job.ended() && (kills >= most_kills || journal_bytes(run) < before + growth)) {
        if (Clock::now() - begin > limit) {
          ADD_FAILURE() << "does not end: " << job.output();
          return kills;
        }
        ::usleep(200);
      }
      if (!job.ended()) ::usleep(static_cast<useconds_t>(random_() % (in_its_beginning ? 300000 : 5000)));
      if (job.ended()) {
        EXPECT_EQ(job.code(), 0) << job.output();
        return kills;
      }
      job.kill();
      EXPECT_NO_THROW(read_back(run)) << "after kill " << kills;
    }
  }

  // Each number suggested once, each trial ended for good once, none failed.
  void expect_whole(const std::string& run) {
    JournalContent content = read_journal(journal_path(folder_ / run, 0));
    EXPECT_EQ(content.torn, "");
    std::map<int64_t, int> suggested, over;
    for (const Record& record : content.records) {
      if (const auto* suggest = std::get_if<SuggestRecord>(&record.what)) ++suggested[suggest->trial];
      const auto* end = std::get_if<EndRecord>(&record.what);
      if (end && (end->state == "finished" || end->state == "stopped")) ++over[end->trial];
      EXPECT_FALSE(end && end->state == "failed")
          << run << ": trial " << end->trial << " failed: " << end->reason;
    }
    ASSERT_FALSE(content.records.empty());
    const auto* close = std::get_if<CloseRecord>(&content.records.back().what);
    ASSERT_TRUE(close);
    EXPECT_EQ(close->state, "finished");
    History history = read_back(run);
    ASSERT_EQ(history.trials().size(), static_cast<size_t>(trials));
    for (const Trial& trial : history.trials()) {
      EXPECT_TRUE(trial.is_over()) << trial.number;
      EXPECT_EQ(suggested[trial.number], 1) << trial.number;
      EXPECT_LE(over[trial.number], 1) << trial.number;
    }
  }

  static void expect_same(const History& undisturbed, const History& killed, bool in_scores) {
    ASSERT_EQ(undisturbed.trials().size(), killed.trials().size());
    for (const Trial& trial : undisturbed.trials()) {
      const Trial& other = killed.trial(trial.number);
      EXPECT_TRUE(same_point(trial.point, other.point)) << "trial " << trial.number << " is another";
      if (!in_scores) continue;
      ASSERT_EQ(trial.reports.size(), static_cast<size_t>(epochs));
      ASSERT_EQ(other.reports.size(), static_cast<size_t>(epochs)) << trial.number;
      for (size_t i = 0; i < trial.reports.size(); ++i) {
        EXPECT_EQ(trial.reports[i].scores, other.reports[i].scores) << "trial " << trial.number;
        EXPECT_EQ(trial.reports[i].step, other.reports[i].step);
      }
    }
  }

  // Sweeps with kills until there have been enough, each of which is judged by `judge`.
  template <class Judge>
  void kill_sweeps(const std::string& name, int ranks, const Judge& judge) {
    int kills = 0;
    for (int sweep = 0; kills < wanted_kills_; ++sweep) {
      std::string run = fmt::format("{}-killed-{}", name, sweep);
      int more = finish_with_kills(name, run, ranks, wanted_kills_ - kills);
      ASSERT_FALSE(HasFailure());
      ASSERT_GT(more, 0) << "it was over before it could be killed";
      kills += more;
      expect_whole(run);
      judge(run);
      ASSERT_FALSE(HasFailure()) << run;
      fs::remove_all(folder_ / run);
    }
  }

  test::TemporaryFolder folder_;
  std::mt19937 random_{11};
  // A few, or as many as it takes to hit everything.
  const int wanted_kills_ = std::getenv("TRIREME_FAULTS_ALL") ? 100 : 10;
};

// A sampler that learns, asked by one rank: each point hangs on every score before it.
TEST_F(SweepKills, OneRankEndsAsIfNobodyHadDisturbedIt) {
  write_sweep("alone", "sampler = \"tpe\"\n[sweep.tpe]\nstartup_trials = 4");
  finish("alone", "alone-undisturbed", 1);
  ASSERT_FALSE(HasFailure());
  expect_whole("alone-undisturbed");
  History undisturbed = read_back("alone-undisturbed");
  kill_sweeps("alone", 1, [&](const std::string& run) { expect_same(undisturbed, read_back(run), true); });
}

// Two ranks that train side by side; points that do not hang on who is done first.
TEST_F(SweepKills, TwoRanksTryTheSamePoints) {
  write_sweep("pair", "sampler = \"random\"");
  finish("pair", "pair-undisturbed", 2);
  ASSERT_FALSE(HasFailure());
  History undisturbed = read_back("pair-undisturbed");
  kill_sweeps("pair", 2, [&](const std::string& run) { expect_same(undisturbed, read_back(run), true); });
}

// Trials that are paused, promoted and given up on the way.
TEST_F(SweepKills, SuccessiveHalvingLosesNobody) {
  write_sweep("halving", "sampler = \"random\"\nscheduler = \"asha\"");
  kill_sweeps("halving", 1, [&](const std::string& run) {
    History history = read_back(run);
    int64_t trained = 0;
    for (const Trial& trial : history.trials()) trained += trial.epochs() == epochs;
    EXPECT_GE(trained, 1) << "nobody was promoted to the end";
    EXPECT_LT(trained, trials) << "nobody was given up";
  });
}

}  // namespace
}  // namespace trireme::test
