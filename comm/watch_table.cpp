#include "comm/watch_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace trireme {
namespace {

template <size_t n>
void copy_text(const char* from, char (&to)[n]) {
  std::strncpy(to, from, n - 1);
  to[n - 1] = 0;
}

std::string place_of(const RankStatus& status) {
  std::string text = fmt::format(
      "{} of phase {}", status.operation[0] != 0 ? status.operation : "no operation yet", status.phase);
  if (status.step >= 0)
    text = fmt::format("{} of step {}, phase {}", status.operation, status.step, status.phase);
  return text;
}

}  // namespace

RankStatus status_of(const Activity::Snapshot& snapshot) {
  RankStatus status;
  status.begun = snapshot.begun;
  status.done = snapshot.done;
  status.step = snapshot.step;
  status.resumable = snapshot.resumable ? 1 : 0;
  copy_text(snapshot.operation, status.operation);
  copy_text(snapshot.phase, status.phase);
  return status;
}

WatchTable::WatchTable(std::vector<std::string> hosts, double timeout_seconds, double now)
    : timeout_(timeout_seconds) {
  for (std::string& host : hosts) {
    Entry& entry = ranks_.emplace_back();
    entry.host = std::move(host);
    entry.heard = entry.moved = now;
  }
}

void WatchTable::hear(int rank, const RankStatus& status, double now) {
  Entry& entry = ranks_.at(static_cast<size_t>(rank));
  if (status.begun != entry.status.begun || status.done != entry.status.done) entry.moved = now;
  entry.status = status;
  entry.heard = now;
}

void WatchTable::do_without(int rank) { ranks_.at(static_cast<size_t>(rank)).state = State::unwatched; }
void WatchTable::leave(int rank) { ranks_.at(static_cast<size_t>(rank)).state = State::left; }

void WatchTable::fail(int rank, double now) {
  Entry& entry = ranks_.at(static_cast<size_t>(rank));
  entry.state = State::failing;
  entry.failed = now;
}

void WatchTable::lose(int rank) {
  Entry& entry = ranks_.at(static_cast<size_t>(rank));
  if (entry.state == State::here) entry.state = State::lost;
}

bool WatchTable::anyone_lost() const {
  return std::any_of(ranks_.begin(), ranks_.end(),
                     [](const Entry& entry) { return entry.state == State::lost; });
}

bool WatchTable::resumable() const {
  return std::any_of(ranks_.begin(), ranks_.end(),
                     [](const Entry& entry) { return entry.status.resumable != 0; });
}

std::string WatchTable::who(size_t rank) const {
  return fmt::format("rank {} on {}", rank, ranks_[rank].host);
}

// "rank 1 on n2", "rank 1 on n2 and rank 3 on n4", "rank 1 on n2, rank 3 on n4 and 12 more".
std::string WatchTable::ranks_text(const std::vector<size_t>& ranks) const {
  constexpr size_t told = 8;
  std::string text;
  for (size_t i = 0; i < std::min(told, ranks.size()); ++i) {
    bool last = i + 1 == ranks.size();
    text += fmt::format("{}{}", i == 0 ? "" : last ? " and " : ", ", who(ranks[i]));
  }
  if (ranks.size() > told) text += fmt::format(" and {} more", ranks.size() - told);
  return text;
}

std::optional<std::string> WatchTable::judge(double now) const {
  for (size_t r = 0; r < ranks_.size(); ++r) {
    if (ranks_[r].state == State::failing) {  // its message and its code are to be the job's
      if (now - ranks_[r].failed < failing_seconds) return std::nullopt;
      return fmt::format("{} has failed, and the job has not ended in {:.0f} s", who(r), failing_seconds);
    }
  }
  std::vector<size_t> lost;
  for (size_t r = 0; r < ranks_.size(); ++r) {
    if (ranks_[r].state == State::lost) lost.push_back(r);
  }
  if (!lost.empty()) {
    return fmt::format("{} {} gone without a word (killed, crashed, or its node died), last seen at {}",
                       ranks_text(lost), lost.size() == 1 ? "is" : "are", place_of(ranks_[lost[0]].status));
  }
  if (auto silent = judge_silent(now)) return silent;
  return judge_waiting(now);
}

std::optional<std::string> WatchTable::judge_silent(double now) const {
  std::vector<size_t> silent;
  for (size_t r = 0; r < ranks_.size(); ++r) {
    if (ranks_[r].state == State::here && now - ranks_[r].heard >= timeout_) silent.push_back(r);
  }
  if (silent.empty()) return std::nullopt;
  auto further = [](const Entry& a, const Entry& b) { return a.status.begun < b.status.begun; };
  const Entry& furthest = *std::max_element(ranks_.begin(), ranks_.end(), further);
  return fmt::format(
      "nothing has been heard of {} for {:.0f} s (stopped, or the host is cut off), last seen at {}; others "
      "are at {}; "
      "see comm.timeout_seconds",
      ranks_text(silent), timeout_, place_of(ranks_[silent[0]].status), place_of(furthest.status));
}

std::optional<std::string> WatchTable::judge_waiting(double now) const {
  const Entry* longest = nullptr;
  for (const Entry& entry : ranks_) {
    bool waits = entry.state == State::here && entry.status.waits() && now - entry.moved >= timeout_;
    if (waits && (longest == nullptr || entry.status.begun > longest->status.begun)) longest = &entry;
  }
  if (longest == nullptr) return std::nullopt;
  // Those who have come to the fewest operations: who is between them and the longest waits for them in turn.
  std::vector<size_t> missing;
  uint64_t least = longest->status.begun;
  for (size_t r = 0; r < ranks_.size(); ++r) {
    bool judged = ranks_[r].state == State::here || ranks_[r].state == State::left;
    if (!judged || ranks_[r].status.begun >= longest->status.begun || ranks_[r].status.begun > least)
      continue;
    if (ranks_[r].status.begun < least) missing.clear();
    least = ranks_[r].status.begun;
    missing.push_back(r);
  }
  std::string place = place_of(longest->status);
  if (missing.empty()) {
    return fmt::format("all ranks have waited {:.0f} s at {}: messages do not get through", timeout_, place);
  }
  const RankStatus& first = ranks_[missing[0]].status;
  return fmt::format(
      "{} {} not arrived at {}, where others have waited for {:.0f} s; {} is at {} ({}); see "
      "comm.timeout_seconds",
      ranks_text(missing), missing.size() == 1 ? "has" : "have", place, timeout_, who(missing[0]),
      place_of(first),
      ranks_[missing[0]].state == State::left ? "it has ended"
      : first.waits()                         ? "waiting there"
                                              : "which it has done");
}

}  // namespace trireme
