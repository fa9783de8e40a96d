#include "optim/groups.h"

#include <fnmatch.h>

#include <algorithm>

#include "base/error.h"
#include "base/nearest_name.h"

namespace trireme {
namespace {

[[noreturn]] void refuse(const OptimizerGroupConfig& group, const std::string& pattern,
                         std::span<const ParameterTensor> tensors, bool fits) {
  if (fits) {
    throw ConfigError(
        "{}: every parameter that \"{}\" names belongs to a group before; put the narrower group first",
        group.place.text, pattern);
  }
  std::vector<std::string> names;
  for (const ParameterTensor& tensor : tensors) names.push_back(tensor.name);
  throw ConfigError("{}: \"{}\" names no parameter; the nearest is \"{}\" (--plan prints all)",
                    group.place.text, pattern, nearest_name(pattern, names));
}

}  // namespace

std::vector<UpdateSpan> update_spans(std::span<const ParameterTensor> tensors,
                                     const OptimizerConfig& config) {
  std::vector<UpdateSpan> spans;
  for (const ParameterTensor& tensor : tensors) {
    bool matrix = tensor.rank > 1;
    spans.push_back({tensor.range, 1.0, matrix ? config.weight_decay : 0.0, matrix});
  }
  std::vector<bool> taken(tensors.size(), false);
  for (const OptimizerGroupConfig& group : config.group) {
    std::vector<bool> before = taken;
    for (const std::string& pattern : group.parameters) {
      bool fits = false;
      bool free = false;
      for (size_t i = 0; i < tensors.size(); ++i) {
        if (::fnmatch(pattern.c_str(), tensors[i].name.c_str(), 0) != 0) continue;
        fits = true;
        if (before[i]) continue;
        free = true;
        taken[i] = true;
        spans[i].learning_rate_factor = group.learning_rate_factor;
        if (group.weight_decay >= 0) spans[i].weight_decay = group.weight_decay;
      }
      if (!free) refuse(group, pattern, tensors, fits);
    }
  }
  return spans;
}

}  // namespace trireme
