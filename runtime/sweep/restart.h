// What a start of a sweep finds out from the journal of earlier ones.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sweep/record.h"

namespace trireme {

struct RestartState {
  bool first = true;      // nobody has started it before
  bool finished = false;  // its budget was spent
  double seconds = 0;     // that earlier starts have worked
  // How often in a row each trial has crashed at the same place: without a report of a later epoch than ever.
  std::map<int64_t, int> crashes;
  std::map<int64_t, int64_t> furthest;     // epoch that each trial has reported
  std::map<int64_t, std::string> reasons;  // of such crashes, where they are known
  // Where trials that ran when the sweep died have left notes that it was they: how all that ran then are to
  // be recorded, before this start is. Those without one are not to blame, nor is any that ran in a
  // step of its own: had that died, the sweep would have written so. Empty where there are no notes of
  // others: then each may have been the one.
  std::vector<EndRecord> ends;
};

// From the records of one worker, in their order. `note_of`: what a trial's note of a crash says
// (crash_note.h), nothing where it has left none.
RestartState restart_state(const std::vector<Record>& records,
                           const std::function<std::optional<std::string>(int64_t)>& note_of = {});

// How far the sweep has come by these, for telling starts that lead nowhere. It grows by a report of a later
// epoch than ever, an end, an interruption after more steps than ever, and by a crash, of which a trial may
// have so many.
int64_t progress_of(const std::vector<Record>& records);

}  // namespace trireme
