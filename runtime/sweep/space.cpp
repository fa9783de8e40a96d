#include "sweep/space.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "config/key_values.h"

namespace trireme {
namespace {

constexpr double inactive = std::numeric_limits<double>::quiet_NaN();

// 0 + 3 * 0.1 is 0.30000000000000004; people mean 0.3.
double tidy(double value) { return std::stod(fmt::format("{:.12g}", value)); }

double step_of(const Parameter& parameter) { return parameter.step > 0 ? parameter.step : 1; }

// Where the interval of the k-th value begins, on the scale of the parameter's logarithm. Below the lowest
// value it reaches as far as above it, but not to 0 or beyond.
double logarithmic_edge(const Parameter& parameter, int64_t k) {
  const double half = step_of(parameter) / 2;
  if (k == 0) return std::log(std::max(parameter.low - half, parameter.low / 2));
  return std::log(parameter.value_at(k - 1) + half);
}

void check_range(const Parameter& parameter) {
  auto fail = [&](const std::string& reason) {
    throw ConfigError("{}: {}: {}", parameter.origin, parameter.key, reason);
  };
  if (parameter.kind == ParameterKind::choice) {
    if (parameter.choices.empty()) fail("has no choices");
    return;
  }
  if (!std::isfinite(parameter.low) || !std::isfinite(parameter.high)) fail("a bound is not finite");
  if (parameter.low > parameter.high) {
    fail(fmt::format("the range [{}, {}] is empty; the lower bound comes first", parameter.low,
                     parameter.high));
  }
  if (parameter.logarithmic && parameter.low <= 0) {
    fail(fmt::format("a logarithmic range begins above 0, not at {}", parameter.low));
  }
  bool whole = parameter.low == std::floor(parameter.low) && parameter.high == std::floor(parameter.high) &&
               parameter.step == std::floor(parameter.step);
  if (parameter.kind == ParameterKind::integer && !whole) fail("an integer's bounds and step are whole");
  if (parameter.step < 0 || !std::isfinite(parameter.step)) fail("a step is above 0");
  if (parameter.step > 0 || parameter.kind == ParameterKind::integer) {
    constexpr double most = 1e15;  // beyond, neighbours are no longer told apart
    double steps = (parameter.high - parameter.low) / step_of(parameter);
    if (std::max({steps, std::abs(parameter.low), std::abs(parameter.high)}) > most) {
      fail("there are more than 1e15 values");
    }
  }
}

// Each after those that its condition speaks of; among those that may come, the first of the file.
std::vector<Parameter> in_order(std::vector<Parameter> parameters) {
  std::vector<Parameter> ordered;
  auto waits_for = [&](const Parameter& parameter, const Parameter& other) {
    if (!parameter.when) return false;
    const auto& keys = parameter.when->keys();
    return std::find(keys.begin(), keys.end(), other.key) != keys.end();
  };
  while (!parameters.empty()) {
    auto next = std::find_if(parameters.begin(), parameters.end(), [&](const Parameter& one) {
      return std::none_of(parameters.begin(), parameters.end(),
                          [&](const Parameter& other) { return waits_for(one, other); });
    });
    if (next == parameters.end()) {
      std::vector<std::string> keys;
      for (const Parameter& one : parameters) keys.push_back(one.key);
      throw ConfigError("{}: the conditions of {} go in a circle: each waits for another, or for itself",
                        parameters.front().origin, fmt::join(keys, ", "));
    }
    ordered.push_back(std::move(*next));
    parameters.erase(next);
  }
  return ordered;
}

}  // namespace

int64_t Parameter::count() const {
  if (kind == ParameterKind::choice) return static_cast<int64_t>(choices.size());
  if (kind == ParameterKind::real && step == 0) return 0;
  // The last step counts though rounding puts it a hair above `high`.
  return static_cast<int64_t>(std::floor((high - low) / step_of(*this) * (1 + 1e-12) + 1e-12)) + 1;
}

double Parameter::value_at(int64_t k) const {
  if (kind == ParameterKind::choice) return static_cast<double>(k);
  double value = low + static_cast<double>(k) * step_of(*this);
  return kind == ParameterKind::integer ? value : std::clamp(tidy(value), low, high);
}

int64_t Parameter::nearest_value(double value) const {
  double base = kind == ParameterKind::choice ? 0 : low;
  double k = std::floor((value - base) / step_of(*this) + 0.5);
  return static_cast<int64_t>(std::clamp(k, 0.0, static_cast<double>(count() - 1)));
}

Space::Space(std::vector<Parameter> parameters, std::vector<Formula> constraints, const Config& base,
             std::vector<std::pair<std::string, FormulaValue>> fixed)
    : constraints_(std::move(constraints)), fixed_(std::move(fixed)) {
  if (parameters.empty()) throw ConfigError("{}: [space] is empty: nothing to search", base.origins.file);
  for (Parameter& parameter : parameters) {
    check_range(parameter);
    if (parameter.kind != ParameterKind::choice) continue;
    parameter.low = 0;
    parameter.high = static_cast<double>(parameter.choices.size() - 1);
    parameter.step = 0;
    parameter.logarithmic = false;
  }
  parameters_ = in_order(std::move(parameters));
  std::vector<const Formula*> formulas;
  for (const Parameter& parameter : parameters_) {
    if (find(parameter.key) != static_cast<size_t>(&parameter - parameters_.data())) {
      throw ConfigError("{}: {} stands twice in the space", parameter.origin, parameter.key);
    }
    std::vector<FormulaValue>& values = choices_.emplace_back();
    for (const std::string& choice : parameter.choices) values.push_back(key_value(choice));
    if (parameter.when) formulas.push_back(&*parameter.when);
  }
  for (const Formula& constraint : constraints_) formulas.push_back(&constraint);
  for (const Formula* formula : formulas) {
    for (const std::string& key : formula->keys()) {
      auto known = [&](const auto& one) { return one.first == key; };
      if (find(key) || std::any_of(fixed_.begin(), fixed_.end(), known)) continue;
      std::optional<KeyValue> value = value_of_key(base, key);
      if (!value) {
        std::vector<std::string> names = config_key_names();
        for (const Parameter& parameter : parameters_) names.push_back(parameter.key);
        std::string near = nearest_dotted(key, names);
        throw ConfigError("{}: the formula `{}`: there is no key {}{}", formula->origin(), formula->text(),
                          key,
                          near.empty() ? "; put texts in quotes" : fmt::format("; did you mean {}?", near));
      }
      fixed_.emplace_back(key, std::move(*value));
    }
  }
  check_formulas();
}

// With each choice once, the other parameters being at their first value: no product of all of them.
void Space::check_formulas() const {
  Point point;
  for (const Parameter& parameter : parameters_) point.push_back(parameter.low);
  auto check_all = [&] {
    auto keys = [&](const std::string& key) { return value_of(key, point); };
    for (const Parameter& parameter : parameters_) {
      if (parameter.when) parameter.when->check(keys);
    }
    for (const Formula& constraint : constraints_) constraint.check(keys);
  };
  check_all();
  for (size_t i = 0; i < size(); ++i) {
    for (size_t choice = 1; choice < choices_[i].size(); ++choice) {
      if (choices_[i][choice].index() == choices_[i][choice - 1].index()) continue;  // of the same type
      point[i] = static_cast<double>(choice);
      check_all();
    }
    point[i] = parameters_[i].low;
  }
}

std::optional<size_t> Space::find(std::string_view key) const {
  for (size_t i = 0; i < size(); ++i) {
    if (parameters_[i].key == key) return i;
  }
  return std::nullopt;
}

double Space::to_unit(size_t i, double value) const {
  const Parameter& parameter = parameters_[i];
  if (std::isnan(value)) return value;
  int64_t count = parameter.count();
  if (count > 0) {
    int64_t k = parameter.nearest_value(value);
    if (!parameter.logarithmic) return (static_cast<double>(k) + 0.5) / static_cast<double>(count);
    double begin = logarithmic_edge(parameter, 0);
    double end = logarithmic_edge(parameter, count);
    double middle = (logarithmic_edge(parameter, k) + logarithmic_edge(parameter, k + 1)) / 2;
    return (middle - begin) / (end - begin);
  }
  if (parameter.low == parameter.high) return 0.5;
  value = std::clamp(value, parameter.low, parameter.high);
  if (!parameter.logarithmic) return (value - parameter.low) / (parameter.high - parameter.low);
  return std::log(value / parameter.low) / std::log(parameter.high / parameter.low);
}

double Space::from_unit(size_t i, double unit) const {
  const Parameter& parameter = parameters_[i];
  unit = std::isnan(unit) ? 0.5 : std::clamp(unit, 0.0, 1.0);
  int64_t count = parameter.count();
  if (count > 0 && parameter.logarithmic) {
    double begin = logarithmic_edge(parameter, 0);
    double end = logarithmic_edge(parameter, count);
    return parameter.value_at(parameter.nearest_value(std::exp(begin + unit * (end - begin))));
  }
  if (count > 0) {
    double k = std::floor(unit * static_cast<double>(count));
    return parameter.value_at(static_cast<int64_t>(std::min(k, static_cast<double>(count - 1))));
  }
  double value = parameter.logarithmic
                     ? parameter.low * std::exp(unit * std::log(parameter.high / parameter.low))
                     : parameter.low + unit * (parameter.high - parameter.low);
  return unit == 1 ? parameter.high : std::clamp(value, parameter.low, parameter.high);
}

std::vector<double> Space::to_unit(const Point& point) const {
  std::vector<double> unit(size());
  for (size_t i = 0; i < size(); ++i) unit[i] = to_unit(i, point[i]);
  return unit;
}

Point Space::from_unit(const std::vector<double>& unit) const {
  Point point(size(), inactive);
  for (size_t i = 0; i < size(); ++i) {
    if (is_active(i, point)) point[i] = from_unit(i, unit[i]);
  }
  return point;
}

std::optional<FormulaValue> Space::value_of(const std::string& key, const Point& point) const {
  if (std::optional<size_t> i = find(key)) {
    double value = point[*i];
    if (std::isnan(value)) return std::nullopt;
    if (parameters_[*i].kind != ParameterKind::choice) return value;
    return choices_[*i].at(static_cast<size_t>(value));
  }
  auto found = std::find_if(fixed_.begin(), fixed_.end(), [&](const auto& one) { return one.first == key; });
  return found->second;
}

bool Space::is_active(size_t i, const Point& point) const {
  const std::optional<Formula>& when = parameters_[i].when;
  return !when || when->holds([&](const std::string& key) { return value_of(key, point); });
}

void Space::settle(Point& point) const {
  for (size_t i = 0; i < size(); ++i) {
    const Parameter& parameter = parameters_[i];
    if (!is_active(i, point)) {
      point[i] = inactive;
    } else if (std::isnan(point[i])) {
      point[i] = from_unit(i, 0.5);
    } else if (parameter.count() > 0) {
      point[i] = parameter.value_at(parameter.nearest_value(point[i]));
    } else {
      point[i] = std::clamp(point[i], parameter.low, parameter.high);
    }
  }
}

bool Space::allows(const Point& point) const {
  return std::all_of(constraints_.begin(), constraints_.end(), [&](const Formula& constraint) {
    std::optional<FormulaValue> value =
        constraint.evaluate([&](const std::string& key) { return value_of(key, point); });
    return !value || std::get<bool>(*value);
  });
}

Point Space::draw(RandomStream& random) const {
  constexpr int attempts = 10000;
  std::vector<double> unit(size());
  for (int attempt = 0; attempt < attempts; ++attempt) {
    for (double& one : unit) {
      uint64_t high = random.next() >> 5;
      uint64_t low = random.next() >> 6;
      one = static_cast<double>((high << 26) + low) * 0x1p-53;
    }
    Point point = from_unit(unit);
    if (allows(point)) return point;
  }
  std::vector<std::string> texts;
  for (const Formula& constraint : constraints_) texts.push_back(fmt::format("`{}`", constraint.text()));
  throw ConfigError("{}: none of {} random points keeps the constraint{} {}; widen the ranges or loosen {}",
                    constraints_.front().origin(), attempts, texts.size() == 1 ? "" : "s",
                    fmt::join(texts, ", "), texts.size() == 1 ? "it" : "them");
}

std::string Space::literal(size_t i, double value) const {
  const Parameter& parameter = parameters_[i];
  if (parameter.kind == ParameterKind::choice) return parameter.choices.at(static_cast<size_t>(value));
  if (parameter.kind == ParameterKind::integer) return fmt::format("{}", static_cast<int64_t>(value));
  return to_toml(KeySlot(&value));
}

std::vector<std::string> Space::assignments(const Point& point) const {
  std::vector<std::string> all;
  for (size_t i = 0; i < size(); ++i) {
    if (!std::isnan(point[i])) all.push_back(fmt::format("{}={}", parameters_[i].key, literal(i, point[i])));
  }
  return all;
}

std::optional<Point> Space::point_of(const std::vector<std::pair<std::string, std::string>>& literals) const {
  Point point(size(), inactive);
  for (const auto& [key, literal] : literals) {
    std::optional<size_t> i = find(key);
    if (!i) return std::nullopt;
    const Parameter& parameter = parameters_[*i];
    if (parameter.kind == ParameterKind::choice) {
      auto found = std::find(parameter.choices.begin(), parameter.choices.end(), literal);
      if (found == parameter.choices.end()) return std::nullopt;
      point[*i] = static_cast<double>(found - parameter.choices.begin());
      continue;
    }
    KeyValue value;
    try {
      value = key_value(literal);
    } catch (const ConfigError&) {
      return std::nullopt;
    }
    if (!std::holds_alternative<double>(value)) return std::nullopt;
    point[*i] = std::get<double>(value);
  }
  Point settled = point;
  settle(settled);
  if (!same_point(settled, point)) return std::nullopt;
  return point;
}

bool same_point(const Point& a, const Point& b) {
  auto same = [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same);
}

}  // namespace trireme
