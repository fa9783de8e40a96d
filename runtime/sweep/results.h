// What people take out of a sweep: files of its folder, made from the history.
#pragma once

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "config/sweep_config.h"
#include "sweep/history.h"
#include "sweep/space.h"

namespace trireme {

// Everything that a sweep's folder tells, read back. Throws MissingInputError, DataError, ConfigError.
struct SweepView {
  SweepConfig config;
  Space space;
  History history;
  std::vector<Record> records;        // of all writers, in the order of their times
  std::vector<std::string> warnings;  // torn lines
  bool running = false;               // no close record is last
};
SweepView open_sweep(const std::filesystem::path& folder);

// best.toml: the complete training config of the best trial (of several objectives: best.toml of the front's
// first by the first objective, best-1.toml ... of the others), ready for trireme-train, with comments of
// where it comes from.
void write_best(const std::filesystem::path& folder, const SweepView& view);
// sweep.jsonl: a JSON object a trial, in the order of numbers: values, state, scores as measured, curve,
// seconds.
void write_trials(const std::filesystem::path& folder, const SweepView& view);
// report.html: one self-contained page: history of the best, parallel coordinates, slices, importances, the
// Pareto front, all trials.
void write_report(const std::filesystem::path& folder, const SweepView& view);
std::string csv_of(const SweepView& view);
// "show": best so far, running trials with their curves, utilisation. `columns`: of the terminal.
std::string table_of(const SweepView& view, int columns, int rows, double now);

}  // namespace trireme
