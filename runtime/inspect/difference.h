// diff: what is another in one checkpoint than in another.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/shape.h"
#include "checkpoint/content.h"
#include "checkpoint/reader.h"
#include "inspect/report.h"
#include "inspect/tensors.h"

namespace trireme {

// nullopt: the config has no such key.
struct ConfigDifference {
  std::string key;
  std::optional<std::string> was;
  std::optional<std::string> is;
};

// A tensor of both.
struct TensorDifference {
  std::string path;
  Shape was, is;
  std::optional<TensorDistance> distance;  // of equal shapes
};

struct CheckpointDifference {
  std::vector<ConfigDifference> config;
  std::vector<TensorDifference> tensors;
  std::vector<std::string> only_first, only_second;  // paths of tensors
  bool none() const;
};

CheckpointDifference difference_of(const CheckpointContent& a, const CheckpointContent& b);
Report difference_report(const Checkpoint& a, const Checkpoint& b);

}  // namespace trireme
