// trireme-sweep with launcher "steps": trials in processes of their own, which crash, are killed, lose their
// sweep or are stopped; and the same by a stand-in for srun.
#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <map>

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

constexpr double limit = 240;  // seconds, for whatever is waited for

bool wait_until(const std::function<bool()>& what) {
  auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(limit);
  while (!what()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

bool runs(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  size_t name_end = text.rfind(')');
  return name_end != std::string::npos && text.at(name_end + 2) != 'Z';
}

class StepJobs : public testing::Test {
 protected:
  StepJobs() {
    write_toy_images(folder_ / "train.h5", {.count = 61});
    write_toy_images(folder_ / "validation.h5", {.count = 37, .seed = 2});
    write_base(3);
    write_file_atomically(folder_ / "sweep.toml", R"(
[sweep]
name = "toy"
base = "net.toml"
sampler = "random"
launcher = "steps"
slots = 2
[objective]
metric = "validation.loss"
[budget]
trials = 6
[space]
optimizer.learning_rate = { log_uniform = [1e-3, 0.1] }
data.batch = { int = [4, 8] }
)");
  }
  ~StepJobs() override {
    for (pid_t pid : steps()) ::kill(pid, SIGKILL);  // a test that has failed leaves nothing
  }

  void write_base(int epochs) {
    write_file_atomically(folder_ / "net.toml",
                          "[data]\ntrain = \"" + (folder_ / "train.h5").string() + "\"\nvalidation = \"" +
                              (folder_ / "validation.h5").string() +
                              "\"\n[model]\nkind = \"mlp\"\nhidden = [16]\n[train]\nepochs = " +
                              std::to_string(epochs) + "\nthreads = 1\n[checkpoint]\nevery_steps = 200\n");
  }
  std::vector<std::string> command(std::vector<std::string> more = {}, const std::string& run = "run",
                                   int ranks = 0) const {
    std::vector<std::string> words = {"/usr/bin/env"};
    if (ranks > 0) {
      for (std::string word : {std::string("mpirun"), std::string("-n"), std::to_string(ranks),
                               std::string("--bind-to"), std::string("none")}) {
        words.push_back(word);
      }
    }
    for (std::string word :
         {std::string(TRIREME_BINARY_DIR "/bin/trireme-sweep"), (folder_ / "sweep.toml").string(),
          std::string("--run-dir"), (folder_ / run).string()}) {
      words.push_back(word);
    }
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  // Its exit code; what it said is output_.
  int run(const std::vector<std::string>& words) {
    std::string file = folder_ / ("output" + std::to_string(++runs_));
    Process process(words, file);
    int code = process.wait(limit);
    output_ = process.output();
    return code;
  }
  // Puts a script in srun's place. Returns the command that runs the sweep in a job of two tasks then.
  std::vector<std::string> command_in_job(const std::string& srun, std::vector<std::string> more = {}) {
    std::filesystem::create_directories(folder_ / "bin");
    write_file_atomically(folder_ / "bin/srun", "#!/bin/bash\n" + srun);
    ::chmod((folder_ / "bin/srun").c_str(), 0755);
    for (const char* word : {"--set", "sweep.slots=0"}) more.push_back(word);
    std::vector<std::string> words = command(more);
    std::vector<std::string> variables = {"PATH=" + (folder_ / "bin").string() + ":" + std::getenv("PATH"),
                                          "SLURM_JOB_ID=4711",
                                          "SLURM_NTASKS=2",
                                          "SLURM_NNODES=2",
                                          "SLURM_CPUS_PER_TASK=1",
                                          "SLURM_MEM_PER_NODE=1000",
                                          "FOLDER=" + folder_.path().string()};
    words.insert(words.begin() + 1, variables.begin(), variables.end());
    return words;
  }
  // What srun would do with its arguments: options of its own up to the program.
  static constexpr const char* run_program = R"(
tasks=1
while [[ $1 == --* ]]; do
  case $1 in --ntasks=*) tasks=${1#*=} ;; esac
  shift
done
unset SLURM_JOB_ID SLURM_NTASKS
if ((tasks == 1)); then exec "$@"; fi
exec mpirun -n $tasks --bind-to none "$@"
)";

  std::vector<Record> records(const std::string& run = "run") const {
    std::filesystem::path file = folder_ / run / "journal" / "0.trj";
    return std::filesystem::exists(file) ? read_journal(file).records : std::vector<Record>{};
  }
  History history(const std::string& run = "run") const {
    History history(false, true);
    for (const Record& record : records(run)) history.apply(record);
    return history;
  }
  int reports_of(int64_t trial) const {
    int found = 0;
    for (const Record& record : records()) {
      auto* report = std::get_if<ReportRecord>(&record.what);
      found += report != nullptr && report->trial == trial ? 1 : 0;
    }
    return found;
  }
  std::vector<EndRecord> ends(const std::string& state) const {
    std::vector<EndRecord> found;
    for (const Record& record : records()) {
      auto* end = std::get_if<EndRecord>(&record.what);
      if (end != nullptr && end->state == state) found.push_back(*end);
    }
    return found;
  }
  void expect_all_finished(size_t trials, const std::string& run = "run") const {
    History all = history(run);
    ASSERT_EQ(all.trials().size(), trials);
    for (const Trial& trial : all.trials()) {
      EXPECT_EQ(trial.state, TrialState::finished) << trial.number << ": " << trial.reason;
    }
  }
  // Processes of this test's trials, or of one; launchers do not count.
  std::vector<pid_t> steps(int64_t trial = -1) const {
    std::vector<pid_t> found;
    std::string wanted = (folder_ / "run/trials/").string();
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      std::ifstream file(entry.path() / "cmdline");
      std::string line((std::istreambuf_iterator<char>(file)), {});
      bool is_step =
          line.starts_with(TRIREME_BINARY_DIR "/bin/trireme-sweep") && line.find(wanted) != std::string::npos;
      std::string number = std::string("--number") + '\0' + std::to_string(trial) + '\0';
      if (is_step && (trial < 0 || line.find(number) != std::string::npos) && runs(std::stoi(name))) {
        found.push_back(std::stoi(name));
      }
    }
    return found;
  }

  TemporaryFolder folder_;
  std::string output_;
  int runs_ = 0;
};

TEST_F(StepJobs, scores_are_those_of_the_other_launcher) {
  std::vector<std::string> widths = {"--set", "space.sweep.ranks_per_trial.choice=[1, 2]"};
  std::vector<std::string> ranks = widths;
  for (const char* word : {"--set", "sweep.launcher=\"ranks\""}) ranks.push_back(word);
  ASSERT_EQ(run(command(ranks, "ranks", 2)), 0) << output_;
  ASSERT_EQ(run(command(widths)), 0) << output_;
  expect_all_finished(6);
  History one = history("ranks"), other = history();
  std::set<int> seen;
  for (const Trial& trial : one.trials()) {
    const Trial& again = other.trial(trial.number);
    seen.insert(trial.width);
    EXPECT_EQ(trial.point, again.point);
    EXPECT_EQ(trial.width, again.width);
    ASSERT_EQ(again.reports.size(), 3u);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(trial.reports[i].scores, again.reports[i].scores) << trial.number;
      EXPECT_EQ(trial.reports[i].step, again.reports[i].step);
    }
  }
  EXPECT_EQ(seen, (std::set<int>{1, 2}));
  // It is no other sweep: what the one has begun, the other goes on with.
  for (const char* word : {"--set", "budget.trials=7"}) widths.push_back(word);
  ASSERT_EQ(run(command(widths, "ranks")), 0) << output_;
  expect_all_finished(7, "ranks");
}

