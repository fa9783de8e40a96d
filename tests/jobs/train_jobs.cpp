// trireme-train as it is run: by mpirun or alone, interrupted in every way, and started again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "support/temporary_folder.h"
#include "support/toy_images.h"

namespace trireme::test {
namespace {

using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A command in the background, its output in a file.
class Job {
 public:
  Job(const std::filesystem::path& folder, std::vector<std::string> command)
      : output_(folder / "output.txt") {
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
  ~Job() {
    if (pid_ > 0) {
      kill_all();
      wait();
    }
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  pid_t pid() const { return pid_; }
  // The processes that it started: mpirun's ranks.
  std::vector<pid_t> children() const {
    std::string pid = std::to_string(pid_);
    std::istringstream list(text_of("/proc/" + pid + "/task/" + pid + "/children"));
    std::vector<pid_t> found;
    for (pid_t child; list >> child;) found.push_back(child);
    return found;
  }
  void kill_all() const {
    std::vector<pid_t> ranks = children();
    ::kill(pid_, SIGKILL);
    for (pid_t rank : ranks) ::kill(rank, SIGKILL);
  }
  // Exit code; 128 + number for a signal.
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::string output() const { return text_of(output_); }

 private:
  pid_t pid_;
  std::filesystem::path output_;
};

class TrainJobs : public testing::Test {
 protected:
  TrainJobs() {
    write_toy_images(folder_ / "train.h5", {.count = 61});
    write_toy_images(folder_ / "validation.h5", {.count = 37, .seed = 2});
    // The plain loops of the reference backend are slow enough to be caught in the middle.
    std::ofstream(folder_ / "net.toml") << R"(
[run]
name = "toy"
[data]
train = "train.h5"
validation = "validation.h5"
batch = 17
[model]
kind = "layers"
[[model.layer]]
kind = "convolution"
channels = 8
kernel = 3
padding = 1
[[model.layer]]
kind = "batch_norm"
[[model.layer]]
kind = "relu"
[[model.layer]]
kind = "dropout"
rate = 0.2
[[model.layer]]
kind = "linear"
units = 4
[train]
epochs = 60
backend = "reference"
log_every_steps = 1
validate_every_epochs = 20
[checkpoint]
every_steps = 7
)";
  }

  std::vector<std::string> command(int ranks, const std::string& run,
                                   std::vector<std::string> more = {}) const {
    std::vector<std::string> words;
    if (ranks > 0) words = {"mpirun", "-n", std::to_string(ranks), "--bind-to", "none"};
    for (std::string word : {std::string(TRIREME_BINARY_DIR "/bin/trireme-train"), std::string("net.toml"),
                             std::string("--run-dir"), run}) {
      words.push_back(word);
    }
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  int run(std::vector<std::string> words) {
    Job job(folder_.path(), std::move(words));
    int code = job.wait();
    output_ = job.output();
    return code;
  }
  // Waits until the run has done `step` steps. False when the job ends before, or after 60 s.
  bool wait_for_step(const std::string& run, int step) const {
    std::string needle = "\"step\":" + std::to_string(step) + ",";
    for (Clock::time_point start = Clock::now(); seconds_since(start) < 60;) {
      if (text_of(folder_ / (run + "/metrics.jsonl")).find(needle) != std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }
  nlohmann::json summary(const std::string& run) const {
    return nlohmann::json::parse(text_of(folder_ / (run + "/summary.json")), nullptr, false);
  }

  TemporaryFolder folder_;
  std::string output_;
};

TEST_F(TrainJobs, two_ranks_finish) {
  ASSERT_EQ(run(command(2, "run", {"--set", "train.epochs=20"})), 0) << output_;
  nlohmann::json s = summary("run");
  EXPECT_EQ(s["state"], "finished");
  EXPECT_EQ(s["steps"], 80);
  EXPECT_EQ(s["ranks"], 2);
  EXPECT_GT(s["validation"]["accuracy"].get<double>(), 0.5);
  EXPECT_LT(s["startup_seconds"].get<double>(), 10.0);
  EXPECT_THAT(output_, HasSubstr("finished after 80 steps"));
  ASSERT_EQ(run(command(2, "run", {"--set", "train.epochs=20"})), 0);
  EXPECT_THAT(output_, HasSubstr("is finished already"));
  EXPECT_EQ(summary("run"), s);
}

TEST_F(TrainJobs, the_default_run_directory_has_the_runs_name) {
  ASSERT_EQ(run({TRIREME_BINARY_DIR "/bin/trireme-train", "net.toml", "--set", "train.steps=2", "--quiet"}),
            0)
      << output_;
  EXPECT_EQ(output_, "");
  EXPECT_TRUE(std::filesystem::exists(folder_ / "runs/toy/summary.json"));
}

// Killed twice with SIGKILL, all of it at once, as when a node's power fails.
TEST_F(TrainJobs, killed_and_started_again_gives_the_same_bits) {
  for (int ranks : {0, 2}) {
    std::string whole = "whole" + std::to_string(ranks);
    std::string parts = "parts" + std::to_string(ranks);
    ASSERT_EQ(run(command(ranks, whole)), 0) << output_;
    for (int step : {50, 120}) {
      Job job(folder_.path(), command(ranks, parts));
      ASSERT_TRUE(wait_for_step(parts, step)) << job.output();
      job.kill_all();
      EXPECT_EQ(job.wait(), 128 + SIGKILL);
      EXPECT_FALSE(std::filesystem::exists(folder_ / (parts + "/summary.json")));
    }
    ASSERT_EQ(run(command(ranks, parts)), 0) << output_;
    EXPECT_THAT(output_, HasSubstr("resuming from"));
    EXPECT_EQ(summary(parts)["parameters_sha256"], summary(whole)["parameters_sha256"]);
    EXPECT_EQ(summary(parts)["validation"], summary(whole)["validation"]);
    EXPECT_EQ(summary(parts)["steps"], 240);
  }
}

// The same bits on any number of processes, over a stop on four and a start on two.
TEST_F(TrainJobs, virtual_ranks_give_the_same_bits_on_any_number_of_ranks) {
  std::vector<std::string> keys{"--set", "parallel.virtual_ranks=8", "--set", "train.epochs=10"};
  for (int ranks : {1, 2, 4}) {
    ASSERT_EQ(run(command(ranks, "of" + std::to_string(ranks), keys)), 0) << output_;
  }
  nlohmann::json whole = summary("of1")["parameters_sha256"];
  EXPECT_EQ(summary("of2")["parameters_sha256"], whole);
  EXPECT_EQ(summary("of4")["parameters_sha256"], whole);
  EXPECT_EQ(summary("of4")["virtual_ranks"], 8);
  // Whatever carries the sums, and whoever keeps the optimizer's state.
  std::vector<std::string> otherwise = keys;
  for (const char* key : {"comm.backend=mpi", "comm.overlap=on", "parallel.allreduce.shard_optimizer=true"}) {
    otherwise.insert(otherwise.end(), {"--set", key});
  }
  ASSERT_EQ(run(command(4, "otherwise", otherwise)), 0) << output_;
  EXPECT_EQ(summary("otherwise")["parameters_sha256"], whole);
  {
    Job job(folder_.path(), command(4, "parts", keys));
    ASSERT_TRUE(wait_for_step("parts", 10)) << job.output();
    for (pid_t rank : job.children()) ::kill(rank, SIGTERM);
    EXPECT_EQ(job.wait(), 75) << job.output();
  }
  ASSERT_EQ(run(command(2, "parts", keys)), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("the same bits"));
  EXPECT_EQ(summary("parts")["parameters_sha256"], whole);
}

TEST_F(TrainJobs, virtual_ranks_that_do_not_go_with_the_ranks_exit_78) {
  for (int ranks : {3, 4}) {
    EXPECT_EQ(run(command(ranks, "bad", {"--set", "parallel.virtual_ranks=2"})), 78);
    EXPECT_THAT(output_, HasSubstr("parallel.virtual_ranks = 2 on " + std::to_string(ranks) + " ranks"));
  }
}

// With a communication thread in every process and without, with a part of the optimizer in each and without.
TEST_F(TrainJobs, overlap_and_shards_leave_every_bit) {
  std::ofstream(folder_ / "net.toml") << R"(
[data]
train = "train.h5"
validation = "validation.h5"
batch = 17
[model]
kind = "mlp"
hidden = [200, 100]
[train]
epochs = 4
threads = 1
gradient_clip_norm = 0.5
[optimizer]
kind = "adamw"
[comm]
bucket_bytes = 16384
)";
  for (int ranks : {2, 3}) {
    std::string whole;
    for (std::string overlap : {"off", "on"}) {
      for (std::string shards : {"false", "true"}) {
        std::string name = std::to_string(ranks) + overlap + shards;
        ASSERT_EQ(run(command(ranks, name,
                              {"--set", "comm.overlap=" + overlap, "--set",
                               "parallel.allreduce.shard_optimizer=" + shards})),
                  0)
            << output_;
        std::string hash = summary(name)["parameters_sha256"];
        if (whole.empty()) whole = hash;
        EXPECT_EQ(hash, whole) << name;
      }
    }
  }
}

// The threads of the others wait in a collective when it dies.
TEST_F(TrainJobs, a_lost_rank_ends_a_job_that_overlaps) {
  Job job(folder_.path(), command(3, "run", {"--set", "train.epochs=100000", "--set", "comm.overlap=on"}));
  ASSERT_TRUE(wait_for_step("run", 5)) << job.output();
  ::kill(job.children().at(1), SIGKILL);
  Clock::time_point killed = Clock::now();
  EXPECT_NE(job.wait(), 0);
  EXPECT_LT(seconds_since(killed), 20.0);
}

// As srun does it: every rank gets the signal. 75 tells the batch script to submit again.
TEST_F(TrainJobs, a_signal_saves_the_state_and_exits_75) {
  ASSERT_EQ(run(command(2, "whole")), 0) << output_;
  for (int signal : {SIGTERM, SIGUSR1}) {
    Job job(folder_.path(), command(2, "parts"));
    ASSERT_TRUE(wait_for_step("parts", signal == SIGTERM ? 30 : 100)) << job.output();
    for (pid_t rank : job.children()) ::kill(rank, signal);
    Clock::time_point asked = Clock::now();
    EXPECT_EQ(job.wait(), 75) << job.output();
    EXPECT_LT(seconds_since(asked), 20);
    EXPECT_EQ(summary("parts")["state"], "stopped");
  }
  ASSERT_EQ(run(command(2, "parts")), 0) << output_;
  EXPECT_EQ(summary("parts")["parameters_sha256"], summary("whole")["parameters_sha256"]);
}

TEST_F(TrainJobs, a_signal_to_a_single_process) {
  Job job(folder_.path(), command(0, "run"));
  ASSERT_TRUE(wait_for_step("run", 20)) << job.output();
  ::kill(job.pid(), SIGTERM);
  EXPECT_EQ(job.wait(), 75) << job.output();
  nlohmann::json s = summary("run");
  EXPECT_EQ(s["state"], "stopped");
  EXPECT_TRUE(std::filesystem::exists(
      folder_ / fmt::format("run/checkpoints/step-{:010}/manifest.json", s["steps"].get<int>())));
}

// Further signals while it stops and saves: neither break the save nor change the end.
TEST_F(TrainJobs, signals_while_saving_break_nothing) {
  Job job(folder_.path(), command(0, "run"));
  ASSERT_TRUE(wait_for_step("run", 20)) << job.output();
  siginfo_t ended{};
  for (int round = 0; ended.si_pid == 0 && round < 60000; ++round) {
    ::kill(job.pid(), round % 2 == 0 ? SIGTERM : SIGUSR1);
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    ::waitid(P_PID, static_cast<id_t>(job.pid()), &ended, WEXITED | WNOHANG | WNOWAIT);
  }
  EXPECT_EQ(job.wait(), 75) << job.output();
  EXPECT_EQ(run({TRIREME_BINARY_DIR "/bin/trireme-train", "net.toml", "--run-dir", "run"}), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("resuming from"));
  EXPECT_THAT(output_, testing::Not(HasSubstr("skipping")));
}

TEST_F(TrainJobs, a_second_job_in_the_same_run_directory_exits_64) {
  Job job(folder_.path(), command(2, "run"));
  ASSERT_TRUE(wait_for_step("run", 20)) << job.output();
  EXPECT_EQ(run(command(1, "run", {"--fresh"})), 64) << output_;
  EXPECT_THAT(output_,
              testing::AllOf(HasSubstr("is in use by"), HasSubstr("process"), HasSubstr("--run-dir")));
  EXPECT_EQ(job.wait(), 0) << job.output();
  EXPECT_EQ(summary("run")["state"], "finished");
}

// The watchdog names it, ends the job with the code for "go on", and going on gives the same bits.
TEST_F(TrainJobs, a_stopped_rank_is_named_and_the_job_can_be_resumed) {
  ASSERT_EQ(run(command(2, "whole")), 0) << output_;
  {
    Job job(folder_.path(), command(2, "parts", {"--set", "comm.timeout_seconds=3"}));
    ASSERT_TRUE(wait_for_step("parts", 30)) << job.output();
    std::vector<pid_t> ranks = job.children();
    ASSERT_EQ(ranks.size(), 2u);
    ::kill(ranks[1], SIGSTOP);
    Clock::time_point stopped = Clock::now();
    EXPECT_EQ(job.wait(), 75) << job.output();
    EXPECT_LT(seconds_since(stopped), 20);
    EXPECT_THAT(job.output(), HasSubstr("nothing has been heard of rank "));
    EXPECT_THAT(job.output(), HasSubstr("submit again"));
  }
  ASSERT_EQ(run(command(2, "parts")), 0) << output_;
  EXPECT_THAT(output_, HasSubstr("resuming from"));
  EXPECT_EQ(summary("parts")["parameters_sha256"], summary("whole")["parameters_sha256"]);
}

TEST_F(TrainJobs, one_lost_rank_ends_the_job_within_seconds) {
  Job job(folder_.path(), command(2, "run"));
  ASSERT_TRUE(wait_for_step("run", 20)) << job.output();
  std::vector<pid_t> ranks = job.children();
  ASSERT_EQ(ranks.size(), 2u);
  Clock::time_point killed = Clock::now();
  ::kill(ranks[1], SIGKILL);
  EXPECT_NE(job.wait(), 0) << job.output();
  EXPECT_LT(seconds_since(killed), 15);
  ASSERT_EQ(run(command(2, "run")), 0) << output_;
  EXPECT_EQ(summary("run")["state"], "finished");
}

TEST_F(TrainJobs, bad_data_exits_65_and_names_the_file) {
  std::filesystem::resize_file(folder_ / "validation.h5",
                               std::filesystem::file_size(folder_ / "validation.h5") / 2);
  for (int ranks : {0, 2}) {
    EXPECT_EQ(run(command(ranks, "run")), 65) << output_;
    EXPECT_THAT(output_, HasSubstr("validation.h5"));
    EXPECT_THAT(output_, HasSubstr("trireme-train: error: "));
  }
  EXPECT_EQ(summary("run")["state"], "failed");
}

TEST_F(TrainJobs, divergence_exits_70) {
  EXPECT_EQ(run(command(2, "run", {"--set", "optimizer.learning_rate=1e30"})), 70) << output_;
  EXPECT_THAT(output_, HasSubstr("diverged"));
  EXPECT_EQ(summary("run")["state"], "failed");
}

TEST_F(TrainJobs, plan_touches_nothing) {
  std::vector<std::string> before = folder_.names();
  for (int ranks : {0, 2}) {
    EXPECT_EQ(run(command(ranks, "run", {"--plan"})), 0) << output_;
    EXPECT_THAT(output_, HasSubstr("convolution1.weight"));
    EXPECT_EQ(output_.find("parameters  "), output_.rfind("parameters  "));  // told once
    std::filesystem::remove(folder_ / "output.txt");
  }
  EXPECT_EQ(folder_.names(), before);
}

TEST_F(TrainJobs, fresh_removes_what_was_there) {
  ASSERT_EQ(run(command(0, "run", {"--set", "train.steps=10"})), 0) << output_;
  nlohmann::json first = summary("run");
  ASSERT_EQ(run(command(0, "run", {"--set", "train.steps=10", "--fresh"})), 0) << output_;
  EXPECT_EQ(summary("run")["parameters_sha256"], first["parameters_sha256"]);
  std::string metrics = text_of(folder_ / "run/metrics.jsonl");
  EXPECT_EQ(metrics.find("\"step\":1,"), metrics.rfind("\"step\":1,"));
}

}  // namespace
}  // namespace trireme::test
