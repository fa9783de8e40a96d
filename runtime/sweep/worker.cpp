#include "sweep/worker.h"

#include <algorithm>
#include <exception>
#include <span>
#include <utility>

#include "base/error.h"

namespace trireme {
namespace {

// Letters that come while a trial trains are looked at so often: a look costs less than a microsecond, a step
// may take ten.
constexpr std::chrono::microseconds poll_interval{300};
// An idle rank looks so often for a signal.
constexpr double idle_seconds = 0.05;

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

void copy_values(const KeptState& from, KeptState& to) {
  make_room(describe_state(from), &to);
  std::vector<std::span<const std::byte>> source = from.views();
  std::vector<std::span<std::byte>> target = to.room();
  for (size_t i = 0; i < source.size(); ++i) std::copy(source[i].begin(), source[i].end(), target[i].begin());
}

// What ends a trial because the whole sweep ends: no failure of the trial.
struct SweepFailed : Error {
  using Error::Error;
};

}  // namespace

SweepWorker::SweepWorker(Meeting& meeting, const TrialRunner& runner, std::function<bool()> stop_requested)
    : meeting_(meeting),
      runner_(runner),
      stop_requested_(std::move(stop_requested)),
      mailbox_(meeting.mailbox(worker_channel)) {}

SweepWorker::~SweepWorker() {
  if (finished_ || givings_.empty()) return;
  // An error ends the job, and those who were to take these states may take no more: to wait for them, as a
  // posting's end does, might take for ever. What they lie in must stay as it is.
  new std::list<Giving>(std::move(givings_));
  new std::map<int64_t, KeptState>(std::move(kept_));
}

bool SweepWorker::run() {
  send(ReadyLetter{});
  free_since_ = Clock::now();
  while (!leave_) {
    poll(idle_seconds);
    asked_to_stop();
    if (order_) take_order(*std::exchange(order_, std::nullopt));
  }
  leave_if_told();
  // Whoever takes a state is waiting for it: nothing is cut off.
  givings_.clear();
  finished_ = true;
  return leave_->stopped;
}

void SweepWorker::send(const SweepLetter& letter) { mailbox_->send(0, controller_channel, to_text(letter)); }

void SweepWorker::poll(double timeout_seconds) {
  std::optional<Letter> letter = mailbox_->receive(timeout_seconds);
  while (letter) {
    handle(std::move(*letter));
    letter = mailbox_->receive(0);
  }
  for (auto giving = givings_.begin(); giving != givings_.end();) {
    giving = giving->posting->done() ? givings_.erase(giving) : std::next(giving);
  }
  polled_ = Clock::now();
}

void SweepWorker::handle(Letter letter) {
  SweepLetter told = sweep_letter(letter.text);
  if (auto* order = std::get_if<OrderLetter>(&told)) {
    take_note(std::move(*order));
  } else if (auto* verdict = std::get_if<VerdictLetter>(&told)) {
    verdict_ = std::move(*verdict);
  } else if (auto* give_letter = std::get_if<GiveLetter>(&told)) {
    give(*give_letter);
  } else if (auto* forgotten = std::get_if<ForgetLetter>(&told)) {
    forget(forgotten->trial);
  } else if (std::holds_alternative<StopLetter>(told)) {
    stopping_ = true;
  } else if (auto* leave = std::get_if<LeaveLetter>(&told)) {
    leave_ = std::move(*leave);
  } else if (auto* state = std::get_if<StateLetter>(&told)) {
    int ticket = state->ticket;
    states_[ticket] = {letter.from, std::move(*state)};
  } else {
    throw CommError("rank {} sent rank {} a letter that is for the controller", letter.from,
                    mailbox_->rank());
  }
}

void SweepWorker::take_note(OrderLetter order) {
  order_came_ = Clock::now();
  if (order.order.keeps_state && order.ranks.front() == mailbox_->rank()) {
    bringing_ = order.order.trial;
    // As it is now: a letter that comes next may send it away.
    if (order.source >= 0 && order.source_at == mailbox_->rank())
      copy_values(kept_.at(order.source), source_);
  }
  order_ = std::move(order);
}

void SweepWorker::leave_if_told() {
  if (leave_ && leave_->code != 0) throw SweepFailed(static_cast<ExitCode>(leave_->code), leave_->message);
}

bool SweepWorker::asked_to_stop() {
  if (Clock::now() - polled_ >= poll_interval) poll(0);
  leave_if_told();
  if (!told_of_stop_ && stop_requested_ && stop_requested_()) {
    told_of_stop_ = true;
    send(AskedToStopLetter{});
  }
  return stopping_;
}

void SweepWorker::give(const GiveLetter& letter) {
  if (letter.trial == bringing_) {  // it is on its way to here
    deferred_.push_back(letter);
    return;
  }
  auto kept = kept_.find(letter.trial);
  if (kept == kept_.end()) {
    throw CommError("rank {} keeps no state of trial {}, which rank {} is to take", mailbox_->rank(),
                    letter.trial, letter.to);
  }
  Giving giving{.trial = letter.trial, .moved = {}, .posting = {}};
  if (letter.moves) {
    finish_giving(letter.trial);
    giving.moved = std::move(kept->second);
    kept_.erase(kept);
  }
  const KeptState& state = giving.moved ? *giving.moved : kept->second;
  mailbox_->send(letter.to, worker_channel,
                 to_text(StateLetter{
                     .trial = letter.trial, .ticket = letter.ticket, .description = describe_state(state)}));
  giving.posting = mailbox_->post(letter.to, letter.ticket, state.views());
  givings_.push_back(std::move(giving));
  // The trial's next pause will write there. Whoever takes it has nothing else to do.
  if (letter.trial == running_) finish_giving(letter.trial);
}

void SweepWorker::finish_giving(int64_t trial) {
  auto is_on_its_way = [&] {
    return std::any_of(givings_.begin(), givings_.end(),
                       [&](const Giving& one) { return one.trial == trial; });
  };
  // Others may be waiting for a state of this rank before they take this one.
  while (is_on_its_way()) poll(0);
}

void SweepWorker::forget(int64_t trial) {
  finish_giving(trial);
  kept_.erase(trial);
}

void SweepWorker::fetch(int64_t trial, int from, int ticket, KeptState& state) {
  while (states_.count(ticket) == 0) {
    poll(idle_seconds);
    leave_if_told();
  }
  auto [sender, announcement] = std::move(states_.extract(ticket).mapped());
  if (sender != from || announcement.trial != trial) {
    throw CommError(
        "rank {} waits for the state of trial {} from rank {}, and rank {} sends that of trial {}",
        mailbox_->rank(), trial, from, sender, announcement.trial);
  }
  make_room(announcement.description, &state);
  mailbox_->take(from, ticket, state.room(), [&] { poll(0); });
}

// The state from which the trial is to begin, into kept_.
void SweepWorker::bring_states(const OrderLetter& letter) {
  int64_t trial = letter.order.trial;
  int self = mailbox_->rank();
  if (letter.own_at >= 0 && letter.own_at != self)
    fetch(trial, letter.own_at, letter.own_ticket, kept_[trial]);
  if (letter.source >= 0) {
    if (letter.source_at != self) fetch(letter.source, letter.source_at, letter.source_ticket, source_);
    finish_giving(trial);
    // It takes over what the other has learned, and counts its own steps.
    KeptState& state = kept_.at(trial);
    source_.position = state.position;
    std::swap(state, source_);
    source_ = {};
  }
  bringing_ = -1;
  for (const GiveLetter& one : std::exchange(deferred_, {})) give(one);
  finish_giving(trial);
}

Communicator& SweepWorker::group_of(const OrderLetter& letter) {
  std::unique_ptr<Communicator>& group = groups_[letter.group];
  if (letter.make_group || !group) {
    group.reset();
    group = meeting_.groups->make(letter.ranks);
  }
  return *group;
}

Verdict SweepWorker::ask(int64_t trial, const TrialMeasure& measure) {
  verdict_.reset();
  send(ReportLetter{.trial = trial, .measure = measure});
  while (!verdict_) {
    poll(idle_seconds);
    asked_to_stop();
  }
  if (verdict_->trial != trial) {
    throw CommError("rank {} reports trial {} and is told about trial {}", mailbox_->rank(), trial,
                    verdict_->trial);
  }
  return std::exchange(verdict_, std::nullopt)->verdict;
}

TrialEnd SweepWorker::run_trial(const OrderLetter& letter, bool& thrown) {
  int64_t trial = letter.order.trial;
  Communicator& group = group_of(letter);
  KeptState* kept = nullptr;
  if (letter.order.keeps_state && group.rank() == 0) {
    bring_states(letter);
    kept = &kept_[trial];
  }
  running_ = trial;
  try {
    return runner_(
        letter.order, group, [&](const TrialMeasure& measure) { return ask(trial, measure); }, kept,
        [&] { return asked_to_stop(); });
  } catch (const SweepFailed&) {
    throw;
  } catch (const std::exception& error) {
    thrown = true;
    return {.state = end_state_for(error), .reason = error.what(), .steps = 0};
  }
}

void SweepWorker::take_order(const OrderLetter& letter) {
  EndLetter end{.trial = letter.order.trial, .end = {}, .thrown = false, .seconds = 0, .idle_seconds = 0};
  end.idle_seconds = seconds_between(free_since_, order_came_);
  end.end = run_trial(letter, end.thrown);
  running_ = -1;
  auto kept = kept_.find(letter.order.trial);
  if (kept != kept_.end() && kept->second.empty()) kept_.erase(kept);
  free_since_ = Clock::now();
  end.seconds = seconds_between(order_came_, free_since_);
  send(end);
}

}  // namespace trireme
