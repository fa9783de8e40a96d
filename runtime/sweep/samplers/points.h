// What several samplers ask about points and trials.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/rng.h"
#include "sweep/history.h"
#include "sweep/space.h"

namespace trireme {

// Whether a trial of any state, waiting and running ones too, has had this point.
bool is_tried(const History& history, const Point& point);

// The first of at most `attempts` points made by `make` that is allowed and not yet tried; if there was none,
// a random one that is not tried; where the space seems to have none left, a random one.
Point untried_point(const Space& space, const History& history, RandomStream& random, int attempts,
                    const std::function<Point()>& make);
// A random one of those that are not tried, or of all where none seems to be left.
Point untried_random_point(const Space& space, const History& history, RandomStream& random);

// Numbers of the trials that a result is known of, in the order in which they ended: finished, stopped,
// failed (also without scores), and those that have paused, which may be running again.
std::vector<int64_t> ended_trials(const History& history);

// Whether its scores are a result. Those of a trial that failed after reporting are not, whatever they were
// on the way, nor are infinite ones.
bool has_result(const Trial& trial);

// Of each of `trials` how many fronts of better ones there are before it (Deb et al., "A fast and elitist
// multiobjective genetic algorithm: NSGA-II", 2002): 0 for those that nobody dominates. With one objective
// this is the place in the order of scores, equal ones sharing theirs. Trials without a result (has_result)
// have the last place.
std::vector<int64_t> front_ranks(const std::vector<const Trial*>& trials);

}  // namespace trireme
