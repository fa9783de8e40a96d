// The space that a sweep's file describes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "config/key_values.h"
#include "sweep/space.h"

namespace trireme {
namespace {

constexpr const char* width_key = "sweep.ranks_per_trial";

bool is_integer(const SpaceEntry& entry, Config base) {
  if (entry.distribution == "int" || entry.distribution == "log_int" || entry.key == width_key) return true;
  std::optional<ConfigKey> found = find_config_key(base, entry.key);
  return found && !std::holds_alternative<double*>(found->key.slot);
}

Parameter parameter_of(const SpaceEntry& entry, const Config& base) {
  Parameter parameter;
  parameter.key = entry.key;
  parameter.origin = entry.place.text;
  parameter.choices = entry.choices;
  if (entry.distribution == "choice") {
    parameter.kind = ParameterKind::choice;
  } else {
    parameter.kind = is_integer(entry, base) ? ParameterKind::integer : ParameterKind::real;
    parameter.low = entry.low;
    parameter.high = entry.high;
    parameter.step = entry.step;
    parameter.logarithmic = entry.distribution.starts_with("log_");
  }
  if (!entry.when.empty()) parameter.when.emplace(entry.when, entry.place.text);
  return parameter;
}

// A key that only some kinds read must not be active beside another: each such trial would fail. Found by
// looking at points: conditions may be of any form.
class ReaderCheck {
 public:
  ReaderCheck(const Space& space, const Config& base) : space_(space) {
    Config copy = base;
    for (size_t i = 0; i < space.size(); ++i) {
      std::optional<ConfigKey> found = find_config_key(copy, space[i].key);
      if (!found) continue;
      const KeyTable& table = found->table;
      std::string selector = fmt::format("{}.{}", table.name, table.selector);
      if (!value_of_key(base, selector) && !table.reads(found->key)) {
        throw ConfigError("{}: [space] {} is not read by kind = \"{}\" of the base config, only by {}",
                          space[i].origin, space[i].key, table.kind(),
                          fmt::join(found->key.rule.kinds, ", "));
      }
      if (table.has_kind()) add(i, selector, found->key.rule.kinds, base);
      add(i, "model.kind", found->key.rule.models, base);
      add(i, "model.kind", table.models, base);
    }
  }

  void check() const {
    constexpr uint64_t points = 1000;
    std::vector<double> unit(space_.size());
    for (uint64_t k = 0; k < points && !rules_.empty(); ++k) {
      RandomStream random(0, Purpose::sweep, k);
      for (double& one : unit) one = random.uniform();
      Point point = space_.from_unit(unit);
      if (!space_.allows(point)) continue;
      for (const Rule& rule : rules_) {
        if (!std::isnan(point[rule.parameter])) check_rule(rule, point);
      }
    }
  }

 private:
  struct Rule {
    size_t parameter;
    std::string selector;
    std::vector<std::string_view> kinds;  // that read it
    std::optional<size_t> searched;       // the selector as a parameter
    std::string value;                    // of it in the base config
  };

  void add(size_t i, const std::string& selector, const std::vector<std::string_view>& kinds,
           const Config& base) {
    std::optional<KeyValue> value = value_of_key(base, selector);
    if (kinds.empty() || !value) return;
    rules_.push_back({i, selector, kinds, space_.find(selector), std::get<std::string>(*value)});
  }

  void check_rule(const Rule& rule, const Point& point) const {
    bool drawn = rule.searched && !std::isnan(point[*rule.searched]);
    std::string value = rule.value;
    if (drawn)
      value = std::get<std::string>(key_value(space_.literal(*rule.searched, point[*rule.searched])));
    if (std::find(rule.kinds.begin(), rule.kinds.end(), value) != rule.kinds.end()) return;
    const Parameter& parameter = space_[rule.parameter];
    std::string remedy =
        fmt::format("add when = \"{} in ['{}']\"", rule.selector, fmt::join(rule.kinds, "', '"));
    throw ConfigError(
        "{}: [space] {} is not read by {} = \"{}\"{}, only by {}; {}", parameter.origin, parameter.key,
        rule.selector, value, drawn ? ", which may be drawn beside it" : " of the base config",
        fmt::join(rule.kinds, ", "), drawn ? remedy : fmt::format("set or search {} too", rule.selector));
  }

  const Space& space_;
  std::vector<Rule> rules_;
};

}  // namespace

Space make_space(const SweepConfig& config, const Config& base) {
  check_space_keys(config, base);
  std::vector<Parameter> parameters;
  for (const SpaceEntry& entry : config.space) parameters.push_back(parameter_of(entry, base));
  std::vector<Formula> constraints;
  for (const std::string& text : config.sweep.constraints) {
    constraints.emplace_back(text, config.where("sweep.constraints"));
  }
  FormulaValue width = static_cast<double>(config.sweep.ranks_per_trial);
  Space space(std::move(parameters), std::move(constraints), base, {{width_key, width}});
  ReaderCheck(space, base).check();
  return space;
}

}  // namespace trireme
