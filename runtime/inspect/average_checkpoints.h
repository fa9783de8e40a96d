// average: several checkpoints of one model become one (Izmailov et al., "Averaging weights leads to wider
// optima and better generalization", arXiv 1803.05407; Wortsman et al., "Model soups", arXiv 2203.05482).
#pragma once

#include <string>
#include <vector>

#include "checkpoint/reader.h"
#include "inspect/owned_content.h"

namespace trireme {

// sum of w_i * tensor_i / sum of w_i, in double and in the order in which they are added, for parameters and
// for states (moving statistics). The optimizer's slots fit none of the averages and are left out; the run
// record is the first one's, without its validation.
//
// Checkpoints are added one by one, so that one at a time is in memory beside the sums.
class CheckpointAverage {
 public:
  // One weight, finite and not negative, for each checkpoint to be added; not all zero. Else UsageError.
  explicit CheckpointAverage(std::vector<double> weights);

  // Throws CheckpointError naming a tensor that is missing in this one or in the first, or has another shape.
  void add(const Checkpoint& checkpoint);
  // Once all are added.
  OwnedContent result() const;

 private:
  struct Sum {
    std::string name;
    Shape shape;
    std::vector<double> values;
  };
  void add_part(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                std::vector<Sum>& sums);

  std::vector<double> weights_;
  size_t added_ = 0;
  std::string first_;  // its folder
  CheckpointRun run_;
  std::vector<Sum> parameters_, states_;
};

}  // namespace trireme
