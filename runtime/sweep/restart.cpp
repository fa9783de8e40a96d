#include "sweep/restart.h"

#include <algorithm>
#include <set>
#include <variant>

namespace trireme {
namespace {

struct Reader {
  RestartState state;
  double start = 0;                   // of the start that is being read
  bool steps = false;                 // it has run trials in steps of their own
  double last = 0;                    // the newest record's time
  std::map<int64_t, double> running;  // begun and not ended, and when
  std::set<int64_t> reported;         // of these, such as have reported since
  std::set<int64_t> told_to_end;      // of these

  void read(const StartRecord& record, double time) {
    steps = record.steps;
    if (!state.first) state.seconds += last - start;
    state.first = false;
    state.finished = false;
    start = time;
    for (const auto& [trial, begun] : running) {
      if (told_to_end.count(trial) == 0) count_crash(trial);
    }
    running.clear();
  }
  void read(const SuggestRecord&, double) {}
  void read(const BeginRecord& record, double time) {
    running[record.trial] = time;
    reported.erase(record.trial);
    told_to_end.erase(record.trial);
  }
  // A trial without checkpoints says again what it has said before: it has got no further by that.
  void read(const ReportRecord& record, double) {
    int64_t& furthest = state.furthest[record.trial];
    if (record.epoch > furthest) reported.insert(record.trial);
    furthest = std::max(furthest, record.epoch);
  }
  void read(const DecisionRecord& record, double) { told_to_end.insert(record.trial); }
  void read(const EndRecord& record, double) {
    running.erase(record.trial);
    if (record.state == "crashed") {
      if (told_to_end.count(record.trial) != 0) return;  // what had been decided happens
      count_crash(record.trial);
      state.reasons[record.trial] = record.reason;
    } else if (record.state != "interrupted") {
      state.crashes.erase(record.trial);
      state.reasons.erase(record.trial);
    }
  }
  void read(const CloseRecord& record, double) { state.finished = record.state == "finished"; }

  void count_crash(int64_t trial) {
    int& crashes = state.crashes[trial];
    crashes = reported.count(trial) != 0 ? 1 : crashes + 1;
  }

  // Of those that run at the end of the journal, which were lost with this start.
  void read_notes(const std::function<std::optional<std::string>(int64_t)>& note_of) {
    bool noted = false;
    for (const auto& [trial, begun] : running) {
      std::optional<std::string> note = note_of && !steps ? note_of(trial) : std::nullopt;
      noted |= note.has_value();
      EndRecord end{.trial = trial, .state = "interrupted", .reason = "another trial crashed"};
      if (steps) end.reason = "the sweep was killed, not its step";
      end.seconds = last - begun;
      if (note) {
        end.state = "crashed";
        end.reason = *note;
      }
      state.ends.push_back(end);
    }
    if (!noted && !steps) state.ends.clear();
  }
};

}  // namespace

RestartState restart_state(const std::vector<Record>& records,
                           const std::function<std::optional<std::string>(int64_t)>& note_of) {
  Reader reader;
  auto read = [&reader](const Record& record) {
    std::visit([&](const auto& what) { reader.read(what, record.time); }, record.what);
    reader.last = record.time;
  };
  for (const Record& record : records) read(record);
  bool first = reader.state.first;
  reader.read_notes(note_of);
  for (const EndRecord& end : reader.state.ends) reader.read(end, reader.last);
  // Those that run at the end of the journal crash with this start.
  bool finished = reader.state.finished;
  reader.read(StartRecord{}, reader.last);
  reader.state.first = first;
  reader.state.finished = finished;
  return reader.state;
}

}  // namespace trireme
