// What a sweep does next: a state machine without threads, clocks or messages, which the controller feeds and
// tests drive by hand. Everything is written to the journal before it takes effect.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "config/sweep_config.h"
#include "sweep/history.h"
#include "sweep/letters.h"
#include "sweep/placement.h"
#include "sweep/restart.h"
#include "sweep/scheduler.h"
#include "sweep/space.h"

namespace trireme {

// A suggestion, worked out to what a trial needs.
struct Proposal {
  SuggestRecord record;
  std::string config;  // complete TOML of the training run
  std::string error;   // not empty: why there is no such config
};

// Key and TOML literal of each active parameter.
std::vector<std::pair<std::string, std::string>> literals_of(const Space& space, const Point& point);

// The run directory of a trial: FOLDER/trials/0012.
std::filesystem::path trial_folder(const std::filesystem::path& folder, int64_t trial);

// "budget.trials = 100": which part of the budget is spent, empty for none. seconds: over all starts.
std::string spent_budget(const BudgetConfig& budget, const History& history, double seconds);

// How busy the ranks have been since the sweep's start.
struct Utilisation {
  double busy_seconds = 0;                      // of all ranks: an order's coming to the end's going
  std::vector<double> idle_seconds;             // each gap between an end and the next order on a rank
  double idle_quantile(double quantile) const;  // of idle_seconds; 0 without any
};

class SweepLogic {
 public:
  struct Setting {
    std::vector<int> nodes;        // of each rank
    std::filesystem::path folder;  // the sweep's
    int64_t worker = 0;            // of a job array
    int least_width = 1;           // of any trial
    std::string identity;          // for the start record
    // The TOML of a trial's training run. Throws ConfigError where the values do not go together.
    std::function<std::string(const Point&)> trial_config;
    // Writes a record; gives it back numbered and dated.
    std::function<Record(Record)> journal;
    // The number of a new trial, where several jobs may work on the sweep; nothing: the budget has no more.
    // And what becomes of a number that came to no trial. Without them: the next one.
    std::function<std::optional<int64_t>()> claim = {};
    std::function<void(int64_t)> give_back = [](int64_t) {};
  };
  // `past`: what the journal holds, already in `history`. All references outlive it.
  SweepLogic(const SweepConfig& config, const Space& space, Scheduler& scheduler, History& history,
             Setting setting);

  // Begins, or goes on after earlier starts. `now` here and below: seconds since 1970.
  void start(const RestartState& restart, double now);
  // From worker `rank`.
  void receive(int rank, const SweepLetter& letter, double now);
  // The answer to wanted(); nothing: the sampler has no further point.
  void suggested(std::optional<Proposal> proposal, double now);
  // Running trials save their state and the sweep ends, to be gone on with.
  void stop(const std::string& reason, double now);
  // An error ends the sweep: of the trials that run nobody is to blame, as far as the journal takes that.
  void abandon();
  // Looks at the clock.
  void tick(double now);

  // What is to be done, once, in this order: letters to workers; the number of the trial for which a
  // suggestion is wanted.
  std::vector<std::pair<int, SweepLetter>> take_letters() { return std::exchange(letters_, {}); }
  std::optional<int64_t> take_wanted() { return std::exchange(wanted_, std::nullopt); }
  // Trials that have ended for good since the last call: their checkpoints may go.
  std::vector<int64_t> take_ended() { return std::exchange(ended_, {}); }

  bool over() const { return over_; }
  bool stopped() const { return stopped_; }  // over, to be gone on with
  const std::string& over_reason() const { return over_reason_; }
  // It was stopped because it cannot go on, and whoever has started it is to be told this.
  const std::optional<Error>& failure() const { return failure_; }
  const History& history() const { return history_; }
  const Utilisation& utilisation() const { return utilisation_; }

 private:
  struct Running {
    std::vector<int> ranks;
    std::set<int> held;           // have not ended yet
    std::optional<TrialEnd> end;  // of its rank 0, or of the first that failed
    bool thrown = false;          // a rank's part ended by an exception,
    double thrown_at = 0;         // then
    std::string failure;          // what is wrong with its figures
    bool reported = false;        // since it began
    bool told_to_end = false;     // by a verdict
    double seconds = 0;
  };
  struct Held {
    double since = 0;
    double until = 0;  // then it is tried again
  };
  struct Group {
    int number = 0;
    bool made = false;
  };
  enum class Phase { working, draining, stopping };  // draining: budget.seconds is spent

  void write(decltype(Record::what) what);
  // Begins and asks for whatever can be, then closes the sweep if nothing is left.
  void move(double now);
  bool begin_waiting(bool only_begun_before);
  bool take_up();
  void begin(int64_t trial, const TakeUp* taken);
  void order(int64_t trial, const std::vector<int>& ranks, int64_t source, std::string config);
  int fetch(int64_t trial, int to, bool moves, int& ticket);
  void fail_unbegun(int64_t trial, const std::string& reason);
  bool wants_suggestion();
  void want_suggestion();
  bool epochs_spent() const;
  std::string spent() const;
  bool holds_back() const;
  void look_at_budget(double now);
  void look_at_broken_groups(double now);
  void refuse_wide_trials() const;
  void look_at_failures();
  void hold(int64_t trial, const std::string& reason, double now);
  bool waits_for_holders() const;
  bool is_held(int64_t trial) const { return held_.count(trial) != 0 && held_.at(trial).until > now_; }
  void close();
  void report(int rank, const ReportLetter& letter);
  void end(int rank, const EndLetter& letter, double now);
  void end_trial(int64_t trial, Running& running, double now);
  void count_crash(int64_t trial, const Running& running, std::string& state, std::string& reason);
  void look_at_place(int64_t trial, const TrialEnd& end, double now);
  void keep_or_forget(int64_t trial, int keeper);
  std::vector<double> scores_of(const TrialMeasure& measure, std::string& failure) const;
  std::string config_of(int64_t trial);
  void send_all(const SweepLetter& letter);

  const SweepConfig& config_;
  const Space& space_;
  Scheduler& scheduler_;
  History& history_;
  Setting setting_;
  RankPool pool_;
  Phase phase_ = Phase::working;
  std::string stop_reason_;
  double now_ = 0;  // as of the last call
  double started_ = 0;
  double earlier_seconds_ = 0;
  std::map<int64_t, int> waiting_;  // this job's trials that wait: how often each was overtaken
  std::set<int64_t>
      begun_before_;  // of these, such as have been begun: by an earlier start, or before a crash
  std::map<int64_t, int> crashes_;       // of trials: in a row, at the same place
  std::map<int64_t, int64_t> furthest_;  // epochs that trials have reported
  std::map<int64_t, Held> held_;         // waiting ones, by another start's processes
  int failed_in_a_row_ = 0;              // without a report of anybody in between,
  std::string last_failure_;             // and why the last of them
  int not_begun_ = 0;                    // steps in a row that could not be started
  std::map<int64_t, Running> running_;
  std::map<int64_t, std::string> configs_;  // of waiting ones
  std::map<int64_t, int> kept_at_;          // the rank that keeps a trial's state
  std::map<std::vector<int>, Group> groups_;
  int next_ticket_ = 0;
  std::optional<int64_t> asking_;  // the trial for which a suggestion is being worked out
  std::string exhausted_;          // not empty: why no further suggestion is to be had
  bool over_ = false;
  bool stopped_ = false;
  std::string over_reason_;
  std::optional<Error> failure_;
  Utilisation utilisation_;
  std::vector<std::pair<int, SweepLetter>> letters_;
  std::optional<int64_t> wanted_;
  std::vector<int64_t> ended_;
};

}  // namespace trireme