TEST_F(StepJobs, successive_halving_pauses_steps_and_takes_them_up) {
  ASSERT_EQ(run(command({"--set", "sweep.scheduler=\"asha\"", "--set", "sweep.asha.reduction=2", "--set",
                         "sweep.slots=1"})),
            0)
      << output_;
  History all = history();
  int finished = 0, taken_up = 0;
  for (const Trial& trial : all.trials()) {
    EXPECT_NE(trial.state, TrialState::failed) << trial.reason;
    EXPECT_EQ(trial.attempts, 1);
    finished += trial.state == TrialState::finished ? 1 : 0;
  }
  for (const Record& record : records()) {
    auto* begin = std::get_if<BeginRecord>(&record.what);
    taken_up += begin != nullptr && begin->resumed ? 1 : 0;
  }
  EXPECT_GE(finished, 1);
  EXPECT_LT(finished, 6);
  EXPECT_GE(taken_up, 1);
}

TEST_F(StepJobs, a_step_that_segfaults_is_begun_again_and_takes_nothing_with_it) {
  write_base(300);
  std::string file = folder_ / "output";
  Process process(command({"--set", "budget.trials=2"}), file);
  ASSERT_TRUE(wait_until([&] { return reports_of(1) > 60; })) << process.output();  // a checkpoint, too
  for (pid_t pid : steps(1)) ::kill(pid, SIGSEGV);
  ASSERT_EQ(process.wait(limit), 0) << process.output();
  expect_all_finished(2);
  ASSERT_EQ(ends("crashed").size(), 1u);
  EXPECT_EQ(ends("crashed")[0].trial, 1);
  EXPECT_THAT(ends("crashed")[0].reason, HasSubstr("its step was killed by signal 11 (Segmentation fault)"));
  EXPECT_EQ(history().trial(0).attempts, 1);
  EXPECT_EQ(history().trial(1).attempts, 2);
  EXPECT_EQ(history().trial(1).reports.size(), 300u);
  EXPECT_LT(reports_of(1), 360);  // it went on from its checkpoint
}

