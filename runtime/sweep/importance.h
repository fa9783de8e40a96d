// How much each parameter matters: functional analysis of variance by a random forest (Hutter, Hoos,
// Leyton-Brown, "An efficient approach for assessing hyperparameter importance", ICML 2014).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "sweep/history.h"
#include "sweep/space.h"

namespace trireme {

struct Importance {
  std::string name;      // a key, or "key x key" of a pair
  double share = 0;      // of the forest's variance, mean over trees
  double deviation = 0;  // over trees
};

struct ImportanceOptions {
  int trees = 64;
  int objective = 0;
  uint64_t seed = 1;
  bool pairs = true;
};

// Collective: each rank grows its part of the trees; all get the answer, which does not depend on the number
// of ranks. Singles first, by falling share, then pairs. Empty with fewer than 4 trials that are over and
// have scores.
std::vector<Importance> importance_of(const Space& space, const History& history,
                                      const ImportanceOptions& options, Communicator& communicator);

}  // namespace trireme
