// What a start of a sweep finds out from the journal of earlier ones.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "sweep/record.h"

namespace trireme {

struct RestartState {
  bool first = true;      // nobody has started it before
  bool finished = false;  // its budget was spent
  double seconds = 0;     // that earlier starts have worked
  // How often in a row each trial has crashed at the same place: without a report since the crash before.
  std::map<int64_t, int> crashes;
};

// From the records of one worker, in their order.
RestartState restart_state(const std::vector<Record>& records);

}  // namespace trireme