TEST_F(StepJobs, nan_and_poison_are_failures_of_their_trials_alone) {
  // Trial 3 dies each time, trial 4 the first time; both in the middle of their training.
  std::string poison = R"(
echo "$@" >>"$FOLDER/calls"
env | grep ^SLURM_ >>"$FOLDER/variables"
case "$*" in
  *"--number 3 "*) echo '{"letter": "ready"}'; echo "about to die" >&2; kill -SEGV $$ ;;
  *"--number 4 "*) if mkdir "$FOLDER/first"; then echo '{"letter": "ready"}'; exit 9; fi ;;
esac
)";
  std::vector<std::string> in_job = command_in_job(
      poison + run_program, {"--set", "space.optimizer.learning_rate.choice=[0.01, 1e30]", "--set",
                             "sweep.srun_options=[\"--mem=7\"]", "--set",
                             "space.sweep.ranks_per_trial.choice=[1, 2]", "--set", "sweep.seed=3"});
  ASSERT_EQ(run(in_job), 0) << output_;
  History all = history();
  ASSERT_EQ(all.trials().size(), 6u);
  int nans = 0;
  for (const Trial& trial : all.trials()) {
    bool diverges = trial.point.at(0) == 1;
    if (trial.number == 3) {
      EXPECT_EQ(trial.state, TrialState::failed);
      EXPECT_EQ(trial.attempts, 2);
      EXPECT_THAT(trial.reason, HasSubstr("crashed 2 times: its step was killed by signal 11"));
      EXPECT_THAT(trial.reason, HasSubstr("about to die"));
    } else if (diverges) {
      EXPECT_EQ(trial.state, TrialState::failed) << trial.number;
      EXPECT_THAT(trial.reason, Not(HasSubstr("its step")));
      ++nans;
    } else {
      EXPECT_EQ(trial.state, TrialState::finished) << trial.number << ": " << trial.reason;
    }
    EXPECT_EQ(trial.attempts, trial.number == 3 || trial.number == 4 ? 2 : 1);
  }
  EXPECT_GT(nans, 0);
  EXPECT_LT(nans, 5);
  std::string calls = read_file(folder_ / "calls");
  EXPECT_THAT(
      calls,
      testing::AllOf(HasSubstr("--exact --ntasks=1 --mpi=none"), HasSubstr("--exact --ntasks=2 --mpi=pmix"),
                     HasSubstr("--kill-on-bad-exit=1"), HasSubstr("--input=0 --output=0"),
                     HasSubstr("--cpus-per-task=1"), HasSubstr("--mem=7"), HasSubstr("--cores 1")));
  EXPECT_THAT(calls, Not(HasSubstr("--mem=0")));
  std::string variables = read_file(folder_ / "variables");
  EXPECT_THAT(variables, HasSubstr("SLURM_JOB_ID"));
  EXPECT_THAT(variables, Not(HasSubstr("SLURM_NNODES")));
}

TEST_F(StepJobs, steps_that_cannot_be_started_end_the_sweep_and_count_for_nothing) {
  ASSERT_EQ(run(command_in_job("echo \"srun: unrecognized option '--men=8G'\" >&2; exit 1\n",
                               {"--set", "sweep.srun_options=[\"--men=8G\"]"})),
            78)
      << output_;
  EXPECT_THAT(output_,
              testing::AllOf(HasSubstr("could not be started"), HasSubstr("unrecognized option '--men=8G'"),
                             HasSubstr("sweep.srun_options")));
  EXPECT_LE(ends("interrupted").size(), 4u);
  History before = history();
  for (const Trial& trial : before.trials()) EXPECT_EQ(trial.attempts, 0);
  ASSERT_EQ(run(command_in_job(run_program)), 0) << output_;
  expect_all_finished(6);
}

