// A checkpoint's tensors in one row, and what there is to say of one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/content.h"

namespace trireme {

// With the name that its place in a checkpoint gives it: "parameters/conv1.weight",
// "optimizer/momentum/conv1.weight", "state/norm1.running_mean".
struct PlacedTensor {
  std::string path;
  NamedTensor tensor;
};

// Parameters, slots, states, in this order.
std::vector<PlacedTensor> placed_tensors(const CheckpointContent& content);

// Over the finite values; nan where there are none.
struct TensorFigures {
  double norm = 0;  // L2
  double min = 0;
  double max = 0;
  int64_t non_finite = 0;  // nan and infinities
};

TensorFigures figures_of(const NamedTensor& tensor);

// How far b is from a; they are of one shape.
struct TensorDistance {
  bool equal = true;    // bit for bit
  double max_abs = 0;   // of b - a; infinite where one is not finite and the other is not the same
  double relative = 0;  // L2 norm of b - a over that of a; infinite where a is zero and b is not
};

TensorDistance distance_of(const NamedTensor& a, const NamedTensor& b);

}  // namespace trireme
