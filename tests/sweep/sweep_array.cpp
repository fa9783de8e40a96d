// Several jobs on one sweep, as the tasks of a job array: each has a journal of its own, and no trial is
// anybody else's too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "support/expect_error.h"
#include "sweep/function_trials.h"
#include "sweep/logic.h"

namespace trireme {
namespace {

TEST(SweepArray, jobs_share_the_budget_and_no_trial) {
  FunctionSweep sweep("sampler = \"sobol\"\n[budget]\ntrials = 60\n");
  std::vector<std::thread> jobs;
  std::atomic<int> failed = 0;
  for (int64_t worker : {0, 1, 4}) {
    jobs.emplace_back([&, worker] {
      try {
        sweep.run(2, {}, worker);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "worker %d: %s\n", static_cast<int>(worker), error.what());
        ++failed;
      }
    });
  }
  for (std::thread& job : jobs) job.join();
  ASSERT_EQ(failed, 0);
  std::map<int64_t, int> suggested, ended;
  std::map<int64_t, std::set<int64_t>> told;  // by trial: the workers whose journals speak of it
  std::set<double> rates;
  for (const auto& [worker, path] : find_journals(sweep.sweep_folder())) {
    for (const Record& record : read_journal(path).records) {
      if (auto* suggest = std::get_if<SuggestRecord>(&record.what)) {
        ++suggested[suggest->trial];
        rates.insert(suggest->point.at(0));
        told[suggest->trial].insert(worker);
      }
      if (auto* begin = std::get_if<BeginRecord>(&record.what)) told[begin->trial].insert(worker);
      if (auto* end = std::get_if<EndRecord>(&record.what)) {
        ++ended[end->trial];
        told[end->trial].insert(worker);
      }
    }
  }
  EXPECT_EQ(suggested.size(), 60u);
  EXPECT_EQ(rates.size(), 60u);  // each point of Sobol's sequence once, whoever tried it
  for (const auto& [trial, times] : suggested) {
    EXPECT_EQ(times, 1) << trial;
    EXPECT_EQ(ended[trial], 1) << trial;
    EXPECT_EQ(told[trial].size(), 1u) << trial;
    EXPECT_EQ(sweep.log.begun[trial], 1) << trial;
  }
}

TEST(SweepArray, states_cannot_be_taken_over_from_job_to_job) {
  FunctionSweep sweep("sampler = \"random\"\nscheduler = \"pbt\"\n[budget]\ntrials = 6\n",
                      FunctionSweep::changeable_space);
  test::expect_error(ExitCode::bad_config, {"\"pbt\"", "array"}, [&] { sweep.run(2, {}, 1); });
}

TEST(SweepArray, a_fresh_start_beside_a_job_that_works_is_refused) {
  FunctionSweep sweep("sampler = \"random\"\n[budget]\ntrials = 6\n");
  SweepOptions options{.folder = sweep.sweep_folder(), .worker = 0, .fresh = true};
  std::atomic<bool> tried = false;
  TrialRunner runner = function_runner(sweep.trials, sweep.log);
  sweep.trials.at_epoch = [&](const TrialOrder&, int64_t, int) {
    if (tried.exchange(true)) return;
    test::expect_error(ExitCode::usage, {"journal"}, [&] {
      run_meeting_ranks(
          1, [&](Meeting& meeting) { run_sweep(sweep.config, sweep.base, meeting, runner, options); });
    });
  };
  sweep.run(2, {}, 3);
  EXPECT_TRUE(tried);
  EXPECT_EQ(sweep.log.begun.size(), 6u);
}

// A job is killed after it has claimed a number and before its journal tells of it; meanwhile the others go
// on.
TEST(SweepArray, a_number_that_was_claimed_and_not_used_is_used_by_its_owner) {
  FunctionSweep sweep("sampler = \"random\"\n[budget]\ntrials = 6\n");
  std::filesystem::create_directories(sweep.sweep_folder() / "claims");
  write_file_atomically(sweep.sweep_folder() / "claims" / "000000", "worker 0\n");
  sweep.run(2, {}, 3);
  EXPECT_EQ(sweep.log.begun.size(), 5u);
  EXPECT_EQ(sweep.log.begun.count(0), 0u);
  sweep.run(2);
  EXPECT_EQ(sweep.log.begun.size(), 6u);
  EXPECT_EQ(sweep.log.begun[0], 1);
}

TEST(SweepArray, a_fresh_start_leaves_nothing_of_the_former_sweep) {
  FunctionSweep sweep("sampler = \"random\"\n[budget]\ntrials = 6\n");
  sweep.run(2);
  sweep.config.sweep.seed = 7;
  sweep.config.budget.trials = 4;
  SweepOptions options{.folder = sweep.sweep_folder(), .fresh = true};
  TrialRunner runner = function_runner(sweep.trials, sweep.log);
  run_meeting_ranks(2,
                    [&](Meeting& meeting) { run_sweep(sweep.config, sweep.base, meeting, runner, options); });
  EXPECT_EQ(sweep.history().trials().size(), 4u);
  EXPECT_FALSE(std::filesystem::exists(trial_folder(sweep.sweep_folder(), 5)));
  EXPECT_TRUE(std::filesystem::exists(trial_folder(sweep.sweep_folder(), 3)));
}

}  // namespace
}  // namespace trireme
