#include <array>
#include <utility>

#include "base/error.h"
#include "optim/optimizer.h"

namespace trireme {
namespace {

struct Row {
  std::string_view kind;
  std::unique_ptr<Optimizer> (*make)(const OptimizerConfig&, std::vector<UpdateSpan>);
};

constexpr std::array rows{
    Row{"sgd", make_sgd},         Row{"adam", make_adam},       Row{"adamw", make_adamw},
    Row{"rmsprop", make_rmsprop}, Row{"adagrad", make_adagrad}, Row{"lamb", make_lamb},
    Row{"lars", make_lars},
};

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, std::vector<UpdateSpan> spans) {
  for (const Row& row : rows) {
    if (row.kind == config.kind) return row.make(config, std::move(spans));
  }
  throw ConfigError("optimizer.kind = \"{}\": no such update rule", config.kind);
}

std::vector<std::string_view> optimizer_kinds() {
  std::vector<std::string_view> kinds;
  for (const Row& row : rows) kinds.push_back(row.kind);
  return kinds;
}

}  // namespace trireme
