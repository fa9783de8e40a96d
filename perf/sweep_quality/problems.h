// The functions that bench_sweep_quality searches; peer.py has the same ones.
#pragma once

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "sweep/space.h"

namespace trireme {

struct Problem {
  std::string name;
  Space space;
  std::function<double(const Point&)> value;  // lower is better
  double best = 0;                            // the lowest value that there is
};

inline Parameter number(std::string key, double low, double high, bool logarithmic = false, bool whole = false) {
  Parameter parameter;
  parameter.key = std::move(key);
  parameter.kind = whole ? ParameterKind::integer : ParameterKind::real;
  parameter.low = low;
  parameter.high = high;
  parameter.logarithmic = logarithmic;
  parameter.origin = "problems.h";
  return parameter;
}
inline Parameter whole(std::string key, double low, double high, bool logarithmic = false) {
  return number(std::move(key), low, high, logarithmic, true);
}
inline Parameter choice(std::string key, const std::vector<std::string>& names) {
  Parameter parameter = number(std::move(key), 0, static_cast<double>(names.size()) - 1);
  parameter.kind = ParameterKind::choice;
  for (const std::string& name : names) parameter.choices.push_back('"' + name + '"');
  return parameter;
}
inline Parameter when(Parameter parameter, const std::string& condition) {
  parameter.when = Formula(condition, "problems.h");
  return parameter;
}
inline Space space_of(std::vector<Parameter> parameters) { return Space(std::move(parameters), {}, Config{}); }

inline std::vector<Parameter> box(size_t dimensions, double low, double high) {
  std::vector<Parameter> parameters;
  for (size_t i = 0; i < dimensions; ++i) parameters.push_back(number("x" + std::to_string(i), low, high));
  return parameters;
}

inline double branin_value(const Point& x) {
  double parabola = x[1] - 5.1 / (4 * M_PI * M_PI) * x[0] * x[0] + 5 / M_PI * x[0] - 6;
  return parabola * parabola + 10 * (1 - 1 / (8 * M_PI)) * std::cos(x[0]) + 10;
}

inline double hartmann6_value(const Point& x) {
  static constexpr double alpha[4] = {1, 1.2, 3, 3.2};
  static constexpr double a[4][6] = {
      {10, 3, 17, 3.5, 1.7, 8}, {0.05, 10, 17, 0.1, 8, 14}, {3, 3.5, 1.7, 10, 17, 8}, {17, 8, 0.05, 10, 0.1, 14}};
  static constexpr double p[4][6] = {{1312, 1696, 5569, 124, 8283, 5886},
                                     {2329, 4135, 8307, 3736, 1004, 9991},
                                     {2348, 1451, 3522, 2883, 3047, 6650},
                                     {4047, 8828, 8732, 5743, 1091, 381}};
  double sum = 0;
  for (int i = 0; i < 4; ++i) {
    double exponent = 0;
    for (size_t j = 0; j < 6; ++j) exponent += a[i][j] * std::pow(x[j] - 1e-4 * p[i][j], 2);
    sum -= alpha[i] * std::exp(-exponent);
  }
  return sum;
}

inline double rosenbrock_value(const Point& x) {
  double sum = 0;
  for (size_t i = 0; i + 1 < x.size(); ++i) {
    double rise = x[i + 1] - x[i] * x[i];
    sum += 100 * rise * rise + (1 - x[i]) * (1 - x[i]);
  }
  return sum;
}

inline double ackley_value(const Point& x) {
  double squares = 0, waves = 0, n = static_cast<double>(x.size());
  for (double v : x) {
    squares += v * v;
    waves += std::cos(2 * M_PI * v);
  }
  return 20 + M_E - 20 * std::exp(-0.2 * std::sqrt(squares / n)) - std::exp(waves / n);
}

// method, momentum, rate, depth
inline double conditional_value(const Point& x) {
  if (x[0] == 0) return 0.1 + (x[1] - 0.7) * (x[1] - 0.7);
  if (x[0] == 2) return 0.3;
  double off = (std::log10(x[2]) + 2) / 2;
  return off * off + 0.05 * std::abs(x[3] - 3);
}

// Trainings that were done once, by make_tables: a row is looked up by the nearest value of each column.
class Table {
 public:
  // names: choices of the first column; empty when it holds numbers.
  Table(const std::string& path, const std::vector<std::string>& names) {
    std::ifstream file(path);
    if (!file) throw MissingInputError("{}: no such table; perf/sweep_quality/make_tables makes it", path);
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
      std::vector<double> cells;
      std::stringstream stream(line);
      for (std::string cell; std::getline(stream, cell, ',');) {
        auto name = std::find(names.begin(), names.end(), cell);
        bool is_name = name != names.end();
        cells.push_back(is_name ? static_cast<double>(name - names.begin()) : cell.empty() ? 0 : std::stod(cell));
      }
      double loss = cells[cells.size() - 2];
      // Worse than guessing is no worse than that: a training that has diverged.
      rows_[std::vector<double>(cells.begin(), cells.end() - 2)] = std::isfinite(loss) ? std::min(loss, M_LN10) : M_LN10;
    }
    for (const auto& [key, loss] : rows_) best_ = std::min(best_, loss);
  }
  double best() const { return best_; }
  // Of the rows that begin with these cells, the values of the next column.
  std::vector<double> values(const std::vector<double>& beginning) const {
    std::vector<double> values;
    for (const auto& [key, loss] : rows_) {
      if (std::equal(beginning.begin(), beginning.end(), key.begin())) values.push_back(key[beginning.size()]);
    }
    return values;
  }
  // logarithmic[j]: whether nearness in column j is that of logarithms.
  double value(const std::vector<double>& at, const std::vector<bool>& logarithmic) const {
    std::vector<double> key;
    for (size_t j = 0; j < at.size(); ++j) {
      auto scaled = [&](double v) { return logarithmic[j] ? std::log(v) : v; };
      double nearest = std::numeric_limits<double>::infinity(), pick = 0;
      for (double one : values(key)) {
        if (std::abs(scaled(one) - scaled(at[j])) < nearest) {
          nearest = std::abs(scaled(one) - scaled(at[j]));
          pick = one;
        }
      }
      key.push_back(pick);
    }
    return rows_.at(key);
  }

