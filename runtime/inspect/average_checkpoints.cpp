#include "inspect/average_checkpoints.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace trireme {

CheckpointAverage::CheckpointAverage(std::vector<double> weights) : weights_(std::move(weights)) {
  for (double weight : weights_) {
    if (!(weight >= 0) || !std::isfinite(weight)) {
      throw UsageError("--weights: {} is no weight; each is finite and at least 0", weight);
    }
  }
  double sum = std::accumulate(weights_.begin(), weights_.end(), 0.0);
  if (!(sum > 0) || !std::isfinite(sum)) throw UsageError("--weights: their sum is {}, not above 0", sum);
  for (double& weight : weights_) weight /= sum;
}

void CheckpointAverage::add(const Checkpoint& checkpoint) {
  if (added_ == 0) {
    first_ = checkpoint.directory().string();
    run_ = checkpoint.run();
    run_.validation.reset();
  }
  add_part(checkpoint, checkpoint.content().parameters, parameters_);
  add_part(checkpoint, checkpoint.content().states, states_);
  ++added_;
}

void CheckpointAverage::add_part(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                                 std::vector<Sum>& sums) {
  const double weight = weights_.at(added_);
  if (added_ == 0) {
    for (const NamedTensor& tensor : tensors) {
      sums.push_back({tensor.name, tensor.shape, std::vector<double>(tensor.values.size(), 0.0)});
    }
  }
  std::string here = checkpoint.directory().string();
  for (const NamedTensor& tensor : tensors) {
    auto named = [&](const Sum& sum) { return sum.name == tensor.name; };
    if (std::none_of(sums.begin(), sums.end(), named)) {
      throw CheckpointError("{}: has no tensor {}, which {} has: they are of different models", first_,
                            tensor.name, here);
    }
  }
  for (Sum& sum : sums) {
    auto found = std::find_if(tensors.begin(), tensors.end(),
                              [&](const NamedTensor& tensor) { return tensor.name == sum.name; });
    if (found == tensors.end()) {
      throw CheckpointError("{}: has no tensor {}, which {} has: they are of different models", here,
                            sum.name, first_);
    }
    if (found->shape != sum.shape) {
      throw CheckpointError("{}: tensor {} has shape {}, in {} it has {}: they are of different models", here,
                            sum.name, found->shape.to_string(), first_, sum.shape.to_string());
    }
    if (weight == 0) continue;  // no part in the sum, not even of a nan
    for (size_t i = 0; i < sum.values.size(); ++i) {
      sum.values[i] += weight * static_cast<double>(found->values[i]);
    }
  }
}

OwnedContent CheckpointAverage::result() const {
  OwnedContent result;
  result.content.run = run_;
  auto add_all = [&result](const std::vector<Sum>& sums, std::vector<NamedTensor>& list) {
    for (const Sum& sum : sums) {
      std::vector<float> values(sum.values.size());
      std::transform(sum.values.begin(), sum.values.end(), values.begin(),
                     [](double value) { return static_cast<float>(value); });
      result.add(list, sum.name, sum.shape, std::move(values));
    }
  };
  add_all(parameters_, result.content.parameters);
  add_all(states_, result.content.states);
  return result;
}

}  // namespace trireme
