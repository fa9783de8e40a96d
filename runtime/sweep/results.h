// What people take out of a sweep: files of its folder, made from the history. How they look is told in
// results/README.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "config/sweep_config.h"
#include "sweep/history.h"
#include "sweep/space.h"

namespace trireme {

// A record, and whose journal has it: 0, but in a job array.
struct SweepEvent {
  int64_t worker = 0;
  Record record;
};

// Everything that a sweep's folder tells, read back.
struct SweepView {
  SweepConfig config;
  Space space;
  History history;
  std::vector<SweepEvent> events = {};     // of all writers, in the order of their times
  size_t past = 0;                         // so many of the first ones are of earlier starts
  std::vector<std::string> warnings = {};  // torn lines
  int64_t max_epochs = 0;                  // train.epochs of the base config
  // The newest sign of life of those who write: a record, or a heartbeat. Seconds since 1970.
  double last_sign = 0;

  // Takes one more: the history and the events have it. Throws DataError as History::apply().
  void add(SweepEvent event);
  // Whether a worker has not closed its journal: it runs, or was killed.
  bool is_open() const;
  // Such a one, and silent for more than a minute.
  bool is_silent(double now) const { return is_open() && now - last_sign > 60; }
};

// Reads the folder without disturbing who writes it: a last line that is not whole yet is left out (and is a
// warning only when nobody seems to write it any more). Throws MissingInputError, DataError, ConfigError.
SweepView open_sweep(const std::filesystem::path& folder);
// The same without any records; `shared`: for those of several workers.
SweepView open_sweep_without_records(const std::filesystem::path& folder, bool shared);
// The folder that somebody means who names a sweep's folder, the sweep.toml in it, or a sweep file, whose
// folder is `run_directory`, or runs/<sweep.name> where that is empty. Throws MissingInputError, ConfigError.
std::filesystem::path find_sweep(const std::string& text, const std::string& run_directory = "");

// best.toml: the complete training config of the best trial so far, also one that still runs or is paused (of
// several objectives: best.toml of the front's first by the first objective, best-1.toml ... of the others),
// ready for trireme-train, with comments of where it comes from. Returns the files; none while no trial has
// come to a score. Those of an earlier, longer front go. Throws IoError; ConfigError when the base config
// cannot be read any more. A file that is there already with that text is left alone.
std::vector<std::filesystem::path> write_best(const std::filesystem::path& folder, const SweepView& view);
// sweep.jsonl: a JSON object a trial, in the order of numbers: values, state, scores as measured, curve,
// seconds.
void write_trials(const std::filesystem::path& folder, const SweepView& view);
// report.html: one self-contained page: history of the best, parallel coordinates, slices, importances, the
// Pareto front, learning curves, who was busy when, all trials. `now`: seconds since 1970.
void write_report(const std::filesystem::path& folder, const SweepView& view, double now);

// The same as texts; of write_best() by their names.
std::vector<std::pair<std::string, std::string>> bests_of(const SweepView& view);
std::string trials_of(const SweepView& view);
std::string report_of(const SweepView& view, double now);
// A line a trial (RFC 4180): trial, state, reason, ranks, attempts, parent, epochs, steps, rank_seconds, the
// objectives as measured, other figures of the report that they come from, and the parameters; empty where
// one is not active.
std::string csv_of(const SweepView& view);
// "show": best so far, running trials with their curves, utilisation. `columns`, `rows`: of the terminal;
// no line is wider and there are no more lines (rows 0: as many as it takes). `now`: seconds since 1970.
std::string table_of(const SweepView& view, int columns, int rows, double now);

}  // namespace trireme
