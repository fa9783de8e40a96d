#include "sweep/results/timeline.h"

#include <algorithm>
#include <map>
#include <utility>

namespace trireme {
namespace {

// What is going on in one worker.
struct Open {
  bool started = false;
  size_t start = 0;                 // in Timeline::starts
  std::map<int64_t, size_t> spans;  // trial: in Timeline::spans
  double last = 0;                  // its newest record
};

class TimelineMaker {
 public:
  Timeline make(const std::vector<SweepEvent>& events, double now) {
    for (const SweepEvent& event : events) {
      Open& open = open_[event.worker];
      double time = event.record.time;
      std::visit([&](const auto& what) { take(what, event.worker, open, time); }, event.record.what);
      open.last = std::max(open.last, time);
    }
    for (auto& [worker, open] : open_) {
      if (!open.started) continue;
      timeline_.starts[open.start].open = true;
      finish(open, std::max(now, open.last), "running");
    }
    sum_up();
    return std::move(timeline_);
  }

 private:
  // Nothing here must go wrong on what History has accepted; what it would refuse is passed over.
  template <class Other>
  void take(const Other&, int64_t, Open&, double) {}

  void take(const StartRecord& start, int64_t worker, Open& open, double time) {
    // The newest record before it is the best witness of a crash.
    if (open.started) finish(open, open.last, "lost");
    open.started = true;
    open.start = timeline_.starts.size();
    timeline_.starts.push_back({.worker = worker, .ranks = start.ranks, .begin = time, .end = time});
  }
  void take(const BeginRecord& begin, int64_t worker, Open& open, double time) {
    open.spans[begin.trial] = timeline_.spans.size();
    timeline_.spans.push_back({.trial = begin.trial,
                               .worker = worker,
                               .ranks = begin.ranks,
                               .begin = time,
                               .end = time,
                               .how = "running"});
  }
  void take(const EndRecord& end, int64_t, Open& open, double time) {
    auto found = open.spans.find(end.trial);
    if (found == open.spans.end()) return;  // it held no ranks
    RankSpan& span = timeline_.spans[found->second];
    span.end = time;
    span.how = end.state;
    open.spans.erase(found);
  }
  void take(const CloseRecord&, int64_t, Open& open, double time) {
    if (open.started) finish(open, time, "interrupted");
  }

  void finish(Open& open, double time, const std::string& how) {
    for (auto [trial, index] : open.spans) {
      timeline_.spans[index].end = time;
      timeline_.spans[index].how = how;
    }
    open.spans.clear();
    timeline_.starts[open.start].end = time;
    open.started = false;
  }

  void sum_up() {
    std::map<int64_t, double> seconds;
    for (const SweepStart& start : timeline_.starts) {
      timeline_.rank_seconds += start.ranks * (start.end - start.begin);
      seconds[start.worker] += start.end - start.begin;
      timeline_.seconds = std::max(timeline_.seconds, seconds[start.worker]);
    }
    for (const RankSpan& span : timeline_.spans) {
      timeline_.busy_seconds += static_cast<double>(span.ranks.size()) * (span.end - span.begin);
    }
  }

  std::map<int64_t, Open> open_;
  Timeline timeline_;
};

}  // namespace

Timeline timeline_of(const SweepView& view, double now) {
  return TimelineMaker().make(view.events, view.is_silent(now) ? view.last_sign : now);
}

}  // namespace trireme