 private:
  std::map<std::vector<double>, double> rows_;
  double best_ = std::numeric_limits<double>::infinity();
};

inline std::vector<std::string> problem_names() {
  return {"branin", "hartmann6", "rosenbrock4", "ackley10", "conditional", "sgd", "optimizer", "sizes"};
}

// Throws UsageError for a name that there is not.
inline Problem make_problem(const std::string& name, const std::string& tables) {
  if (name == "branin") {
    return {name, space_of({number("x0", -5, 10), number("x1", 0, 15)}), branin_value, 0.39788735772973816};
  }
  if (name == "hartmann6") return {name, space_of(box(6, 0, 1)), hartmann6_value, -3.3223680114155147};
  if (name == "rosenbrock4") {
    return {name, space_of({number("x0", -5, 10), number("x1", -5, 10), whole("x2", -5, 10), whole("x3", -5, 10)}),
            rosenbrock_value, 0};
  }
  if (name == "ackley10") return {name, space_of(box(10, -15, 30)), ackley_value, 0};
  if (name == "conditional") {
    return {name,
            space_of({choice("method", {"sgd", "adam", "none"}),
                      when(number("momentum", 0, 1), "method == \"sgd\""),
                      when(number("rate", 1e-4, 1, true), "method == \"adam\""),
                      when(whole("depth", 1, 6), "method == \"adam\"")}),
            conditional_value, 0};
  }
  if (name == "sgd") {
    auto table = std::make_shared<Table>(tables + "/sgd.csv", std::vector<std::string>{});
    return {name,
            space_of({number("learning_rate", 1e-3, 1, true), number("momentum", 0, 0.98),
                      whole("batch", 16, 256, true)}),
            [table](const Point& x) { return table->value(x, {true, false, true}); }, table->best()};
  }
  if (name == "optimizer") {
    std::vector<std::string> kinds{"sgd", "adam", "rmsprop", "adagrad"};
    auto table = std::make_shared<Table>(tables + "/optimizer.csv", kinds);
    return {name,
            space_of({choice("kind", kinds), number("learning_rate", 1e-4, 1, true),
                      number("weight_decay", 1e-5, 1e-2, true), when(number("momentum", 0, 0.97), "kind == \"sgd\""),
                      when(number("beta1", 0, 0.97), "kind == \"adam\""),
                      when(number("smoothing", 0.9, 0.99), "kind == \"rmsprop\"")}),
            [table](const Point& x) {
              double detail = x[0] == 3 ? 0 : x[3 + static_cast<size_t>(x[0])];
              return table->value({x[0], x[1], x[2], detail}, {false, true, true, false});
            },
            table->best()};
  }
  if (name == "sizes") {
    auto table = std::make_shared<Table>(tables + "/sizes.csv", std::vector<std::string>{});
    return {name,
            space_of({whole("channels1", 3, 6, true), whole("channels2", 8, 32, true), whole("units", 30, 240, true),
                      number("dropout", 0.05, 0.5), number("learning_rate", 3e-4, 1e-2, true)}),
            [table](const Point& x) { return table->value(x, {true, true, true, false, true}); }, table->best()};
  }
  throw UsageError("no such problem: {}", name);
}

}  // namespace trireme
