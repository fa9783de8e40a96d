// The coordinator in simulated runs: workers of different speeds that die, freeze, leave, return and lose
// their coordinator. What must hold is looked at on every single answer, by a plain list of what has
// happened.
#include "comm/parameter_server/coordinator.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "base/error.h"

namespace trireme {
namespace {

using Answer = Coordinator::Answer;

struct SimulatedWorker {
  int32_t number = 0;
  int64_t incarnation = 0;
  double seconds = 1;   // a ticket
  double wakes = 0;     // when it acts next
  bool frozen = false;  // till it wakes, nobody hears of it
  std::optional<Ticket> has;
};

class Simulation {
 public:
  Simulation(const CoordinatorOptions& options, uint32_t seed, size_t workers)
      : options_(options), random_(seed), coordinator_(options) {
    for (size_t i = 0; i < workers; ++i) join();
  }

  // Till all is done; trouble(): one thing that goes wrong, with this probability at each event.
  void run(double trouble) {
    for (int event = 0; event < 200000; ++event) {
      if (workers_.empty()) join();
      auto next = std::min_element(workers_.begin(), workers_.end(),
                                   [](const auto& a, const auto& b) { return a.wakes < b.wakes; });
      now_ = std::max(now_, next->wakes);
      if (chance(trouble)) {
        something_happens();
      } else {
        act(next);
      }
      if (testing::Test::HasFatalFailure()) return;
      if (ended_ && workers_.empty()) break;
    }
    ASSERT_TRUE(ended_) << "no end after many events: somebody waits for ever";
    for (int64_t n = options_.first_clock * options_.pieces; n < end() * options_.pieces; ++n)
      ASSERT_TRUE(done_.contains(n)) << n;
    ASSERT_EQ(coordinator_.complete(), end());
    ASSERT_EQ(static_cast<int64_t>(done_.size()), (end() - options_.first_clock) * options_.pieces);
  }

  int64_t end() const { return coordinator_.end_clock(); }
  int backups() const { return backups_; }
  int reissued() const { return reissued_; }
  int waits() const { return waits_; }
  int64_t furthest() const { return furthest_; }
  void slow(size_t worker, double factor) { workers_[worker].seconds *= factor; }
  Coordinator& coordinator() { return coordinator_; }
  double now() const { return now_; }
  void allow_stop() { may_stop_ = true; }

 private:
  using Workers = std::vector<SimulatedWorker>;

  bool chance(double probability) { return std::uniform_real_distribution<>()(random_) < probability; }
  int64_t number(Ticket t) const { return t.number(options_.pieces); }

  void admit(Coordinator::Joined joined, std::optional<Ticket> has) {
    SimulatedWorker worker{
        joined.worker, joined.incarnation, 0.5 + static_cast<double>(random_() % 8) / 4, now_, false, has};
    workers_.push_back(worker);
  }

  void join(std::optional<int32_t> former = std::nullopt) {
    auto joined = coordinator_.join(now_, former);
    ASSERT_TRUE(seen_.insert({joined.worker, joined.incarnation}).second) << "an identity was given twice";
    ASSERT_TRUE(coordinator_.is_current(joined.worker, joined.incarnation));
    if (former) {
      ASSERT_EQ(joined.worker, *former);
    }
    admit(joined, {});
  }

  void fence() {
    for (const auto& one : workers_) {
      if (!one.frozen) coordinator_.heard_from(one.number, one.incarnation, now_);
    }
    for (int32_t number : coordinator_.expire(now_)) {
      for (const auto& one : workers_) {
        if (one.number != number) continue;
        ASSERT_TRUE(one.frozen) << "worker " << number << " was fenced though it was heard of";
        ASSERT_FALSE(coordinator_.is_current(one.number, one.incarnation));
      }
    }
  }

