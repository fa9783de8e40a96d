// Parameter groups: from tensors' names to the settings that they move by.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/range.h"
#include "config/config.h"
#include "optim/optimizer.h"

namespace trireme {

// A tensor of the parameter arena as groups see it.
struct ParameterTensor {
  std::string name;
  size_t rank = 0;
  Range range;  // with the padding behind it
};

// A span for each tensor. Without a group, tensors of rank above 1 decay by config.weight_decay, vectors and
// scalars (biases, norms) do not. The first group of which a pattern fits the name (fnmatch(3), in which *
// stands for dots too) sets its factor and, unless it is -1, its weight_decay. Trust ratios are for tensors
// of rank above 1, as You et al. leave biases and norms out of them. Throws ConfigError naming a pattern that
// fits no tensor, with the nearest name, or one all of whose tensors belong to groups before.
std::vector<UpdateSpan> update_spans(std::span<const ParameterTensor> tensors, const OptimizerConfig& config);

}  // namespace trireme
