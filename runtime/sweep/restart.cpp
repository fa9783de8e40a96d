#include "sweep/restart.h"

#include <set>
#include <variant>

namespace trireme {
namespace {

struct Reader {
  RestartState state;
  double start = 0;               // of the start that is being read
  double last = 0;                // the newest record's time
  std::set<int64_t> running;      // begun and not ended
  std::set<int64_t> reported;     // of these, such as have reported since
  std::set<int64_t> told_to_end;  // of these

  void read(const StartRecord&, double time) {
    if (!state.first) state.seconds += last - start;
    state.first = false;
    state.finished = false;
    start = time;
    for (int64_t trial : running) {
      if (told_to_end.count(trial) != 0) continue;
      int& crashes = state.crashes[trial];
      crashes = reported.count(trial) != 0 ? 1 : crashes + 1;
    }
    running.clear();
  }
  void read(const SuggestRecord&, double) {}
  void read(const BeginRecord& record, double) {
    running.insert(record.trial);
    reported.erase(record.trial);
    told_to_end.erase(record.trial);
  }
  void read(const ReportRecord& record, double) { reported.insert(record.trial); }
  void read(const DecisionRecord& record, double) { told_to_end.insert(record.trial); }
  void read(const EndRecord& record, double) {
    running.erase(record.trial);
    if (record.state == "crashed") {
      int& crashes = state.crashes[record.trial];
      crashes = reported.count(record.trial) != 0 ? 1 : crashes + 1;
    } else if (record.state != "interrupted") {
      state.crashes.erase(record.trial);
    }
  }
  void read(const CloseRecord& record, double) { state.finished = record.state == "finished"; }
};

}  // namespace

RestartState restart_state(const std::vector<Record>& records) {
  Reader reader;
  for (const Record& record : records) {
    std::visit([&](const auto& what) { reader.read(what, record.time); }, record.what);
    reader.last = record.time;
  }
  if (!reader.state.first) reader.state.seconds += reader.last - reader.start;
  // Those that run at the end of the journal crash with this start.
  for (int64_t trial : reader.running) {
    if (reader.told_to_end.count(trial) != 0) continue;
    int& crashes = reader.state.crashes[trial];
    crashes = reader.reported.count(trial) != 0 ? 1 : crashes + 1;
  }
  return reader.state;
}

}  // namespace trireme