  void something_happens() {
    auto victim = workers_.begin() + static_cast<std::ptrdiff_t>(random_() % workers_.size());
    switch (random_() % 6) {
      case 0:  // killed, and noticed
        coordinator_.declare_dead(victim->number);
        ASSERT_FALSE(coordinator_.is_current(victim->number, victim->incarnation));
        workers_.erase(victim);
        break;
      case 1:  // killed, and not noticed: the lease must run out
        workers_.erase(victim);
        break;
      case 2:
        coordinator_.leave(victim->number, now_);
        workers_.erase(victim);
        break;
      case 3:
        if (!victim->frozen)
          victim->wakes = now_ + 2 * options_.lease_seconds * static_cast<double>(random_() % 5) / 4;
        victim->frozen = true;
        break;
      case 4:
        if (workers_.size() < 8) join();
        break;
      case 5:
        if (may_stop_ && random_() % 4 == 0) {
          int64_t issued = coordinator_.issued_clock(), planned = end();
          int64_t wanted = coordinator_.complete() + static_cast<int64_t>(random_() % 4);
          ASSERT_EQ(coordinator_.stop_at(wanted), std::min(planned, std::max(wanted, issued)));
        } else {
          succeed();
        }
        break;
    }
  }

  // The coordinator's server dies; its successor knows what is done on all shards, and who comes over tells
  // the rest.
  void succeed() {
    CoordinatorOptions options = options_;
    options.end_clock = end();
    TicketWindow done(options.pieces, options.first_clock);
    for (int64_t n : done_) done.add(Ticket::numbered(n, options.pieces));
    for (const auto& [worker, incarnation] : seen_) {
      options.first_worker = std::max(options.first_worker, worker + 1);
      options.first_incarnation = std::max(options.first_incarnation, incarnation + 1);
    }
    coordinator_ = Coordinator(options, done);
    Workers before = std::move(workers_);
    workers_.clear();
    for (auto& one : before) {
      if (one.frozen) continue;  // is not heard of again
      std::vector<Ticket> outstanding;
      if (one.has) outstanding.push_back(*one.has);
      auto joined = coordinator_.rejoin(one.number, one.incarnation, outstanding, now_);
      ASSERT_EQ(joined, (Coordinator::Joined{one.number, one.incarnation}));
      workers_.push_back(one);
    }
  }

  void act(Workers::iterator at) {
    SimulatedWorker& worker = *at;
    fence();
    if (!coordinator_.heard_from(worker.number, worker.incarnation, now_)) {  // fenced while it was frozen
      ASSERT_TRUE(worker.frozen);
      ASSERT_THROW(coordinator_.next(worker.number, now_), CommError);
      int32_t former = worker.number;
      if (worker.has && random_() % 2 == 0) {  // its pushes had been applied before it froze
        bool is_new = done_.insert(number(*worker.has)).second;
        ASSERT_EQ(coordinator_.done(*worker.has, former, now_), is_new);
      }
      workers_.erase(at);
      join(former);
      return;
    }
    worker.frozen = false;
    if (worker.has) {
      bool is_new = done_.insert(number(*worker.has)).second;
      ASSERT_EQ(coordinator_.done(*worker.has, worker.number, now_), is_new);
      worker.has.reset();
    }
    fence();
    Answer answer = coordinator_.next(worker.number, now_);
    judge(worker, answer);
    if (answer.kind == Answer::end) {
      ended_ = true;
      coordinator_.leave(worker.number, now_);
      workers_.erase(at);
    } else if (answer.kind == Answer::ticket) {
      worker.has = answer.what;
      worker.wakes = now_ + worker.seconds;
    } else {
      worker.wakes = now_ + 0.1;
    }
  }

