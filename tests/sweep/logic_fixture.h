// A sweep's logic driven by hand: letters in, letters out, the journal in memory, time by hand.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "sweep/functions.h"
#include "sweep/logic.h"

namespace trireme {

// Answers what the test has put into it; else every trial goes on and none is taken up.
struct ScriptedScheduler final : Scheduler {
  std::map<std::pair<int64_t, int64_t>, Verdict> verdicts;  // by trial and epoch
  std::deque<TakeUp> take_ups;
  bool new_ones = true;
  bool copies = false;

  Verdict judge(const History& history, int64_t trial) override {
    auto found = verdicts.find({trial, history.trial(trial).epochs()});
    return found == verdicts.end() ? Verdict{} : found->second;
  }
  std::optional<TakeUp> take_up(const History& history, const Openings& openings) override {
    if (take_ups.empty()) return std::nullopt;
    const Trial& trial = history.trial(take_ups.front().trial);
    if (trial.state != TrialState::paused || !openings.fits(trial)) return std::nullopt;
    TakeUp taken = take_ups.front();
    take_ups.pop_front();
    return taken;
  }
  bool wants_new(const History&) override { return new_ones; }
  bool copies_states() const override { return copies; }
};

// One sweep over "x" in [0, 1] and the width of trials.
class LogicByHand {
 public:
  explicit LogicByHand(int ranks, std::vector<Record> past = {}) : ranks_(ranks), records(std::move(past)) {
    config.objectives.emplace_back().metric = "validation.loss";
    config.budget.trials = 1000;
    for (const Record& record : records) history.apply(record);
  }
  std::function<std::optional<std::string>(int64_t)> note_of;  // of a crash before this start
  void start() {
    SweepLogic::Setting setting;
    setting.nodes.assign(static_cast<size_t>(ranks_), 0);
    setting.folder = "sweep";
    setting.identity = "same";
    setting.least_width = least_width;
    setting.trial_config = [this](const Point& point) {
      if (point.at(0) == bad_value) throw ConfigError("x = {} does not go", bad_value);
      return "x = " + std::to_string(point.at(0));
    };
    setting.journal = [this](Record record) {
      record.number = static_cast<int64_t>(records.size());
      record.time = now;
      records.push_back(record);
      return record;
    };
    RestartState restart = restart_state(records, note_of);
    logic = std::make_unique<SweepLogic>(config, space, scheduler, history, std::move(setting));
    logic->start(restart, now);
    collect();
  }
  void ready(int rank) { receive(rank, ReadyLetter{}); }
  void all_ready() {
    for (int rank = 0; rank < ranks_; ++rank) ready(rank);
  }
  void receive(int rank, const SweepLetter& letter) {
    logic->receive(rank, letter, now);
    collect();
  }
  // Answers a wish for a suggestion. Returns its trial; -1 where none was wished for.
  int64_t suggest(int width = 1, double x = 0.5) {
    if (!wanted) return -1;
    Proposal proposal;
    proposal.record = {.trial = *std::exchange(wanted, std::nullopt),
                       .values = {{"x", std::to_string(x)}},
                       .point = {x},
                       .width = width,
                       .based_on = history.records(),
                       .parent = -1};
    proposal.config = "x = " + std::to_string(x);
    int64_t trial = proposal.record.trial;
    logic->suggested(std::move(proposal), now);
    collect();
    return trial;
  }
  void tick(double seconds) {
    now += seconds;
    logic->tick(now);
    collect();
  }
  void no_more() {
    wanted.reset();
    logic->suggested(std::nullopt, now);
    collect();
  }
  // The verdict about a report.
  Verdict report(int64_t trial, int64_t epoch, double loss) {
    TrialMeasure measure{
        .epoch = epoch, .step = 10 * epoch, .seconds = 1, .figures = {{"validation.loss", loss}}};
    int rank = orders.at(trial).ranks.front();
    receive(rank, ReportLetter{trial, measure});
    return verdicts.at(trial);
  }
  // All ranks of the trial end.
  void end(int64_t trial, TrialEnd::State state = TrialEnd::State::finished, const std::string& reason = "",
           bool thrown = false) {
    for (int rank : orders.at(trial).ranks) {
      receive(rank, EndLetter{trial, {state, reason, 10}, thrown, 2.0, 0.001});
    }
  }
  // All ranks of the trial find its folder in other hands.
  void end_held(int64_t trial, const std::string& reason) {
    for (int rank : orders.at(trial).ranks) {
      EndLetter letter{trial, {TrialEnd::State::failed, reason, 0}, false, 0.1, 0.001};
      letter.end.held = true;
      receive(rank, letter);
    }
  }
  void finish(int64_t trial, double loss) {
    report(trial, 1, loss);
    end(trial);
  }
  const Trial& trial(int64_t number) const { return history.trial(number); }
  template <class What>
  std::vector<What> written() const {
    std::vector<What> found;
    for (const Record& record : records) {
      if (auto* what = std::get_if<What>(&record.what)) found.push_back(*what);
    }
    return found;
  }
  int running() const {
    int found = 0;
    for (const Trial& one : history.trials()) found += one.state == TrialState::running ? 1 : 0;
    return found;
  }

  static constexpr double bad_value = 0.125;
  int least_width = 1;
  SweepConfig config;
  Space space = toy_space({real_parameter("x", 0, 1)});
  ScriptedScheduler scheduler;
  History history;

 private:
  int ranks_;

 public:
  std::vector<Record> records;
  double now = 1000;
  std::unique_ptr<SweepLogic> logic;
  std::optional<int64_t> wanted;
  std::map<int64_t, OrderLetter> orders;  // the newest of each trial
  std::map<int64_t, Verdict> verdicts;    // the newest about each trial
  std::vector<std::pair<int, SweepLetter>> others;

 private:
  void collect() {
    for (auto& [rank, letter] : logic->take_letters()) {
      if (auto* order = std::get_if<OrderLetter>(&letter)) {
        // What the letter says is in the journal already.
        if (trial(order->order.trial).state != TrialState::running)
          throw Error(ExitCode::internal, "order first");
        orders[order->order.trial] = *order;
      } else if (auto* verdict = std::get_if<VerdictLetter>(&letter)) {
        verdicts[verdict->trial] = verdict->verdict;
      } else {
        others.emplace_back(rank, std::move(letter));
      }
    }
    if (std::optional<int64_t> number = logic->take_wanted()) wanted = number;
  }
};

// With the ranks that they are for.
template <class What>
std::vector<std::pair<int, What>> letters_of(const LogicByHand& sweep) {
  std::vector<std::pair<int, What>> found;
  for (const auto& [rank, letter] : sweep.others) {
    if (auto* what = std::get_if<What>(&letter)) found.emplace_back(rank, *what);
  }
  return found;
}

}  // namespace trireme
