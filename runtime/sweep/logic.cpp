#include "sweep/logic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace trireme {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

// So long after one rank of a trial has failed alone the others are taken to wait for it for ever.
constexpr double lonely_seconds = 30;
// So many steps in a row that could not be started are no misfortune of one of them.
constexpr int most_not_begun = 3;
// Between two attempts at a trial whose folder another start's processes hold, and how long it is tried.
constexpr double held_pause_seconds = 1;
constexpr double longest_held_seconds = 300;

// What the sweep's record calls the end of a run.
const char* state_of(TrialEnd::State state) {
  switch (state) {
    case TrialEnd::State::finished:
      return "finished";
    case TrialEnd::State::stopped:
      return "stopped";
    case TrialEnd::State::paused:
      return "paused";
    case TrialEnd::State::failed:
      return "failed";
    case TrialEnd::State::interrupted:
    case TrialEnd::State::not_begun:
    case TrialEnd::State::hindered:
      return "interrupted";
    case TrialEnd::State::crashed:
      return "crashed";
  }
  throw Error(ExitCode::internal, "an end of a trial without a name");
}

}  // namespace

std::vector<std::pair<std::string, std::string>> literals_of(const Space& space, const Point& point) {
  std::vector<std::pair<std::string, std::string>> literals;
  for (size_t i = 0; i < space.size(); ++i) {
    if (!std::isnan(point.at(i))) literals.emplace_back(space[i].key, space.literal(i, point[i]));
  }
  return literals;
}

double Utilisation::idle_quantile(double quantile) const {
  if (idle_seconds.empty()) return 0;
  std::vector<double> sorted = idle_seconds;
  auto place = static_cast<std::ptrdiff_t>(quantile * static_cast<double>(sorted.size() - 1));
  std::nth_element(sorted.begin(), sorted.begin() + place, sorted.end());
  return sorted[static_cast<size_t>(place)];
}

SweepLogic::SweepLogic(const SweepConfig& config, const Space& space, Scheduler& scheduler, History& history,
                       Setting setting)
    : config_(config),
      space_(space),
      scheduler_(scheduler),
      history_(history),
      setting_(std::move(setting)),
      pool_(setting_.nodes) {}

void SweepLogic::write(decltype(Record::what) what) {
  Record record;
  record.what = std::move(what);
  history_.apply(setting_.journal(std::move(record)), setting_.worker);
}

std::filesystem::path trial_folder(const std::filesystem::path& folder, int64_t trial) {
  return folder / "trials" / fmt::format("{:04}", trial);
}

void SweepLogic::start(const RestartState& restart, double now) {
  refuse_wide_trials();
  started_ = now;
  earlier_seconds_ = restart.seconds;
  furthest_ = restart.furthest;
  for (const EndRecord& end : restart.ends) write(end);
  crashes_ = restart.crashes;
  write(StartRecord{.sweep = setting_.identity,
                    .ranks = pool_.ranks(),
                    .version = TRIREME_VERSION,
                    .steps = config_.sweep.launcher == "steps"});
  for (const Trial& trial : history_.trials()) {
    if (trial.state != TrialState::waiting || history_.worker_of(trial.number) != setting_.worker) continue;
    waiting_[trial.number] = 0;
    if (trial.attempts > 0 || !trial.reports.empty()) begun_before_.insert(trial.number);
    auto crashes = restart.crashes.find(trial.number);
    if (crashes != restart.crashes.end() && crashes->second > config_.sweep.retries) {
      auto reason = restart.reasons.find(trial.number);
      fail_unbegun(trial.number,
                   fmt::format("crashed {} times{}", crashes->second,
                               reason == restart.reasons.end() ? "" : fmt::format(" ({})", reason->second)));
    }
  }
  look_at_budget(now);
  move(now);
}

void SweepLogic::receive(int rank, const SweepLetter& letter, double now) {
  std::visit(
      Overloaded{[&](const ReadyLetter&) { pool_.release(rank); },
                 [&](const ReportLetter& report_letter) { report(rank, report_letter); },
                 [&](const EndLetter& end_letter) { end(rank, end_letter, now); },
                 [&](const AskedToStopLetter&) { stop(fmt::format("rank {} was asked to", rank), now); },
                 [&](const auto&) {
                   throw CommError("rank {} sent the controller a letter that is not for it", rank);
                 }},
      letter);
  move(now);
}

