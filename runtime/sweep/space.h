// What a sweep searches: parameters, each a config key with the values that it may take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "config/sweep_config.h"
#include "sweep/expression.h"

namespace trireme {

// One value a parameter, in the space's order: a number (integers are whole), or the number of a choice, from
// 0. nan where the parameter is not active. Points compare by same_point().
using Point = std::vector<double>;

enum class ParameterKind { real, integer, choice };

struct Parameter {
  std::string key;  // "optimizer.learning_rate", "sweep.ranks_per_trial"
  ParameterKind kind = ParameterKind::real;
  double low = 0, high = 0;               // both may be taken; of a choice 0 and the number of choices - 1
  bool logarithmic = false;               // low > 0
  double step = 0;                        // quantized: low + k * step; 0: none
  std::vector<std::string> choices = {};  // as TOML: "\"sgd\"", "[256, 128]", "0.5"
  std::optional<Formula> when = {};       // of keys of other parameters and of the base config
  std::string origin = {};                // of messages: "sweep.toml:12:1"

  // Values that it can take; 0 where they are a continuum.
  int64_t count() const;
  // The k-th of them, from 0; it has count() > 0.
  double value_at(int64_t k) const;
  // The number of the one nearest to `value` (half way: the upper).
  int64_t nearest_value(double value) const;
};

class Space {
 public:
  // Orders the parameters so that each `when` speaks of earlier ones, and else as they come. `base` answers
  // for keys that are no parameter, and before it `fixed` (keys of the sweep itself). Throws ConfigError: no
  // parameter, a key twice, an empty range, a circle of conditions, a formula of a key that there is not, or
  // one whose types do not go together.
  Space(std::vector<Parameter> parameters, std::vector<Formula> constraints, const Config& base,
        std::vector<std::pair<std::string, FormulaValue>> fixed = {});

  size_t size() const { return parameters_.size(); }
  const Parameter& operator[](size_t i) const { return parameters_[i]; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  std::optional<size_t> find(std::string_view key) const;

  // Between a value and its place in [0, 1]: linear or logarithmic for numbers. An integer, a step or a
  // choice has an interval for each value, and to_unit() gives its middle: all equally wide, but on a
  // logarithmic scale each reaches half way (of the values) to its neighbours, so that the draws are
  // log-uniform. from_unit() takes anything (it is clamped, nan is the middle) and always gives a value that
  // the parameter can take.
  double to_unit(size_t i, double value) const;
  double from_unit(size_t i, double unit) const;
  // All at once; inactive ones stay nan (to_unit), and become so (from_unit).
  std::vector<double> to_unit(const Point& point) const;
  Point from_unit(const std::vector<double>& unit) const;

  // Whether `when` holds, from the earlier values of `point`.
  bool is_active(size_t i, const Point& point) const;
  // Sets to nan what is not active, and puts the nearest value that can be taken for what cannot; an active
  // parameter that is nan gets the middle of its range.
  void settle(Point& point) const;
  // Whether all constraints hold. One whose value hangs on a parameter that is not active does not bind.
  bool allows(const Point& point) const;
  // Uniform over what is active and allowed. Throws ConfigError naming the constraints when 10,000 draws in a
  // row are not allowed.
  Point draw(RandomStream& random) const;

  // "key = value" as TOML, for people and for --set: "optimizer.kind=\"sgd\"" of each active parameter.
  std::string literal(size_t i, double value) const;
  std::vector<std::string> assignments(const Point& point) const;
  // The point of such literals, by key; nothing for a key or a value that is not of this space, and where
  // they are not those of all active parameters.
  std::optional<Point> point_of(const std::vector<std::pair<std::string, std::string>>& literals) const;

 private:
  std::optional<FormulaValue> value_of(const std::string& key, const Point& point) const;
  void check_formulas() const;

  std::vector<Parameter> parameters_;
  std::vector<Formula> constraints_;
  std::vector<std::vector<FormulaValue>> choices_;           // of each parameter, as formulas see them
  std::vector<std::pair<std::string, FormulaValue>> fixed_;  // what formulas ask of the base config
};

// Equal values, nan being equal to nan.
bool same_point(const Point& a, const Point& b);

// The space that a sweep file describes. Throws ConfigError.
Space make_space(const SweepConfig& config, const Config& base);

}  // namespace trireme
