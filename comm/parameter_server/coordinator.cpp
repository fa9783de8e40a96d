#include "comm/parameter_server/coordinator.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace trireme {
namespace {

constexpr size_t times_kept = 101;         // of which the median is taken
constexpr int32_t most_workers = 1 << 24;  // what a message may claim
constexpr int64_t most_incarnations = int64_t{1} << 62;
constexpr double slow_factor = 2;  // times the median: a backup piece is worth while

}  // namespace

Coordinator::Coordinator(const CoordinatorOptions& options)
    : Coordinator(options, TicketWindow(options.pieces, options.first_clock)) {}

Coordinator::Coordinator(const CoordinatorOptions& options, TicketWindow done)
    : options_(options),
      done_(std::move(done)),
      issued_clock_(std::max(options.first_clock, done_.end())),
      next_number_(Ticket{done_.complete(), 0}.number(options.pieces)),
      next_worker_(options.first_worker),
      next_incarnation_(options.first_incarnation) {
  if (options.end_clock < options.first_clock)
    throw CommError("coordinator: a run from clock {} to {}", options.first_clock, options.end_clock);
  if (options.staleness < -1)
    throw CommError("coordinator: staleness {}; -1 is no bound, 0 and more is one", options.staleness);
  if (!(options.lease_seconds > 0)) throw CommError("coordinator: a lease of {} s", options.lease_seconds);
  if (done_.pieces() != options.pieces || done_.complete() < options.first_clock)
    throw CommError("coordinator: {} pieces from clock {}, but tickets done are of {} pieces from clock {}",
                    options.pieces, options.first_clock, done_.pieces(), done_.complete());
}

Coordinator::Joined Coordinator::join(double now, std::optional<int32_t> former) {
  int32_t number = next_worker_;
  if (former) {
    auto found = workers_.find(*former);
    if (found != workers_.end() && !found->second.present) number = *former;
  }
  next_worker_ = std::max(next_worker_, number + 1);
  Worker& worker = workers_[number];
  worker.incarnation = next_incarnation_++;
  worker.present = true;
  worker.heard = now;
  return {number, worker.incarnation};
}

Coordinator::Joined Coordinator::rejoin(int32_t number, int64_t incarnation,
                                        std::span<const Ticket> outstanding, double now) {
  if (number < 0 || number >= most_workers || incarnation < 0 || incarnation >= most_incarnations)
    throw CommError("a worker claims to be number {}, incarnation {}", number, incarnation);
  for (const Ticket& ticket : outstanding) {  // before anything is changed
    if (ticket.clock < options_.end_clock) (void)done_.contains(ticket);
  }
  auto found = workers_.find(number);
  if (found != workers_.end() && found->second.incarnation != incarnation) return join(now);
  if (found != workers_.end() && !found->second.present) return join(now, number);  // it was fenced since
  next_worker_ = std::max(next_worker_, number + 1);
  next_incarnation_ = std::max(next_incarnation_, incarnation + 1);
  Worker& worker = workers_[number];
  worker.incarnation = incarnation;
  worker.present = true;
  worker.heard = now;
  for (const Ticket& ticket : outstanding) {
    if (ticket.clock >= options_.end_clock || done_.contains(ticket)) continue;
    int64_t n = ticket.number(options_.pieces);
    if (!worker.held.emplace(n, now).second) continue;
    holders_[n].push_back(number);
    returned_.erase(n);
    issued_clock_ = std::max(issued_clock_, ticket.clock + 1);
  }
  return {number, incarnation};
}

bool Coordinator::is_current(int32_t worker, int64_t incarnation) const {
  auto found = workers_.find(worker);
  return found != workers_.end() && found->second.present && found->second.incarnation == incarnation;
}

bool Coordinator::heard_from(int32_t worker, int64_t incarnation, double now) {
  if (!is_current(worker, incarnation)) return false;
  workers_[worker].heard = now;
  return true;
}

void Coordinator::take_back(int32_t number) {
  Worker& worker = workers_[number];
  for (const auto& [n, since] : worker.held) {
    auto found = holders_.find(n);
    std::erase(found->second, number);
    if (found->second.empty()) {
      holders_.erase(found);
      returned_.insert(n);
    }
  }
  worker.held.clear();
  worker.present = false;
}

void Coordinator::leave(int32_t number, double now) {
  auto found = workers_.find(number);
  if (found == workers_.end() || !found->second.present) return;
  Worker& worker = found->second;
  if (worker.waiting_since) worker.seconds_waited += now - *worker.waiting_since;
  worker.waiting_since.reset();
  take_back(number);
}

void Coordinator::declare_dead(int32_t number) {
  auto found = workers_.find(number);
  if (found == workers_.end() || !found->second.present) return;
  found->second.waiting_since.reset();
  take_back(number);
}

std::vector<int32_t> Coordinator::expire(double now) {
  std::vector<int32_t> fenced;
  for (auto& [number, worker] : workers_) {
    if (worker.present && now - worker.heard > options_.lease_seconds) fenced.push_back(number);
  }
  for (int32_t number : fenced) declare_dead(number);
  return fenced;
}

int32_t Coordinator::present() const {
  return static_cast<int32_t>(
      std::count_if(workers_.begin(), workers_.end(), [](const auto& one) { return one.second.present; }));
}

