// A sweep that is killed at any moment goes on: no trial is lost or doubled, and the same points are
// suggested.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <sstream>

#include "sweep/function_trials.h"

namespace trireme {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::map<int64_t, Point> points_of(const std::vector<Record>& records) {
  std::map<int64_t, Point> points;
  for (const Record& record : records) {
    auto* suggest = std::get_if<SuggestRecord>(&record.what);
    if (suggest != nullptr && !points.emplace(suggest->trial, suggest->point).second) {
      ADD_FAILURE() << "trial " << suggest->trial << " was suggested twice";
    }
  }
  return points;
}

void expect_each_once(const std::vector<Record>& records, int64_t trials) {
  std::map<int64_t, int> ended;
  for (const Record& record : records) {
    auto* end = std::get_if<EndRecord>(&record.what);
    if (end != nullptr && end->state != "paused" && end->state != "interrupted") ++ended[end->trial];
  }
  EXPECT_EQ(points_of(records).size(), static_cast<size_t>(trials));
  // One that was told to stop and then crashed is over without an end.
  for (const auto& [trial, times] : ended) EXPECT_EQ(times, 1) << "trial " << trial;
  History history(false, true);
  for (const Record& record : records) history.apply(record);
  for (const Trial& trial : history.trials()) {
    EXPECT_TRUE(trial.is_over()) << "trial " << trial.number << " is " << name_of(trial.state);
    EXPECT_NE(trial.state, TrialState::failed) << trial.reason;
    std::set<int64_t> epochs;
    for (const TrialReport& report : trial.reports) EXPECT_TRUE(epochs.insert(report.epoch).second);
  }
}

const std::string sweep_text =
    "sampler = \"random\"\nscheduler = \"SCHEDULER\"\nretries = 100\n"
    "[sweep.set]\ntrain.epochs = 4\n[budget]\ntrials = 9\n[sweep.asha]\nreduction = 2\n";

std::string text_with(const std::string& scheduler) {
  std::string text = sweep_text;
  return text.replace(text.find("SCHEDULER"), 9, scheduler);
}

class CutJournals : public testing::TestWithParam<std::string> {};

TEST_P(CutJournals, the_sweep_goes_on_from_every_record) {
  FunctionSweep sweep(text_with(GetParam()));
  sweep.trials.epochs = 4;
  sweep.trials.longest_epoch_seconds = 0;
  sweep.run(3);
  std::vector<std::string> lines = lines_of(read_file(sweep.journal()));
  std::map<int64_t, Point> points = points_of(sweep.records());
  ASSERT_EQ(points.size(), 9u);
  ASSERT_GT(lines.size(), 9u * 4);
  for (size_t count = 0; count < lines.size(); ++count) {
    std::string beginning;
    for (size_t i = 0; i < count; ++i) beginning += lines[i] + "\n";
    if (count % 2 == 1) beginning += lines[count].substr(0, lines[count].size() / 2);  // a torn line
    write_file_atomically(sweep.journal(), beginning);
    std::filesystem::remove_all(sweep.sweep_folder() / "trials");
    SweepResult result = sweep.run(3);
    EXPECT_FALSE(result.stopped);
    std::vector<Record> records = sweep.records();
    expect_each_once(records, 9);
    std::map<int64_t, Point> again = points_of(records);
    for (const auto& [trial, point] : points) EXPECT_TRUE(same_point(point, again[trial])) << trial;
    ASSERT_FALSE(HasFailure()) << "cut after " << count << " lines of " << lines.size();
  }
}

INSTANTIATE_TEST_SUITE_P(Schedulers, CutJournals, testing::Values("none", "median", "asha"),
                         [](const auto& one) { return one.param; });

// The whole process is killed, at a hundred random moments.
TEST(KilledSweep, goes_on_after_a_hundred_kills) {
  FunctionSweep sweep(text_with("asha"), std::string(FunctionSweep::default_space) +
                                             "sweep.ranks_per_trial = { choice = [1, 2] }\n");
  sweep.config.budget.trials = 60;
  sweep.trials.epochs = 4;
  sweep.trials.longest_epoch_seconds = 0.004;
  RandomStream random(5, Purpose::test);
  int kills = 0;
  int status = -1;
  while (true) {
    pid_t child = ::fork();
    if (child == 0) {
      try {
        sweep.run(4);
        ::_exit(0);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        ::_exit(1);
      }
    }
    ASSERT_GT(child, 0);
    // Once it has been killed often enough it may end.
    if (kills < 100) {
      ::usleep(1000 + random.below(30000));
      ::kill(child, SIGKILL);
      ++kills;
    }
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) break;
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
  expect_each_once(sweep.records(), 60);
  RecordProperty("kills", kills);
}

}  // namespace
}  // namespace trireme
