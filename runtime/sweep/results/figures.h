// What trials have measured beside their scores.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sweep/results.h"

namespace trireme {

using Figures = std::vector<std::pair<std::string, double>>;  // "validation.accuracy", as measured

// By trial, then by epoch. An epoch that was trained again after a crash has its newest.
std::map<int64_t, std::map<int64_t, Figures>> figures_of(const SweepView& view);

// The epoch that a trial's scores come from: of its last report, or its best one (objective.at).
int64_t epoch_of_scores(const Trial& trial);

}  // namespace trireme
