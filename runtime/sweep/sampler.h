// Who suggests points. A sampler is a pure function of (space, settings, seed, history, trial number): it may
// keep what it has worked out for a history that only grew since, but the answer is the same without. It
// never waits: trials that are still running are in the history too.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "config/sweep_config.h"
#include "sweep/history.h"
#include "sweep/space.h"

namespace trireme {

struct Suggestion {
  Point point;
  int64_t parent = -1;  // evolution: the trial that it is made from
};

class Sampler {
 public:
  virtual ~Sampler() = default;
  // A point for the trial `number`; settled and allowed (Space::settle, Space::allows). Nothing when there is
  // no further one (a grid that is done). Random draws come from RandomStream(seed, Purpose::sweep, number,
  // ...).
  virtual std::optional<Suggestion> suggest(const History& history, int64_t number) = 0;
};

// By the name of sweep.sampler: grid random sobol tpe gp cma_es evolution, one file each in samplers/.
// `space` outlives it. objectives: how many. Throws ConfigError naming the key where the sampler cannot serve
// the space or the objectives.
std::unique_ptr<Sampler> make_sampler(const SweepConfig& config, const Space& space);
std::vector<std::string_view> sampler_names();

}  // namespace trireme
