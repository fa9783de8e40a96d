#include <algorithm>
#include <map>
#include <utility>

#include "sweep/results.h"

namespace trireme {

void SweepView::add(SweepEvent event) {
  history.apply(event.record, event.worker);
  last_sign = std::max(last_sign, event.record.time);
  events.push_back(std::move(event));
}

bool SweepView::is_open() const {
  std::map<int64_t, bool> open;
  for (const SweepEvent& event : events) {
    open[event.worker] = !std::holds_alternative<CloseRecord>(event.record.what);
  }
  return std::any_of(open.begin(), open.end(), [](const auto& worker) { return worker.second; });
}

}  // namespace trireme