  // Compares with what a list of all tickets says.
  void judge(const SimulatedWorker& asker, const Answer& answer) {
    std::set<int64_t> held;
    int64_t complete = options_.first_clock;
    while (complete < end() && whole(complete)) ++complete;
    for (const auto& [n, holders] : holders_) {
      for (const auto& who : holders) {
        if (coordinator_.is_current(who.first, who.second)) held.insert(n);
      }
    }
    std::optional<int64_t> lowest;
    const int64_t last = options_.staleness < 0 ? end() : std::min(end(), complete + options_.staleness + 1);
    for (int64_t n = complete * options_.pieces; n < last * options_.pieces && !lowest; ++n) {
      if (!done_.contains(n) && !held.contains(n)) lowest = n;
    }
    if (answer.kind == Answer::end) {
      ASSERT_EQ(complete, end());
      return;
    }
    ASSERT_LT(complete, end());
    if (answer.kind == Answer::wait) {
      ++waits_;
      ASSERT_FALSE(lowest) << "worker " << asker.number << " waits, and ticket " << *lowest
                           << " could be had";
      return;
    }
    const int64_t n = number(answer.what);
    ASSERT_FALSE(done_.contains(n));
    if (options_.staleness >= 0) {
      ASSERT_GE(complete, answer.what.clock - options_.staleness) << "the staleness bound is broken";
    }
    furthest_ = std::max(furthest_, answer.what.clock - complete);
    if (answer.backup) {
      ++backups_;
      ASSERT_TRUE(options_.backup_pieces);
      ASSERT_FALSE(lowest);
      ASSERT_TRUE(held.contains(n));
    } else {
      ASSERT_TRUE(lowest);
      ASSERT_EQ(n, *lowest);
      if (!issued_.insert(n).second) ++reissued_;
    }
    holders_[n].insert({asker.number, asker.incarnation});
  }

  bool whole(int64_t clock) const {
    for (int32_t p = 0; p < options_.pieces; ++p) {
      if (!done_.contains(Ticket{clock, p}.number(options_.pieces))) return false;
    }
    return true;
  }

