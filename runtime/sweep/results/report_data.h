// What report.html knows, as JSON.
#pragma once

#include <nlohmann/json.hpp>

#include "sweep/results.h"

namespace trireme {

// name, state, written, seconds, utilisation, spent, left, states, sampler, scheduler, seed, ranks, warnings;
// objectives: [{metric, maximized}]; parameters: [{key, kind, log, low, high, choices, when}];
// trials: [{n, state, reason, ranks, attempts, parent, values, scores, curve, busy, front}], values as in
// Point (null: not active), scores as measured, curve [[epoch, step, seconds, score ...] ...]; importances:
// an objective each, {singles, pairs} of [name, share, deviation]; starts: [[worker, ranks, begin, end]],
// spans: [[trial, worker, [ranks], begin, end, how]], seconds since the first start.
nlohmann::ordered_json report_data(const SweepView& view, double now);

}  // namespace trireme
