// What the journal of a sweep holds: one thing that happened, a JSON object a line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace trireme {

// A start of the sweep: the first, or one after a stop, a crash or a requeue. Trials that were running then
// are waiting from here on.
struct StartRecord {
  std::string sweep;  // hash of what must not change between starts: space, objectives, seed
  int ranks = 1;
  std::string version;
  bool steps = false;  // trials are processes of their own, which the sweep's death leaves unharmed
};

// A point that the sampler suggests. Values are TOML literals of the active parameters.
struct SuggestRecord {
  int64_t trial = 0;
  std::vector<std::pair<std::string, std::string>> values;
  std::vector<double> point;  // the same, as Point; nan is null in JSON
  int width = 1;
  int64_t based_on = 0;  // records that the sampler had seen
  int64_t parent = -1;
};

// Ranks take up the trial: for the first time, again after a crash, or from its paused state.
struct BeginRecord {
  int64_t trial = 0;
  int attempt = 1;         // Trial::attempts + 1 of a waiting trial, Trial::attempts of a paused one
  bool resumed = false;    // from its paused state
  std::vector<int> ranks;  // of the world
  int64_t source = -1;     // population-based training: the trial whose state it takes over
  std::vector<std::pair<std::string, std::string>> values;  // with a source: its new values
  std::vector<double> point;
};

struct ReportRecord {
  int64_t trial = 0;
  int64_t epoch = 0;
  int64_t step = 0;
  double seconds = 0;
  std::vector<std::pair<std::string, double>> figures;  // "validation.loss" ... as measured
  std::vector<double> scores;
};

// What the scheduler answered to the report before, where it was not to go on.
struct DecisionRecord {
  int64_t trial = 0;
  int64_t epoch = 0;
  std::string verdict;  // "stop", "pause"
  std::string reason;
};

// The ranks are free again. state: "finished", "stopped", "failed", "paused", "interrupted" (the sweep is
// being stopped: it will go on later), "crashed" (it shall be begun once more). A trial that waits or is
// paused, and holds no ranks, ends as "stopped" or "failed" alone.
struct EndRecord {
  int64_t trial = 0;
  std::string state;
  std::string reason;
  double seconds = 0;  // that the ranks were held
  int64_t steps = 0;
};

// The sweep is over, "finished" (its budget is spent), or "stopped" (to be gone on with).
struct CloseRecord {
  std::string state;
  std::string reason;
};

struct Record {
  int64_t number = 0;  // from 0, in the journal of its writer
  double time = 0;     // seconds since 1970
  std::variant<StartRecord, SuggestRecord, BeginRecord, ReportRecord, DecisionRecord, EndRecord, CloseRecord>
      what;
};

// One line of JSON, without its end: {"n": 12, "time": ..., "event": "suggest", ...}. Doubles read back to
// the same bits.
std::string to_json(const Record& record);
// Throws DataError when it is no record, saying what is missing or wrong.
Record record_from_json(std::string_view json);

}  // namespace trireme
