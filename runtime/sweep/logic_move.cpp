// What the sweep begins, asks for and ends.
//
// Free ranks go, in this order, to trials that an earlier start had begun, to paused ones that the scheduler
// takes up, to waiting ones, to new suggestions. A suggestion that does not fit into the free ranks waits,
// and further ones are drawn, while any could fit, until one fits or `look_ahead` wait: so no rank is idle
// while a trial that fits waits. Whoever waits begins before anything new is drawn, and a trial that has been
// overtaken by `patience` others per rank holds back new suggestions and taking-up until it has begun: so
// wide trials do not starve.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "sweep/logic.h"

namespace trireme {
namespace {

constexpr size_t look_ahead = 8;
constexpr int patience = 2;
// Of letters that are under way at the same time; MPI's tags reach to 32767 at least.
constexpr int tickets = 30000;

}  // namespace

std::string spent_budget(const BudgetConfig& budget, const History& history, double seconds) {
  // Not numbers that somebody has claimed and has not made a trial of: whoever has, will.
  auto trials = std::count_if(history.trials().begin(), history.trials().end(),
                              [](const Trial& trial) { return !trial.point.empty(); });
  if (budget.trials > 0 && trials >= budget.trials) return fmt::format("budget.trials = {}", budget.trials);
  if (budget.epochs > 0 && history.epochs() >= budget.epochs) {
    return fmt::format("budget.epochs = {}", budget.epochs);
  }
  if (budget.seconds > 0 && seconds >= budget.seconds)
    return fmt::format("budget.seconds = {}", budget.seconds);
  return "";
}

void SweepLogic::move(double now) {
  if (over_) return;
  now_ = now;
  if (phase_ == Phase::working) {
    while (pool_.free_ranks() > 0 && (begin_waiting(true) || take_up() || begin_waiting(false))) continue;
    look_at_failures();
    if (phase_ == Phase::working && wants_suggestion()) want_suggestion();
  }
  // Nothing runs or can be begun, whichever ranks were free: all are.
  bool nothing_left = !asking_ && pool_.free_ranks() == pool_.ranks() && !waits_for_holders();
  if (running_.empty() && (nothing_left || phase_ != Phase::working)) close();
}

bool SweepLogic::epochs_spent() const {
  return config_.budget.epochs > 0 && history_.epochs() >= config_.budget.epochs;
}

bool SweepLogic::begin_waiting(bool only_begun_before) {
  only_begun_before |= epochs_spent();
  for (const auto& [trial, overtaken] : waiting_) {
    if (only_begun_before && begun_before_.count(trial) == 0) continue;
    if (!pool_.fits(history_.trial(trial).width) || is_held(trial)) continue;
    begin(trial, nullptr);
    return true;
  }
  return false;
}

bool SweepLogic::holds_back() const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [&](const auto& one) { return one.second >= patience * pool_.ranks(); });
}

bool SweepLogic::take_up() {
  if (epochs_spent() || holds_back()) return false;
  Openings openings;
  openings.fits = [&](const Trial& trial) {
    return pool_.fits(trial.width) && history_.worker_of(trial.number) == setting_.worker;
  };
  openings.more_new = spent().empty() && exhausted_.empty();
  std::optional<TakeUp> taken = scheduler_.take_up(history_, openings);
  if (!taken) return false;
  begin(taken->trial, &*taken);
  return true;
}

std::string SweepLogic::spent() const {
  if (phase_ == Phase::draining) return fmt::format("budget.seconds = {}", config_.budget.seconds);
  return spent_budget(config_.budget, history_, 0);
}

bool SweepLogic::wants_suggestion() {
  if (asking_ || !exhausted_.empty() || !spent().empty() || holds_back()) return false;
  // All that wait do not fit, or else they would have begun. Nor would another where no trial can: it would
  // only have been drawn without knowing what is learned until it begins.
  bool idle = pool_.fits(setting_.least_width) && waiting_.size() < look_ahead;
  bool ahead = config_.sweep.suggest_ahead && waiting_.empty();
  return (idle || ahead) && scheduler_.wants_new(history_);
}

void SweepLogic::want_suggestion() {
  asking_ = setting_.claim ? setting_.claim() : static_cast<int64_t>(history_.trials().size());
  wanted_ = asking_;
  // By others, too.
  if (!asking_) exhausted_ = fmt::format("budget.trials = {} is spent", config_.budget.trials);
}