  CoordinatorOptions options_;
  std::mt19937 random_;
  Coordinator coordinator_;
  Workers workers_;
  double now_ = 0;
  bool ended_ = false, may_stop_ = false;
  std::set<int64_t> done_, issued_;
  // By ticket: all who got it; they have it for as long as they are current, though they be dead.
  std::map<int64_t, std::set<std::pair<int32_t, int64_t>>> holders_;
  std::set<std::pair<int32_t, int64_t>> seen_;
  int backups_ = 0, reissued_ = 0, waits_ = 0;
  int64_t furthest_ = 0;
};

CoordinatorOptions options_of(int32_t pieces, int64_t staleness, bool backup) {
  CoordinatorOptions options;
  options.pieces = pieces;
  options.staleness = staleness;
  options.first_clock = 3;
  options.end_clock = 43;
  options.lease_seconds = 5;
  options.backup_pieces = backup;
  return options;
}

TEST(Coordinator, EveryTicketIsDoneWhateverHappens) {
  int backups = 0, reissued = 0;
  for (uint32_t seed = 0; seed < 240; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    CoordinatorOptions options =
        options_of(1 + static_cast<int32_t>(seed % 5), static_cast<int64_t>(seed / 5 % 4) - 1, seed % 2 == 1);
    Simulation simulation(options, seed, 1 + seed % 4);
    if (seed % 3 == 0) simulation.allow_stop();
    simulation.run(seed % 4 == 0 ? 0 : 0.06);
    if (HasFatalFailure()) return;
    backups += simulation.backups();
    reissued += simulation.reissued();
  }
  EXPECT_GT(backups, 20) << "the simulation tries too little";
  EXPECT_GT(reissued, 200) << "the simulation tries too little";
}

TEST(Coordinator, ASlowWorkerTakesFewerAndHoldsUpOthersOnlyAtTheBound) {
  for (int64_t staleness : {-1, 0, 2}) {
    Simulation simulation(options_of(4, staleness, false), 1, 4);
    simulation.slow(3, 20);
    simulation.run(0);
    auto figures = simulation.coordinator().figures(simulation.now());
    int64_t all = 0;
    for (const auto& one : figures) all += one.tickets_done;
    EXPECT_EQ(all, 40 * 4);
    if (staleness < 0) {
      EXPECT_LT(figures[3].tickets_done * 5, figures[0].tickets_done);
      EXPECT_GT(simulation.furthest(), 3);
    } else {
      EXPECT_EQ(simulation.furthest(), staleness) << "the bound is used to the full";
      EXPECT_GT(figures[0].seconds_waited, 1);
    }
  }
}

TEST(Coordinator, BackupPiecesShortenTheWait) {
  Simulation without(options_of(4, 0, false), 1, 4), with(options_of(4, 0, true), 1, 4);
  without.slow(3, 30);
  with.slow(3, 30);
  without.run(0);
  with.run(0);
  EXPECT_GT(with.backups(), 5);
  EXPECT_LT(with.now() * 2, without.now());
}

// One worker falls silent; the other must not get so far that all it has waits for what the silent one holds.
TEST(Coordinator, NobodyGetsBeyondTheSecondOpenCut) {
  CoordinatorOptions options = options_of(2, -1, false);  // clocks from 3
  options.next_cut = [](int64_t after) { return (after / 5 + 1) * 5; };
  Coordinator coordinator(options);
  auto silent = coordinator.join(0), busy = coordinator.join(0);
  EXPECT_EQ(coordinator.next(silent.worker, 0).what, (Ticket{3, 0}));
  auto takes_all = [&](double now) {
    int64_t last = -1;
    while (true) {
      Coordinator::Answer answer = coordinator.next(busy.worker, now);
      if (answer.kind != Coordinator::Answer::ticket) return last;
      last = answer.what.clock;
      coordinator.done(answer.what, busy.worker, now);
      if (answer.what == Ticket{3, 0}) return last;
    }
  };
  EXPECT_EQ(takes_all(1), 9) << "all before the cut at 10, while that at 5 lacks a ticket";
  EXPECT_EQ(coordinator.expire(1 + options.lease_seconds), std::vector<int32_t>{silent.worker});
  EXPECT_EQ(takes_all(2 + options.lease_seconds), 3);
  EXPECT_EQ(coordinator.complete(), 10);
  EXPECT_EQ(coordinator.next(busy.worker, 3 + options.lease_seconds).what, (Ticket{10, 0}));
}

TEST(Coordinator, LeasesAreRenewedAndRunOut) {
  Coordinator coordinator(options_of(2, 0, false));
  auto a = coordinator.join(0), b = coordinator.join(0);
  EXPECT_EQ(coordinator.next(a.worker, 1).what, (Ticket{3, 0}));
  EXPECT_EQ(coordinator.next(b.worker, 2).what, (Ticket{3, 1}));
  EXPECT_EQ(coordinator.issued_clock(), 4);
  EXPECT_EQ(coordinator.expire(6), std::vector<int32_t>{});
  EXPECT_EQ(coordinator.expire(6.5), std::vector<int32_t>{a.worker});
  EXPECT_FALSE(coordinator.heard_from(a.worker, a.incarnation, 6.6));
  EXPECT_TRUE(coordinator.heard_from(b.worker, b.incarnation, 6.6));
  EXPECT_EQ(coordinator.expire(11.5), std::vector<int32_t>{});
  EXPECT_EQ(coordinator.present(), 1);
  auto again = coordinator.join(11, a.worker);
  EXPECT_EQ(again.worker, a.worker);
  EXPECT_NE(again.incarnation, a.incarnation);
  EXPECT_FALSE(coordinator.is_current(a.worker, a.incarnation));
  EXPECT_EQ(coordinator.next(again.worker, 11).what, (Ticket{3, 0}));
  // What the first incarnation had applied everywhere before it froze counts.
  EXPECT_TRUE(coordinator.done({3, 0}, a.worker, 12));
  EXPECT_FALSE(coordinator.done({3, 0}, a.worker, 12));
  EXPECT_NE(coordinator.join(12, b.worker).worker, b.worker) << "b is present: nobody else is b";
}

TEST(Coordinator, ABackupIsForAnotherThanTheHolder) {
  Coordinator coordinator(options_of(2, 0, true));
  auto a = coordinator.join(0), b = coordinator.join(0);
  for (int64_t clock : {3, 4}) {
    EXPECT_EQ(coordinator.next(a.worker, 0).what, (Ticket{clock, 0}));
    EXPECT_EQ(coordinator.next(a.worker, 0).what, (Ticket{clock, 1}));
    EXPECT_EQ(coordinator.next(b.worker, 0).kind, Answer::wait) << "no times are known, or it is too early";
    if (clock == 4) break;
    coordinator.done({3, 0}, a.worker, 1);
    EXPECT_EQ(coordinator.median_seconds(), 1);
    coordinator.done({3, 1}, a.worker, 1);
  }
  EXPECT_EQ(coordinator.next(a.worker, 9).kind, Answer::wait) << "it has both itself";
  Answer first = coordinator.next(b.worker, 9), second = coordinator.next(b.worker, 9);
  EXPECT_TRUE(first.backup && second.backup);
  EXPECT_EQ(first.what, (Ticket{4, 0}));
  EXPECT_EQ(second.what, (Ticket{4, 1}));
  EXPECT_EQ(coordinator.next(coordinator.join(9).worker, 9).kind, Answer::wait) << "two are enough";
  coordinator.leave(a.worker, 9);
  coordinator.done({4, 0}, b.worker, 10);
  coordinator.declare_dead(b.worker);
  EXPECT_EQ(coordinator.next(2, 10).what, (Ticket{4, 1})) << "both of its holders are gone";
}

TEST(Coordinator, CountsTheSecondsOfWaiting) {
  Coordinator coordinator(options_of(1, 0, false));
  auto a = coordinator.join(0), b = coordinator.join(0);
  coordinator.next(a.worker, 0);
  EXPECT_EQ(coordinator.next(b.worker, 1).kind, Answer::wait);
  EXPECT_EQ(coordinator.next(b.worker, 2).kind, Answer::wait);
  EXPECT_EQ(coordinator.figures(3)[1].seconds_waited, 2);
  EXPECT_EQ(coordinator.figures(3)[0].outstanding_since, 0);
  coordinator.done({3, 0}, a.worker, 4);
  EXPECT_EQ(coordinator.next(b.worker, 4).what, (Ticket{4, 0}));
  EXPECT_EQ(coordinator.figures(9)[1].seconds_waited, 3);
  EXPECT_EQ(coordinator.figures(9)[0].outstanding_since, std::nullopt);
}

TEST(Coordinator, AStolenNumberIsNotGivenBack) {
  CoordinatorOptions options = options_of(2, 1, false);
  Coordinator successor(options);  // not told which numbers are taken
  auto young = successor.join(0);
  Ticket held{3, 0};
  auto old = successor.rejoin(young.worker, young.incarnation + 7, {&held, 1}, 0);
  EXPECT_NE(old.worker, young.worker);
  EXPECT_TRUE(successor.is_current(young.worker, young.incarnation));
  EXPECT_EQ(successor.next(young.worker, 0).what, held);
}

TEST(Coordinator, RefusesNonsense) {
  CoordinatorOptions options = options_of(2, 0, false);
  Coordinator coordinator(options);
  EXPECT_THROW(coordinator.next(0, 0), CommError);
  auto a = coordinator.join(0);
  EXPECT_THROW(coordinator.done({43, 0}, a.worker, 0), CommError);
  EXPECT_THROW(coordinator.done({3, 2}, a.worker, 0), CommError);
  EXPECT_THROW(coordinator.rejoin(-1, 1, {}, 0), CommError);
  EXPECT_THROW(coordinator.rejoin(INT32_MAX, 1, {}, 0), CommError);
  EXPECT_THROW(coordinator.rejoin(0, -1, {}, 0), CommError);
  options.end_clock = 2;
  EXPECT_THROW(Coordinator{options}, CommError);
  options = options_of(0, 0, false);
  EXPECT_THROW(Coordinator{options}, CommError);
  EXPECT_THROW(Coordinator{options_of(1, -2, false)}, CommError);
}

}  // namespace
}  // namespace trireme
