// How parameters, gradients, statistics and states lie in their arenas. Offsets count elements, not bytes.
//
//   parameter arena  [ parameters ........ ]
//   gradient arena   [ gradients  ........ | statistics ]   same offsets as the parameters, then the tail
//   state arena      [ states ]
//
// Parameters lie in the order in which their gradients become ready. Every tensor starts at a multiple of
// `arena_alignment` elements; the gap before the next is always zero, in all arenas.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/range.h"
#include "base/shape.h"

namespace trireme {

inline constexpr size_t arena_alignment = 16;

struct ArenaTensor {
  std::string name;
  Shape shape;
  size_t offset = 0;
  size_t size() const { return static_cast<size_t>(shape.elements()); }
  Range range() const { return {offset, offset + size()}; }
};

// A statistic that moves a running mean: state = (1 - momentum) * state + momentum * statistic.
struct RunningMean {
  size_t statistic_offset = 0;  // in the gradient arena
  size_t state_offset = 0;      // in the state arena
  size_t size = 0;
  double momentum = 0.1;
};

struct ArenaLayout {
  std::vector<ArenaTensor> parameters;
  std::vector<ArenaTensor> states;
  std::vector<ArenaTensor> statistics;  // offsets in the gradient arena
  std::vector<RunningMean> running_means;
  size_t parameter_elements = 0;  // extent of the parameter arena, padding included
  size_t gradient_elements = 0;   // parameter_elements and the statistics behind them
  size_t state_elements = 0;

  // Number of learned values, without padding.
  size_t parameter_count() const;
  // Throw GraphError when there is no such tensor.
  const ArenaTensor& parameter(std::string_view name) const;
  const ArenaTensor& state(std::string_view name) const;
  const ArenaTensor& statistic(std::string_view name) const;
};

}  // namespace trireme
