// Who computes what next: hands out tickets, notices who is gone, keeps the staleness bound.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "comm/parameter_server/ticket.h"
#include "comm/parameter_server/window.h"

namespace trireme {

struct CoordinatorOptions {
  int32_t pieces = 1;  // of a clock
  int64_t staleness =
      -1;  // -1: no bound; else a ticket of clock c waits for all of clocks below c - staleness
  int64_t first_clock = 0;  // the clocks of this run are first_clock .. end_clock - 1
  int64_t end_clock = 0;
  // The least clock above `after` at which a cut is taken, end_clock or more for none; empty: no cuts. A
  // shard keeps one cut at a time and holds back pushes of the next one's clocks, so no ticket of those is
  // handed out while the first lacks some: all workers would wait for them, and nobody do what it lacks.
  std::function<int64_t(int64_t after)> next_cut = {};
  double lease_seconds = 30;   // who is not heard of for longer is fenced
  bool backup_pieces = false;  // may a slow worker's ticket be given to a second one, too?
  // What a successor must not hand out again: identities from here on are new.
  int32_t first_worker = 0;
  int64_t first_incarnation = 1;
};

// A state machine without threads, network or clock: time is an argument, in seconds from any beginning,
// never decreasing. Not for several threads at once.
//
// A worker is a process that has joined; each time it joins it gets a new incarnation, and what carries
// another incarnation is fenced. Tickets come in rising order. A ticket that comes back (its worker died or
// left) is handed out again before any new one, the lowest first. It is done when it has been applied on all
// shards, whoever did that.
class Coordinator {
 public:
  struct Joined {
    int32_t worker = 0;
    int64_t incarnation = 0;
    bool operator==(const Joined&) const = default;
  };
  struct Answer {
    enum Kind { ticket, wait, end } kind = wait;
    Ticket what{};        // of kind ticket
    bool backup = false;  // another worker has it, too
  };
  struct WorkerFigures {
    int32_t worker = 0;
    int64_t incarnation = 0;
    bool present = false;
    int64_t tickets_done = 0;
    double seconds_waited = 0;  // between an answer `wait` and the next ticket, the present wait included
    std::optional<double> outstanding_since;  // when it got the oldest ticket that it still holds
  };

  // Throws CommError for options that make no sense.
  explicit Coordinator(const CoordinatorOptions& options);
  // A successor: `done` holds the tickets that all shards have applied (see TicketWindow::intersect).
  Coordinator(const CoordinatorOptions& options, TicketWindow done);

  // A new worker; or one that comes back after it was fenced, and then has its former number again.
  Joined join(double now, std::optional<int32_t> former = std::nullopt);
  // After a change of coordinator: a worker says who it is and what it has in hand, and stays who it is.
  // Where its number belongs to another incarnation by now it is given a new one, as by join(), and holds
  // nothing.
  Joined rejoin(int32_t worker, int64_t incarnation, std::span<const Ticket> outstanding, double now);
  // Renews the lease; false: fenced.
  bool heard_from(int32_t worker, int64_t incarnation, double now);
  bool is_current(int32_t worker, int64_t incarnation) const;
  // In good order: its tickets come back.
  void leave(int32_t worker, double now);
  // Its endpoint failed. Fenced; its tickets come back.
  void declare_dead(int32_t worker);
  // Fences those whose lease ran out; their tickets come back. Returns their numbers.
  std::vector<int32_t> expire(double now);
  // How many are present.
  int32_t present() const;

  // What the worker shall do: compute this ticket; ask again when something has changed (a ticket done, a
  // worker gone); or leave, because all is done. A worker may hold several tickets. Renews the lease. Throws
  // CommError for a worker that is not present.
  Answer next(int32_t worker, double now);
  // It has been applied on all shards. False: it was done already. Throws CommError for a ticket outside the
  // run.
  bool done(Ticket ticket, int32_t worker, double now);

  // All tickets of clocks below this are done.
  int64_t complete() const { return done_.complete(); }
  // The highest clock of which a ticket was handed out, plus 1; first_clock at the beginning.
  int64_t issued_clock() const { return issued_clock_; }
  int64_t end_clock() const { return options_.end_clock; }
  bool finished() const { return complete() >= options_.end_clock; }
  // The run is asked to stop: it ends at `clock`, or where that has been passed, with what was handed out.
  // Never later than planned. Returns the clock at which it ends.
  int64_t stop_at(int64_t clock);

  // Of all that ever joined, by number.
  std::vector<WorkerFigures> figures(double now) const;
  // The median time from hand-out to done of the last tickets; 0 before the first.
  double median_seconds() const;

 private:
  struct Worker {
    int64_t incarnation = 0;
    bool present = false;
    double heard = 0;
    std::map<int64_t, double> held;  // ticket number: since when
    std::optional<double> waiting_since;
    double seconds_waited = 0;
    int64_t tickets_done = 0;
  };

  Worker& present_worker(int32_t worker, const char* operation);
  void take_back(int32_t worker);
  bool within_bound(int64_t number) const;
  void move_cuts();
  std::optional<int64_t> lowest();
  std::optional<int64_t> slow_one(int32_t asker, double now) const;
  Answer hand_out(int32_t worker, int64_t number, double now, bool backup);

  CoordinatorOptions options_;
  TicketWindow done_;
  int64_t issued_clock_;
  int64_t next_number_;  // no ticket from here on has been handed out or is done ...
  std::map<int64_t, std::vector<int32_t>> holders_;  // ... but for those in here and in done_ (a successor's)
  std::set<int64_t> returned_;
  int64_t open_cut_ = -1;                                    // the first cut that lacks tickets
  int64_t after_cut_ = std::numeric_limits<int64_t>::max();  // the one after it
  std::map<int32_t, Worker> workers_;
  int32_t next_worker_;
  int64_t next_incarnation_;
  std::vector<double> seconds_;  // hand-out to done, of the last tickets, a ring
  size_t seconds_next_ = 0;
};

}  // namespace trireme
