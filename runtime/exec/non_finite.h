// Where numbers end: the first tensor of a program that holds nan or infinity.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/dtype.h"

namespace trireme {

struct NonFinite {
  // "parameter 'conv1.weight'", "input 'images' (sample 17 of the batch)", "'conv1.y' (output of convolution,
  // conv1)"
  std::string what;
  bool given = false;  // an input: the data hold it
  size_t order = 0;    // when it came up: 0 for what a step starts from, then 1 + the node's number
};

// Index of the first of `count` elements that is nan or infinite; nothing for integers.
std::optional<size_t> first_non_finite(const void* values, size_t count, DType type);

}  // namespace trireme
