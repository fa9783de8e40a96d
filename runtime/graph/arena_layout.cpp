#include "graph/arena_layout.h"

#include "base/error.h"
#include "base/nearest_name.h"

namespace trireme {
namespace {

const ArenaTensor& find(const std::vector<ArenaTensor>& tensors, std::string_view name,
                        std::string_view kind) {
  for (const ArenaTensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  std::vector<std::string> names;
  for (const ArenaTensor& tensor : tensors) names.push_back(tensor.name);
  if (names.empty()) throw GraphError("there is no {} '{}': the model has none", kind, name);
  throw GraphError("there is no {} '{}'; the nearest is '{}'", kind, name, nearest_name(name, names));
}

}  // namespace

size_t ArenaLayout::parameter_count() const {
  size_t count = 0;
  for (const ArenaTensor& tensor : parameters) count += tensor.size();
  return count;
}

const ArenaTensor& ArenaLayout::parameter(std::string_view name) const {
  return find(parameters, name, "parameter");
}
const ArenaTensor& ArenaLayout::state(std::string_view name) const { return find(states, name, "state"); }
const ArenaTensor& ArenaLayout::statistic(std::string_view name) const {
  return find(statistics, name, "statistic");
}

}  // namespace trireme