void SweepLogic::suggested(std::optional<Proposal> proposal, double now) {
  int64_t number = asking_.value();
  asking_.reset();
  // What comes too late is not written down: it is worked out again when the sweep goes on.
  if (proposal && phase_ == Phase::working && !over_) {
    int64_t trial = proposal->record.trial;
    write(std::move(proposal->record));
    waiting_[trial] = 0;
    if (proposal->error.empty()) {
      configs_[trial] = std::move(proposal->config);
    } else {
      fail_unbegun(trial, proposal->error);
    }
  }
  if (!proposal) exhausted_ = "the sampler has no further point";
  if (static_cast<int64_t>(history_.trials().size()) <= number) setting_.give_back(number);
  move(now);
}

void SweepLogic::stop(const std::string& reason, double now) {
  if (phase_ == Phase::stopping || over_) return;
  bool told = phase_ == Phase::draining;
  phase_ = Phase::stopping;
  stop_reason_ = reason;
  if (!told) send_all(StopLetter{});
  move(now);
}

void SweepLogic::tick(double now) {
  look_at_budget(now);
  look_at_broken_groups(now);
  move(now);
}

void SweepLogic::look_at_budget(double now) {
  if (phase_ != Phase::working || over_ || config_.budget.seconds <= 0) return;
  if (earlier_seconds_ + now - started_ < config_.budget.seconds) return;
  phase_ = Phase::draining;
  send_all(StopLetter{});
}

void SweepLogic::look_at_broken_groups(double now) {
  for (const auto& [trial, running] : running_) {
    if (!running.thrown || now - running.thrown_at < lonely_seconds) continue;
    bool hindered = running.end->state == TrialEnd::State::hindered;
    std::string reason = running.end->reason;
    int other = *running.held.begin();
    int64_t number = trial;
    write(EndRecord{.trial = number, .state = hindered ? "interrupted" : "crashed", .reason = reason});
    running_.erase(number);
    if (hindered) throw IoError("trial {}: {}", number, reason);
    throw CommError(
        "trial {}: a rank has failed ({}), and rank {} of its group has not come back within {:.0f} s: it "
        "waits for the other in vain. The sweep goes on when it is started again",
        number, reason, other, lonely_seconds);
  }
}

void SweepLogic::send_all(const SweepLetter& letter) {
  for (int rank = 0; rank < pool_.ranks(); ++rank) letters_.emplace_back(rank, letter);
}

std::vector<double> SweepLogic::scores_of(const TrialMeasure& measure, std::string& failure) const {
  std::vector<double> scores;
  for (const ObjectiveConfig& objective : config_.objectives) {
    auto found = measure.figures.find(objective.metric);
    if (found == measure.figures.end()) {
      std::string names;
      for (const auto& [name, value] : measure.figures) names += (names.empty() ? "" : ", ") + name;
      failure =
          fmt::format("the run measures no {} (but {})", objective.metric, names.empty() ? "nothing" : names);
      return {};
    }
    if (!std::isfinite(found->second)) {
      failure = fmt::format("{} is {}", objective.metric, found->second);
      return {};
    }
    scores.push_back(objective.maximized ? -found->second : found->second);
  }
  return scores;
}

