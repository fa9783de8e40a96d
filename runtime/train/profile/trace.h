// A recording in the Chrome trace event format ("Trace Event Format", Google, 2016), which Perfetto and
// chrome://tracing open: complete events ("X") in microseconds, a process a rank, a thread a lane.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "exec/step_timeline.h"

namespace trireme {

// Lanes of a rank.
inline constexpr int steps_lane = 0;     // one event a step
inline constexpr int parts_lane = 1;     // kernels and the other parts of the steps, end to end
inline constexpr int exchange_lane = 2;  // the communication thread's jobs

// Events of rank `rank`, separated by commas, without brackets. Time 0 is `origin`. Whole steps from the
// first on, as many as have `most_events` events together, but one at least. Seams below a microsecond that
// are no kernels are left out.
std::string trace_events(const StepRecording& recording, int rank, StepTimeline::Clock::time_point origin,
                         size_t most_events);

// The file: the events of all ranks together.
std::string trace_file(const std::vector<std::string>& events_of_ranks);

}  // namespace trireme
