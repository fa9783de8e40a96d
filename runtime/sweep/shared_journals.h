// The journals of all who work on one sweep (a plain sweep is worker 0 alone; the jobs of an array are
// workers by number): each writes its own and reads the others'. Nobody waits for anybody, and nothing is
// locked.
//
//   journal/0.trj  journal/3.trj ...   claims/000000 ...
//
// All records of a trial are in one journal, that of the worker who has claimed its number and goes on with
// it. Records of one journal are applied in their order, those of several in any: what is made of them is the
// same.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "sweep/claims.h"
#include "sweep/history.h"
#include "sweep/journal.h"

namespace trireme {

// The journals of a sweep's folder, by worker.
std::map<int64_t, std::filesystem::path> find_journals(const std::filesystem::path& folder);
// journal/N.trj
std::filesystem::path journal_path(const std::filesystem::path& folder, int64_t worker);

class SharedJournals {
 public:
  // Takes the worker's own journal over, and applies it and all others' to `history`, which is empty, made
  // for shared numbers, and outlives this. With options.start_over the
  // others' are removed too, unless one of them is at work (ClaimError). Throws as JournalWriter and
  // read_more(); DataError naming the journal where a record of it does not follow.
  SharedJournals(const std::filesystem::path& folder, int64_t worker, History& history,
                 const JournalOptions& options = {});

  int64_t worker() const { return worker_; }
  // Own ones that were there.
  const std::vector<Record>& past() const { return writer_.content().records; }
  // Whether others have a journal too, as far as has been seen.
  bool has_others() const { return !others_.empty(); }
  bool is_mine(int64_t trial) const { return history_.worker_of(trial) == worker_; }

  // All records that were there and that refresh() has read, not those appended: a worker's in their order.
  void for_each(const std::function<void(const Record&, int64_t worker)>& tell) const;

  // As JournalWriter's: into the own journal, and not applied.
  Record append(Record record) { return writer_.append(std::move(record)); }
  void sync() { writer_.sync(); }
  void mark_done() { writer_.mark_done(); }

  // Applies what others have written since; returns the number of such records. Opens each of their files:
  // tens of microseconds each on a local disk, a round trip on a network's. Throws as the constructor.
  // `told` is called with each of them and its worker.
  int64_t refresh(const std::function<void(const Record&, int64_t worker)>& told = {});

  // As TrialClaims.
  std::optional<int64_t> claim(int64_t limit = 0) { return claims_.claim(history_, limit); }
  void give_back(int64_t number) { claims_.give_back(number); }

 private:
  std::filesystem::path folder_;
  int64_t worker_;
  History& history_;
  JournalWriter writer_;
  TrialClaims claims_;
  std::map<int64_t, JournalContent> others_;
};

}  // namespace trireme