void Coordinator::move_cuts() {
  if (!options_.next_cut || done_.complete() < open_cut_) return;
  open_cut_ = options_.next_cut(done_.complete());
  after_cut_ = options_.next_cut(open_cut_);
}

bool Coordinator::within_bound(int64_t number) const {
  int64_t clock = Ticket::numbered(number, options_.pieces).clock;
  if (clock >= after_cut_) return false;
  int64_t ahead = clock - done_.complete();
  return ahead < TicketWindow::limit_clocks && (options_.staleness < 0 || ahead <= options_.staleness);
}

// The lowest ticket that may be handed out: one that came back, or the lowest that never was (a successor
// steps over those that are done, or in the hands of workers that have come over to it).
std::optional<int64_t> Coordinator::lowest() {
  move_cuts();
  const int64_t end = Ticket{options_.end_clock, 0}.number(options_.pieces);
  while (next_number_ < end && within_bound(next_number_) &&
         (holders_.contains(next_number_) || done_.contains(Ticket::numbered(next_number_, options_.pieces))))
    ++next_number_;
  int64_t number = next_number_;
  if (!returned_.empty()) number = std::min(number, *returned_.begin());
  if (number >= end || !within_bound(number)) return std::nullopt;
  return number;
}

double Coordinator::median_seconds() const {
  if (seconds_.empty()) return 0;
  std::vector<double> sorted = seconds_;
  auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

// The ticket longest in the hands of one other worker alone, if that is more than twice the median time.
std::optional<int64_t> Coordinator::slow_one(int32_t asker, double now) const {
  if (!options_.backup_pieces || seconds_.empty()) return std::nullopt;
  double oldest = now - slow_factor * median_seconds();
  std::optional<int64_t> slowest;
  for (const auto& [number, holders] : holders_) {
    if (holders.size() != 1 || holders.front() == asker) continue;
    double since = workers_.at(holders.front()).held.at(number);
    if (since >= oldest) continue;
    oldest = since;
    slowest = number;
  }
  return slowest;
}

Coordinator::Worker& Coordinator::present_worker(int32_t number, const char* operation) {
  auto found = workers_.find(number);
  if (found == workers_.end() || !found->second.present)
    throw CommError("{}: worker {} is not a member of the run (any more); it must join first", operation,
                    number);
  return found->second;
}

Coordinator::Answer Coordinator::hand_out(int32_t number, int64_t ticket, double now, bool backup) {
  Worker& worker = workers_[number];
  worker.held.emplace(ticket, now);
  holders_[ticket].push_back(number);
  Answer answer{Answer::ticket, Ticket::numbered(ticket, options_.pieces), backup};
  issued_clock_ = std::max(issued_clock_, answer.what.clock + 1);
  return answer;
}

Coordinator::Answer Coordinator::next(int32_t number, double now) {
  Worker& worker = present_worker(number, "next ticket");
  worker.heard = now;
  Answer answer;
  if (finished()) {
    answer.kind = Answer::end;
  } else if (auto number_of_ticket = lowest()) {
    returned_.erase(*number_of_ticket);
    answer = hand_out(number, *number_of_ticket, now, false);
  } else if (auto slow = slow_one(number, now)) {
    answer = hand_out(number, *slow, now, true);
  }
  if (answer.kind == Answer::wait) {
    if (!worker.waiting_since) worker.waiting_since = now;
  } else if (worker.waiting_since) {
    worker.seconds_waited += now - *worker.waiting_since;
    worker.waiting_since.reset();
  }
  return answer;
}

bool Coordinator::done(Ticket ticket, int32_t number, double now) {
  if (ticket.clock >= options_.end_clock)
    throw CommError("worker {}: ticket (clock {}, piece {}) is done, but the run ends at clock {}", number,
                    ticket.clock, ticket.piece, options_.end_clock);
  if (!done_.add(ticket)) return false;
  const int64_t n = ticket.number(options_.pieces);
  issued_clock_ = std::max(issued_clock_, ticket.clock + 1);
  returned_.erase(n);
  auto found = workers_.find(number);
  if (found != workers_.end()) {
    ++found->second.tickets_done;
    if (auto held = found->second.held.find(n); held != found->second.held.end()) {
      if (seconds_.size() < times_kept) {
        seconds_.push_back(now - held->second);
      } else {
        seconds_[seconds_next_++ % times_kept] = now - held->second;
      }
    }
  }
  if (auto holders = holders_.find(n); holders != holders_.end()) {
    for (int32_t holder : holders->second) workers_[holder].held.erase(n);
    holders_.erase(holders);
  }
  return true;
}

int64_t Coordinator::stop_at(int64_t clock) {
  options_.end_clock = std::min(options_.end_clock, std::max({clock, issued_clock_, options_.first_clock}));
  return options_.end_clock;
}

std::vector<Coordinator::WorkerFigures> Coordinator::figures(double now) const {
  std::vector<WorkerFigures> all;
  for (const auto& [number, worker] : workers_) {
    WorkerFigures one{number, worker.incarnation, worker.present, worker.tickets_done, worker.seconds_waited,
                      {}};
    if (worker.waiting_since) one.seconds_waited += now - *worker.waiting_since;
    for (const auto& [ticket, since] : worker.held) {
      if (!one.outstanding_since || since < *one.outstanding_since) one.outstanding_since = since;
    }
    all.push_back(one);
  }
  return all;
}

}  // namespace trireme
