// Whole sweeps on ranks as threads: whatever the sampler, the scheduler and the widths, no trial is lost or
// doubled.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "sweep/function_trials.h"
#include "sweep/sampler.h"
#include "sweep/scheduler.h"

namespace trireme {
namespace {

using testing::HasSubstr;

struct Counts {
  int finished = 0, stopped = 0, failed = 0, other = 0;
};
Counts counts_of(const History& history) {
  Counts counts;
  for (const Trial& trial : history.trials()) {
    switch (trial.state) {
      case TrialState::finished:
        ++counts.finished;
        break;
      case TrialState::stopped:
        ++counts.stopped;
        break;
      case TrialState::failed:
        ++counts.failed;
        break;
      default:
        ++counts.other;
    }
  }
  return counts;
}

// Each trial has been suggested once and ended for good once, ranks had one trial at a time, and what was
// trained is what the journal says.
void expect_whole(FunctionSweep& sweep, int64_t trials, int ranks) {
  std::map<int64_t, int> suggested, ended;
  std::map<int64_t, std::vector<int>> held;
  std::set<int> busy;
  for (const Record& record : sweep.records()) {
    if (auto* suggest = std::get_if<SuggestRecord>(&record.what)) ++suggested[suggest->trial];
    if (auto* begin = std::get_if<BeginRecord>(&record.what)) {
      EXPECT_EQ(static_cast<int>(begin->ranks.size()), sweep.history().trial(begin->trial).width);
      for (int rank : begin->ranks) {
        EXPECT_LT(rank, ranks);
        EXPECT_TRUE(busy.insert(rank).second) << "rank " << rank << " had two trials";
      }
      held[begin->trial] = begin->ranks;
    }
    if (auto* end = std::get_if<EndRecord>(&record.what)) {
      for (int rank : held[end->trial]) busy.erase(rank);
      held[end->trial].clear();
      if (end->state == "finished" || end->state == "stopped" || end->state == "failed") ++ended[end->trial];
    }
  }
  EXPECT_TRUE(busy.empty());
  ASSERT_EQ(suggested.size(), static_cast<size_t>(trials));
  for (const auto& [trial, times] : suggested) {
    EXPECT_EQ(times, 1) << "trial " << trial;
    EXPECT_EQ(ended[trial], 1) << "trial " << trial;
  }
  EXPECT_EQ(sweep.log.running, 0);
  History history = sweep.history();
  for (const Trial& trial : history.trials()) {
    const std::vector<int64_t>& trained = sweep.log.epochs[trial.number];
    ASSERT_EQ(trained.size(), trial.reports.size()) << "trial " << trial.number;
    for (size_t i = 0; i < trained.size(); ++i) EXPECT_EQ(trained[i], trial.reports[i].epoch);
  }
  EXPECT_TRUE(std::holds_alternative<CloseRecord>(sweep.records().back().what));
}

class SweepOfSamplers : public testing::TestWithParam<std::string> {};

TEST_P(SweepOfSamplers, runs_to_its_end_on_eight_ranks) {
  FunctionSweep sweep("sampler = \"" + GetParam() + "\"\n[sweep.grid]\npoints = 8\n[budget]\ntrials = 40\n");
  SweepResult result = sweep.run(8);
  EXPECT_FALSE(result.stopped);
  expect_whole(sweep, 40, 8);
  EXPECT_EQ(counts_of(sweep.history()).finished, 40);
  for (const auto& [trial, times] : sweep.log.begun) EXPECT_EQ(times, 1) << trial;
}

std::vector<std::string> names(const std::vector<std::string_view>& views) {
  return {views.begin(), views.end()};
}
std::string name_of_case(const testing::TestParamInfo<std::string>& info) { return info.param; }

INSTANTIATE_TEST_SUITE_P(All, SweepOfSamplers, testing::ValuesIn(names(sampler_names())), name_of_case);

class SweepOfSchedulers : public testing::TestWithParam<std::string> {};

TEST_P(SweepOfSchedulers, runs_to_its_end_on_eight_ranks) {
  FunctionSweep sweep("sampler = \"random\"\nscheduler = \"" + GetParam() +
                          "\"\n[sweep.set]\ntrain.epochs = 9\n[sweep.pbt]\npopulation = 12\n[sweep.ltfb]\n"
                          "population = 12\n[budget]\ntrials = 12\n",
                      FunctionSweep::changeable_space);
  sweep.trials.epochs = 9;
  SweepResult result = sweep.run(8);
  EXPECT_FALSE(result.stopped);
  expect_whole(sweep, 12, 8);
  Counts counts = counts_of(sweep.history());
  EXPECT_EQ(counts.failed + counts.other, 0);
  EXPECT_GE(counts.finished, 1);
}

INSTANTIATE_TEST_SUITE_P(All, SweepOfSchedulers, testing::ValuesIn(names(scheduler_names())), name_of_case);

// What a begin record names as the source is what the trial began from.
TEST(SweepThreads, states_go_from_rank_to_rank) {
  FunctionSweep sweep(
      "sampler = \"random\"\nscheduler = \"pbt\"\n[sweep.set]\ntrain.epochs = 8\n[sweep.pbt]\npopulation = "
      "10\n"
      "[budget]\ntrials = 10\n",
      FunctionSweep::changeable_space);
  sweep.trials.epochs = 8;
  sweep.run(4);
  expect_whole(sweep, 10, 4);
  // What each start from memory may have found: what the source's rank keeps, and where the source runs, what
  // it has left there since, if its end is not written down yet.
  std::map<int64_t, std::vector<std::set<int64_t>>> sources;
  std::map<int64_t, std::set<int64_t>> made_by;  // who may have made the state that a trial's rank keeps
  std::set<int64_t> running;
  int copies = 0, elsewhere = 0;
  std::map<int64_t, int> rank_of;
  for (const Record& record : sweep.records()) {
    if (auto* begin = std::get_if<BeginRecord>(&record.what)) {
      if (begin->resumed) {
        int64_t from = begin->source >= 0 ? begin->source : begin->trial;
        std::set<int64_t> may = made_by.at(from);
        if (running.contains(from)) may.insert(from);
        sources[begin->trial].push_back(may);
        copies += begin->source >= 0 ? 1 : 0;
        elsewhere += rank_of.at(from) != begin->ranks.front() ? 1 : 0;
        made_by[begin->trial] = may;
      }
      rank_of[begin->trial] = begin->ranks.front();
      running.insert(begin->trial);
    }
    if (auto* end = std::get_if<EndRecord>(&record.what)) {
      running.erase(end->trial);
      if (end->state == "paused" || end->state == "finished") made_by[end->trial] = {end->trial};
    }
  }
  EXPECT_GT(copies, 0);
  EXPECT_GT(elsewhere, 0);
  for (const auto& [trial, may] : sources) {
    const std::vector<int64_t>& taken = sweep.log.taken[trial];
    ASSERT_EQ(taken.size(), may.size()) << "trial " << trial;
    for (size_t i = 0; i < may.size(); ++i)
      EXPECT_TRUE(may[i].contains(taken[i])) << "trial " << trial << ", start " << i;
  }
}

TEST(SweepThreads, widths_are_packed_and_each_group_is_as_wide_as_said) {
  FunctionSweep sweep(
      "sampler = \"random\"\n[budget]\ntrials = 60\n",
      std::string(FunctionSweep::default_space) + "sweep.ranks_per_trial = { choice = [1, 2, 4] }\n");
  std::atomic<int> most = 0;
  sweep.trials.at_epoch = [&](const TrialOrder&, int64_t, int) {
    int now = sweep.log.running;
    int before = most;
    while (now > before && !most.compare_exchange_weak(before, now)) continue;
  };
  sweep.run(8);
  expect_whole(sweep, 60, 8);
  std::set<int> widths;
  History history = sweep.history();
  for (const Trial& trial : history.trials()) widths.insert(trial.width);
  EXPECT_EQ(widths, (std::set<int>{1, 2, 4}));
  EXPECT_EQ(most, 8);
}

TEST(SweepThreads, trials_that_throw_or_return_nan_have_failed_and_the_others_go_on) {
  FunctionSweep sweep("sampler = \"random\"\nranks_per_trial = 2\n[budget]\ntrials = 30\n");
  sweep.trials.at_epoch = [](const TrialOrder& order, int64_t epoch, int) {
    if (order.trial % 5 == 1 && epoch == 2) throw std::runtime_error("a bad combination");
  };
  auto loss = sweep.trials.loss;
  std::mutex mutex;
  std::map<double, int64_t> seen;
  sweep.trials.loss = [&](const Config& config, int64_t epoch) {
    return config.data.batch % 3 == 0 ? std::nan("") : loss(config, epoch);
  };
  sweep.run(8);
  History history = sweep.history();
  ASSERT_EQ(history.trials().size(), 30u);
  int nans = 0;
  for (const Trial& trial : history.trials()) {
    bool is_nan =
        static_cast<int64_t>(trial.point.at(*make_space(sweep.config, sweep.base).find("data.batch"))) % 3 ==
        0;
    if (is_nan) {
      ++nans;
      EXPECT_EQ(trial.state, TrialState::failed);
      EXPECT_EQ(trial.reason, "validation.loss is nan");
    } else if (trial.number % 5 == 1) {
      EXPECT_EQ(trial.state, TrialState::failed);
      EXPECT_EQ(trial.reason, "a bad combination");
      EXPECT_EQ(trial.epochs(), 1);
    } else {
      EXPECT_EQ(trial.state, TrialState::finished) << trial.number;
    }
  }
  EXPECT_GT(nans, 0);
}

TEST(SweepThreads, a_stop_saves_what_runs_and_the_next_start_goes_on) {
  FunctionSweep sweep("sampler = \"random\"\n[sweep.set]\ntrain.epochs = 6\n[budget]\ntrials = 40\n");
  sweep.trials.epochs = 6;
  int starts = 0;
  for (bool stopped = true; stopped; ++starts) {
    int polls = 0;
    // After some of the controller's looks: about 20 a second.
    SweepResult result = sweep.run(4, [&] { return ++polls > 2; });
    stopped = result.stopped;
    ASSERT_LT(starts, 100);
  }
  expect_whole(sweep, 40, 4);
  EXPECT_GT(starts, 1);
  EXPECT_EQ(counts_of(sweep.history()).finished, 40);
  History history = sweep.history();
  for (const Trial& trial : history.trials()) EXPECT_EQ(trial.attempts, 1);
  // Once more: nothing is left to do, and nothing is done.
  size_t before = sweep.records().size();
  EXPECT_TRUE(sweep.run(4).was_finished);
  EXPECT_EQ(sweep.records().size(), before);
  // A larger budget: it goes on.
  sweep.config.budget.trials = 44;
  EXPECT_FALSE(sweep.run(4).stopped);
  expect_whole(sweep, 44, 4);
}

TEST(SweepThreads, a_stop_that_was_asked_for_before_it_began_begins_nothing) {
  FunctionSweep sweep("sampler = \"random\"\n[budget]\ntrials = 4\n");
  EXPECT_TRUE(sweep.run(2, [] { return true; }).stopped);
  EXPECT_TRUE(sweep.history().trials().empty());
  EXPECT_FALSE(sweep.run(2).stopped);
  expect_whole(sweep, 4, 2);
}

TEST(SweepThreads, another_sweep_in_the_folder_is_refused_with_what_differs) {
  FunctionSweep sweep("sampler = \"random\"\n[budget]\ntrials = 3\n");
  sweep.run(2);
  size_t before = sweep.records().size();
  sweep.config.sweep.seed = 2;
  try {
    sweep.run(2);
    FAIL() << "it went on";
  } catch (const Error& error) {  // of either rank: the other is told by a letter
    EXPECT_EQ(error.code(), ExitCode::bad_config);
    EXPECT_THAT(error.what(), HasSubstr("sweep.seed is 2, was 1"));
    EXPECT_THAT(error.what(), HasSubstr("--fresh"));
  }
  EXPECT_EQ(sweep.records().size(), before);
}

TEST(SweepThreads, a_trial_wider_than_the_job_is_refused) {
  FunctionSweep sweep("sampler = \"random\"\nranks_per_trial = 4\n[budget]\ntrials = 3\n");
  EXPECT_THROW(sweep.run(2), Error);  // of either rank
}

TEST(SweepThreads, what_breaks_the_controller_ends_all_ranks) {
  FunctionSweep sweep("sampler = \"random\"\n[budget]\ntrials = 300\n");
  sweep.publish = [](const SweepView&, bool) {};
  std::filesystem::create_directories(sweep.journal());  // a folder in the journal's place
  EXPECT_THROW(sweep.run(4), Error);
}

TEST(SweepThreads, the_view_that_is_published_last_is_whole) {
  FunctionSweep sweep("sampler = \"random\"\n[budget]\ntrials = 10\n");
  size_t trials = 0;
  int lasts = 0;
  sweep.publish = [&](const SweepView& view, bool last) {
    trials = view.history.trials().size();
    lasts += last ? 1 : 0;
  };
  sweep.run(3);
  EXPECT_EQ(trials, 10u);
  EXPECT_EQ(lasts, 1);
}

TEST(SweepThreads, checkpoints_of_the_best_are_kept) {
  for (std::string keep : {"best", "all", "none"}) {
    FunctionSweep sweep("sampler = \"random\"\nkeep_checkpoints = \"" + keep + "\"\n[budget]\ntrials = 10\n");
    sweep.run(3);
    std::set<int64_t> kept;
    for (int64_t trial = 0; trial < 10; ++trial) {
      std::string name = "000" + std::to_string(trial);
      if (std::filesystem::exists(sweep.sweep_folder() / "trials" / name / "checkpoints")) kept.insert(trial);
    }
    std::vector<int64_t> best = pareto_front(sweep.history().trials());
    std::set<int64_t> all{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    std::set<int64_t> wanted = keep == "all"    ? all
                               : keep == "best" ? std::set(best.begin(), best.end())
                                                : std::set<int64_t>{};
    EXPECT_EQ(kept, wanted) << keep;
  }
}

}  // namespace
}  // namespace trireme
