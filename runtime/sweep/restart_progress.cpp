#include <set>
#include <variant>

#include "sweep/restart.h"

namespace trireme {
namespace {

struct Reader {
  int64_t progress = 0;
  std::set<int64_t> running;  // begun and not ended
  std::map<int64_t, int64_t> furthest_epoch;
  std::map<int64_t, int64_t> furthest_step;  // at which it was interrupted

  void count(bool yes) { progress += yes ? 1 : 0; }

  // Whether `value` is the highest of the trial.
  static bool is_further(std::map<int64_t, int64_t>& furthest, int64_t trial, int64_t value) {
    int64_t& known = furthest[trial];
    if (value <= known) return false;
    known = value;
    return true;
  }

  void crash_running() {
    progress += static_cast<int64_t>(running.size());
    running.clear();
  }
  void read(const StartRecord&) { crash_running(); }
  void read(const SuggestRecord&) {}
  void read(const BeginRecord& record) { running.insert(record.trial); }
  void read(const ReportRecord& record) { count(is_further(furthest_epoch, record.trial, record.epoch)); }
  void read(const DecisionRecord&) {}
  void read(const EndRecord& record) {
    running.erase(record.trial);
    count(record.state != "interrupted" || is_further(furthest_step, record.trial, record.steps));
  }
  void read(const CloseRecord&) {}
};

}  // namespace

int64_t progress_of(const std::vector<Record>& records) {
  Reader reader;
  for (const Record& record : records) {
    std::visit([&](const auto& what) { reader.read(what); }, record.what);
  }
  reader.crash_running();  // as the start does that is to come
  return reader.progress;
}

}  // namespace trireme
