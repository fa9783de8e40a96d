#include "exec/step_timeline.h"

#include <algorithm>

#include "base/error.h"

namespace trireme {
namespace {

// Room that has been written to once is there: a timed step meets no page for the first time.
template <class T>
void make_room(std::vector<T>& values, size_t count) {
  values.assign(count, T());
  values.clear();
}

}  // namespace

StepTimeline::StepTimeline(int64_t warm_up, int64_t timed) : warm_up_(warm_up), timed_(timed) {
  if (warm_up < 1 || timed < 1) {
    throw GraphError("a timeline of {} steps behind {} of warm-up: at least one of each is needed", timed,
                     warm_up);
  }
}

void StepTimeline::begin_step() {
  if (begun_ < warm_up_) {
    recording_.events.clear();
    recording_.exchanges.clear();
  } else if (begun_ == warm_up_) {
    begin_timed_steps();
  }
  ++begun_;
  if (begun_ == warm_up_ + 1) {
    part_ = StepPart::data;
    recording_.begin = Clock::now();
  } else {
    enter(StepPart::data);
  }
}

void StepTimeline::end_step() {
  enter(StepPart::other);
  if (begun_ > warm_up_) {
    recording_.step_ends.push_back(recording_.events.size());
  } else {
    most_events_ = std::max(most_events_, recording_.events.size());
    most_exchanges_ = std::max(most_exchanges_, recording_.exchanges.size());
  }
}

// A step of the warm-up may have been the short one of an epoch, or met fewer waits: hence twice as much.
void StepTimeline::begin_timed_steps() {
  auto steps = static_cast<size_t>(timed_);
  make_room(recording_.events, 2 * most_events_ * steps);
  make_room(recording_.exchanges, 2 * most_exchanges_ * steps);
  make_room(recording_.step_ends, steps);
}

}  // namespace trireme