void SweepLogic::report(int rank, const ReportLetter& letter) {
  auto found = running_.find(letter.trial);
  if (found == running_.end() || found->second.ranks.front() != rank) {
    throw CommError("rank {} reports trial {}, which it does not run", rank, letter.trial);
  }
  const TrialMeasure& measure = letter.measure;
  std::vector<double> scores = scores_of(measure, found->second.failure);
  if (scores.empty()) {
    letters_.emplace_back(rank, VerdictLetter{letter.trial, {Verdict::Kind::stop, found->second.failure}});
    return;
  }
  not_begun_ = 0;
  // A run of less than an epoch counts as its first.
  write(ReportRecord{.trial = letter.trial,
                     .epoch = std::max<int64_t>(measure.epoch, 1),
                     .step = measure.step,
                     .seconds = measure.seconds,
                     .figures = {measure.figures.begin(), measure.figures.end()},
                     .scores = std::move(scores)});
  failed_in_a_row_ = 0;
  // A trial that says again what it has said before a crash has got no further.
  int64_t epoch = history_.trial(letter.trial).epochs();
  int64_t& furthest = furthest_[letter.trial];
  found->second.reported |= epoch > furthest;
  furthest = std::max(furthest, epoch);
  Verdict verdict = scheduler_.judge(history_, letter.trial);
  if (verdict.kind != Verdict::Kind::go_on) {
    found->second.told_to_end = true;
    write(DecisionRecord{.trial = letter.trial,
                         .epoch = history_.trial(letter.trial).epochs(),
                         .verdict = verdict.kind == Verdict::Kind::stop ? "stop" : "pause",
                         .reason = verdict.reason});
  }
  letters_.emplace_back(rank, VerdictLetter{letter.trial, std::move(verdict)});
}

void SweepLogic::end(int rank, const EndLetter& letter, double now) {
  auto found = running_.find(letter.trial);
  if (found == running_.end() || found->second.held.erase(rank) == 0) {
    throw CommError("rank {} ends trial {}, which it does not run", rank, letter.trial);
  }
  Running& running = found->second;
  utilisation_.busy_seconds += letter.seconds;
  if (letter.idle_seconds >= 0) utilisation_.idle_seconds.push_back(letter.idle_seconds);
  running.seconds = std::max(running.seconds, letter.seconds);
  if (letter.thrown && !std::exchange(running.thrown, true)) running.thrown_at = now;
  // A failure of any rank is the trial's; else its rank 0 tells.
  auto is_failure = [](const TrialEnd& end) {
    return end.state == TrialEnd::State::failed || end.state == TrialEnd::State::hindered;
  };
  bool failed = is_failure(letter.end);
  bool has_failed = running.end && is_failure(*running.end);
  if (!has_failed && (failed || !running.end || rank == running.ranks.front())) running.end = letter.end;
  if (!running.held.empty()) return;
  Running done = std::move(running);
  running_.erase(found);
  end_trial(letter.trial, done, now);
}

void SweepLogic::end_trial(int64_t trial, Running& running, double now) {
  TrialEnd& how = *running.end;
  std::string state = state_of(how.state);
  std::string reason = how.reason;
  if (!running.failure.empty()) {
    state = "failed";
    reason = running.failure;
  } else if (how.state == TrialEnd::State::finished && history_.trial(trial).scores.empty()) {
    state = "failed";
    reason = fmt::format("it ended without a validation: there is no {}", config_.objectives.front().metric);
  } else if (how.held) {
    state = "interrupted";
  } else if (how.state == TrialEnd::State::interrupted && phase_ == Phase::draining) {
    state = "stopped";
    reason = "budget.seconds is spent";
  }
  count_crash(trial, running, state, reason);
  write(EndRecord{
      .trial = trial, .state = state, .reason = reason, .seconds = running.seconds, .steps = how.steps});
  if (state == "failed" && history_.trial(trial).reports.empty()) {
    ++failed_in_a_row_;
    last_failure_ = reason;
  }
  if (running.thrown) groups_[running.ranks].made = false;
  for (int rank : running.ranks) pool_.release(rank);
  const Trial& now_is = history_.trial(trial);
  if (now_is.state == TrialState::waiting) {
    waiting_[trial] = 0;
    begun_before_.insert(trial);
  }
  if (now_is.is_over()) ended_.push_back(trial);
  keep_or_forget(trial, running.ranks.front());
  if (how.held) {
    hold(trial, how.reason, now);
  } else {
    held_.erase(trial);
  }
  look_at_place(trial, how, now);
  // A rank may see the signal that ends the job before the controller does.
  if (how.state == TrialEnd::State::interrupted && state == "interrupted") stop("a trial was asked to", now);
}