void SweepLogic::begin(int64_t trial, const TakeUp* taken) {
  const Trial& known = history_.trial(trial);
  int64_t source = taken != nullptr && kept_at_.count(taken->source) != 0 ? taken->source : -1;
  std::string config;
  try {
    config = source >= 0 ? setting_.trial_config(taken->point) : config_of(trial);
  } catch (const ConfigError& error) {
    fail_unbegun(trial, error.what());
    return;
  }
  auto kept = kept_at_.find(trial);
  std::vector<int> ranks = pool_.take(known.width, kept == kept_at_.end() ? -1 : kept->second);
  if (ranks.empty()) {
    throw Error(ExitCode::internal, fmt::format("trial {} of {} ranks does not fit", trial, known.width));
  }
  BeginRecord record{.trial = trial,
                     .attempt = known.attempts + (taken != nullptr ? 0 : 1),
                     .resumed = taken != nullptr,
                     .ranks = ranks,
                     .source = source,
                     .values = {},
                     .point = {}};
  if (source >= 0) {
    record.point = taken->point;
    record.values = literals_of(space_, taken->point);
  }
  write(std::move(record));
  waiting_.erase(trial);
  begun_before_.erase(trial);
  for (auto& [other, overtaken] : waiting_) overtaken += pool_.fits(history_.trial(other).width) ? 0 : 1;
  order(trial, ranks, source, std::move(config));
  Running& running = running_[trial];
  running.held.insert(ranks.begin(), ranks.end());
  running.ranks = std::move(ranks);
}

void SweepLogic::order(int64_t trial, const std::vector<int>& ranks, int64_t source, std::string config) {
  auto [group, unknown] = groups_.try_emplace(ranks);
  if (unknown) group->second.number = static_cast<int>(groups_.size());
  OrderLetter letter;
  letter.order = {.trial = trial,
                  .attempt = history_.trial(trial).attempts,
                  .config = std::move(config),
                  .run_directory = trial_folder(setting_.folder, trial).string(),
                  .saves = true,
                  .keeps_state = scheduler_.copies_states()};
  letter.ranks = ranks;
  letter.group = group->second.number;
  letter.make_group = !std::exchange(group->second.made, true);
  letter.own_at = fetch(trial, ranks.front(), true, letter.own_ticket);
  letter.source = source;
  if (source >= 0) letter.source_at = fetch(source, ranks.front(), false, letter.source_ticket);
  for (int rank : ranks) letters_.emplace_back(rank, letter);
}

// Has the state of `trial` sent to rank `to`. Returns the rank that has it, -1 for none.
int SweepLogic::fetch(int64_t trial, int to, bool moves, int& ticket) {
  auto kept = kept_at_.find(trial);
  if (kept == kept_at_.end()) return -1;
  int at = kept->second;
  if (at != to) {
    ticket = next_ticket_;
    next_ticket_ = (next_ticket_ + 1) % tickets;
    letters_.emplace_back(at, GiveLetter{.trial = trial, .to = to, .ticket = ticket, .moves = moves});
    if (moves) kept->second = to;
  }
  return at;
}

void SweepLogic::fail_unbegun(int64_t trial, const std::string& reason) {
  write(EndRecord{.trial = trial, .state = "failed", .reason = reason});
  ++failed_in_a_row_;
  last_failure_ = reason;
  waiting_.erase(trial);
  begun_before_.erase(trial);
  configs_.erase(trial);
  ended_.push_back(trial);
}

void SweepLogic::close() {
  stopped_ = phase_ == Phase::stopping;
  if (stopped_) {
    over_reason_ = stop_reason_;
  } else {
    std::string why = spent();
    over_reason_ = !why.empty()          ? why + " is spent"
                   : !exhausted_.empty() ? exhausted_
                                         : "the scheduler begins no further trial";
    for (const Trial& trial : history_.trials()) {
      bool mine = history_.worker_of(trial.number) == setting_.worker;
      bool left = trial.state == TrialState::paused || trial.state == TrialState::waiting;
      if (!mine || !left) continue;
      const char* reason = trial.state == TrialState::paused ? "not taken up before the sweep ended"
                                                             : "not begun before the sweep ended";
      write(EndRecord{.trial = trial.number, .state = "stopped", .reason = reason});
      ended_.push_back(trial.number);
    }
    waiting_.clear();
  }
  write(CloseRecord{.state = stopped_ ? "stopped" : "finished", .reason = over_reason_});
  over_ = true;
  int code = failure_ ? static_cast<int>(failure_->code()) : 0;
  send_all(LeaveLetter{.stopped = stopped_, .code = code, .message = failure_ ? failure_->what() : ""});
}

}  // namespace trireme