TEST_F(StepJobs, a_signal_saves_all_state_and_exits_75) {
  write_base(150);
  int code = 75, stops = 0;
  for (; code == 75 && stops < 30; ++stops) {
    std::string file = folder_ / ("stopped" + std::to_string(stops));
    size_t before = records().size();
    Process process(command({"--set", "budget.trials=4"}), file);
    wait_until([&] { return records().size() > before + 100 || process.wait(0) != -1; });
    process.signal(SIGTERM);
    code = process.wait(limit);
    output_ = process.output();
    EXPECT_TRUE(steps().empty());
  }
  EXPECT_EQ(code, 0) << output_;
  EXPECT_GT(stops, 1);
  expect_all_finished(4);
  History all = history();
  for (const Trial& trial : all.trials()) EXPECT_EQ(trial.attempts, 1) << trial.number;
  EXPECT_TRUE(ends("crashed").empty());
}

TEST_F(StepJobs, a_killed_sweep_leaves_no_orphans_and_goes_on) {
  write_base(200);
  // In sessions of their own: the system would end a stopped one of the sweep's session with it.
  std::string srun = run_program;
  srun.replace(srun.find("exec \""), 4, "exec setsid --wait");
  std::vector<std::string> two = command_in_job(srun, {"--set", "budget.trials=2"});
  std::vector<pid_t> orphans;
  {
    Process process(two, folder_ / "killed");
    ASSERT_TRUE(wait_until([&] { return reports_of(0) > 20 && reports_of(1) > 20; })) << process.output();
    orphans = steps();
    ASSERT_EQ(orphans.size(), 2u);
    ::kill(orphans[0], SIGSTOP);  // one that takes its time, and still holds its run directory
    process.kill();
  }
  EXPECT_TRUE(wait_until([&] { return !runs(orphans[1]); }));
  Process process(two, folder_ / "again");
  // Its successor is refused again and again until it has gone.
  ASSERT_TRUE(wait_until([&] { return ends("finished").size() == 1; })) << process.output();
  EXPECT_TRUE(runs(orphans[0]));
  ::kill(orphans[0], SIGCONT);
  EXPECT_EQ(process.wait(limit), 0) << process.output();
  EXPECT_FALSE(runs(orphans[0]));
  expect_all_finished(2);
  History all = history();
  for (const Trial& trial : all.trials()) {
    EXPECT_EQ(trial.attempts, 1);
    EXPECT_EQ(trial.reports.size(), 200u);
    EXPECT_LT(reports_of(trial.number), 240);  // it went on from where its orphan had saved
  }
  EXPECT_TRUE(steps().empty());
}

TEST_F(StepJobs, ranks_of_a_killed_sweep_end_together) {
  write_base(2000);
  Process process(command({"--set", "budget.trials=1", "--set", "sweep.ranks_per_trial=2"}),
                  folder_ / "killed");
  ASSERT_TRUE(wait_until([&] { return reports_of(0) > 5; })) << process.output();
  EXPECT_EQ(steps().size(), 2u);
  process.kill();
  EXPECT_TRUE(wait_until([&] { return steps().empty(); }));
}

TEST_F(StepJobs, what_cannot_be_is_refused) {
  EXPECT_EQ(run(command({}, "run", 2)), 78);
  EXPECT_THAT(output_, testing::AllOf(HasSubstr("sweep.toml:6"), HasSubstr("without srun or mpirun")));
  EXPECT_EQ(run(command({"--set", "sweep.scheduler=\"pbt\"", "--set", "space.data={}"})), 78) << output_;
  std::vector<std::string> no_tasks = command_in_job("exit 1\n");
  std::erase(no_tasks, "SLURM_NTASKS=2");
  EXPECT_EQ(run(no_tasks), 78);
  EXPECT_THAT(output_, HasSubstr("--ntasks"));
  EXPECT_EQ(run(command({"--set", "sweep.ranks_per_trial=3"})), 78) << output_;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run" / "journal" / "0.trj"));
}

}  // namespace
}  // namespace trireme::test