// One that crashes too often at the same place, without a report in between, has failed.
void SweepLogic::count_crash(int64_t trial, const Running& running, std::string& state, std::string& reason) {
  if (state == "crashed") {
    if (running.told_to_end) return;  // what had been decided happens
    int& crashes = crashes_[trial];
    crashes = running.reported ? 1 : crashes + 1;
    if (crashes <= config_.sweep.retries) return;
    state = "failed";
    if (crashes > 1) reason = fmt::format("crashed {} times: {}", crashes, reason);
  }
  if (state != "interrupted") crashes_.erase(trial);
}

// Where all trials to come would fare like this one, the sweep ends before they are spent.
void SweepLogic::look_at_place(int64_t trial, const TrialEnd& end, double now) {
  not_begun_ = end.state == TrialEnd::State::not_begun ? not_begun_ + 1 : 0;
  if (failure_) return;
  if (end.state == TrialEnd::State::hindered) {
    failure_ = IoError("trial {}: {}", trial, end.reason);
    stop(fmt::format("trial {} could not write", trial), now);
  }
  if (not_begun_ < most_not_begun) return;
  std::string text =
      fmt::format("{} steps in a row could not be started; the last one: {}", not_begun_, end.reason);
  if (!config_.sweep.srun_options.empty()) {
    text += fmt::format(". See {}: sweep.srun_options", config_.where("sweep.srun_options"));
  }
  failure_ = ConfigError("{}", text);
  stop("steps could not be started", now);
}

// Processes of a former start that still train it end by themselves: it waits for that a while.
void SweepLogic::hold(int64_t trial, const std::string& reason, double now) {
  Held& held = held_.try_emplace(trial, Held{now, now}).first->second;
  held.until = now + held_pause_seconds;
  if (now - held.since < longest_held_seconds || failure_) return;
  failure_ = Error(ExitCode::stopped, fmt::format("trial {}: {}", trial, reason));
  stop(fmt::format("trial {} is in other hands", trial), now);
}

bool SweepLogic::waits_for_holders() const {
  return std::any_of(waiting_.begin(), waiting_.end(), [&](const auto& one) { return is_held(one.first); });
}

void SweepLogic::abandon() {
  try {
    for (const auto& [trial, running] : running_) {
      write(EndRecord{.trial = trial, .state = "interrupted", .reason = "the sweep ended by an error"});
    }
  } catch (const Error&) {
    // Those of which it takes no more count a crash at the next start.
  }
}

void SweepLogic::refuse_wide_trials() const {
  for (const Trial& trial : history_.trials()) {
    if (trial.point.empty() || trial.is_over() || trial.width <= pool_.ranks()) continue;
    if (history_.worker_of(trial.number) != setting_.worker) continue;
    throw ConfigError(
        "{}: trial {}, which is not over, is one of sweep.ranks_per_trial = {}, but the sweep has {} rank{}: "
        "start it on more",
        config_.where("sweep.ranks_per_trial"), trial.number, trial.width, pool_.ranks(),
        pool_.ranks() == 1 ? "" : "s");
  }
}

// A budget that only trials which train can spend would never be spent.
void SweepLogic::look_at_failures() {
  constexpr int most = 100;
  if (failed_in_a_row_ < most || config_.budget.trials > 0 || failure_ || phase_ != Phase::working) return;
  failure_ = ConfigError(
      "{} trials in a row have failed before their first validation, the last one so: {}; change what makes "
      "them fail, or give a budget.trials",
      failed_in_a_row_, last_failure_);
  phase_ = Phase::stopping;
  stop_reason_ = "no trial can be trained";
  send_all(StopLetter{});
}

void SweepLogic::keep_or_forget(int64_t trial, int keeper) {
  TrialState state = history_.trial(trial).state;
  if (scheduler_.copies_states() && (state == TrialState::paused || state == TrialState::finished)) {
    kept_at_[trial] = keeper;
    return;
  }
  if (kept_at_.erase(trial) != 0) letters_.emplace_back(keeper, ForgetLetter{trial});
}

std::string SweepLogic::config_of(int64_t trial) {
  auto found = configs_.find(trial);
  if (found == configs_.end()) return setting_.trial_config(history_.trial(trial).point);
  std::string config = std::move(found->second);
  configs_.erase(found);
  return config;
}

}  // namespace trireme
