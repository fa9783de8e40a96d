#include <array>

#include "base/error.h"
#include "optim/optimizer.h"

namespace trireme {
namespace {

struct Row {
  std::string_view kind;
  std::unique_ptr<Optimizer> (*make)(const OptimizerConfig&, size_t);
};

constexpr std::array rows{
    Row{"sgd", make_sgd},
    Row{"adamw", make_adamw},
};

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, size_t parameter_elements) {
  for (const Row& row : rows) {
    if (row.kind == config.kind) return row.make(config, parameter_elements);
  }
  throw ConfigError("optimizer.kind = \"{}\": no such update rule", config.kind);
}

std::vector<std::string_view> optimizer_kinds() {
  std::vector<std::string_view> kinds;
  for (const Row& row : rows) kinds.push_back(row.kind);
  return kinds;
}

}  // namespace trireme
