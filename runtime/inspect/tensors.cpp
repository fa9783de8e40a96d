#include "inspect/tensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace trireme {
namespace {

void append(const std::string& prefix, const std::vector<NamedTensor>& tensors,
            std::vector<PlacedTensor>& all) {
  for (const NamedTensor& tensor : tensors) all.push_back({prefix + tensor.name, tensor});
}

}  // namespace

std::vector<PlacedTensor> placed_tensors(const CheckpointContent& content) {
  std::vector<PlacedTensor> all;
  append("parameters/", content.parameters, all);
  for (const OptimizerSlot& slot : content.slots) append("optimizer/" + slot.name + "/", slot.tensors, all);
  append("state/", content.states, all);
  return all;
}

TensorFigures figures_of(const NamedTensor& tensor) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  TensorFigures figures{0, infinity, -infinity, 0};
  double squares = 0;
  for (float value : tensor.values) {
    if (!std::isfinite(value)) {
      ++figures.non_finite;
      continue;
    }
    double wide = value;
    squares += wide * wide;
    figures.min = std::min(figures.min, wide);
    figures.max = std::max(figures.max, wide);
  }
  figures.norm = std::sqrt(squares);
  if (figures.min > figures.max) figures.norm = figures.min = figures.max = std::nan("");
  return figures;
}

TensorDistance distance_of(const NamedTensor& a, const NamedTensor& b) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  TensorDistance distance;
  double squares_of_difference = 0, squares = 0;
  for (size_t i = 0; i < a.values.size(); ++i) {
    double was = a.values[i], is = b.values[i];
    bool same = std::memcmp(&a.values[i], &b.values[i], sizeof(float)) == 0;
    distance.equal = distance.equal && same;
    double difference = same ? 0 : std::abs(is - was);
    if (std::isnan(difference)) difference = infinity;
    distance.max_abs = std::max(distance.max_abs, difference);
    squares_of_difference += difference * difference;
    if (std::isfinite(was)) squares += was * was;
  }
  // Nothing over nothing is no difference.
  distance.relative = squares_of_difference == 0 ? 0 : std::sqrt(squares_of_difference / squares);
  return distance;
}

}  // namespace trireme
