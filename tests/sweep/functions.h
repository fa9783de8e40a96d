// Functions whose best values are known, over spaces as a sweep has them: what samplers are tried on.
#pragma once

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "sweep/space.h"

namespace trireme {

struct TestFunction {
  std::string name;
  Space space;
  std::function<double(const Point&)> value;  // lower is better
  double best = 0;                            // the lowest value that there is
};

inline Parameter real_parameter(std::string key, double low, double high, bool logarithmic = false) {
  return {.key = std::move(key),
          .kind = ParameterKind::real,
          .low = low,
          .high = high,
          .logarithmic = logarithmic,
          .origin = "toy.toml:1:1"};
}

inline Parameter integer_parameter(std::string key, double low, double high, bool logarithmic = false) {
  Parameter parameter = real_parameter(std::move(key), low, high, logarithmic);
  parameter.kind = ParameterKind::integer;
  return parameter;
}

// `choices` as TOML: {"\"sgd\"", "\"adam\""}.
inline Parameter choice_parameter(std::string key, std::vector<std::string> choices) {
  Parameter parameter = real_parameter(std::move(key), 0, static_cast<double>(choices.size()) - 1);
  parameter.kind = ParameterKind::choice;
  parameter.choices = std::move(choices);
  return parameter;
}

inline Parameter only_when(Parameter parameter, const std::string& condition) {
  parameter.when = Formula(condition, "toy.toml:1:1");
  return parameter;
}

inline Space toy_space(std::vector<Parameter> parameters, const std::vector<std::string>& constraints = {}) {
  std::vector<Formula> formulas;
  for (const std::string& text : constraints) formulas.emplace_back(text, "toy.toml:2:1");
  return Space(std::move(parameters), std::move(formulas), Config{});
}

// x0 ... of [low, high] each.
inline std::vector<Parameter> cube(size_t dimensions, double low, double high) {
  std::vector<Parameter> parameters;
  for (size_t i = 0; i < dimensions; ++i) {
    parameters.push_back(real_parameter("x" + std::to_string(i), low, high));
  }
  return parameters;
}

// The sum of squares, its lowest point away from the middle of the range: at 1 of [-5, 5] each.
inline TestFunction sphere(size_t dimensions) {
  auto value = [](const Point& x) {
    double sum = 0;
    for (double v : x) sum += (v - 1) * (v - 1);
    return sum;
  };
  return {"sphere", toy_space(cube(dimensions, -5, 5)), value, 0};
}

// Branin and Hoo 1972: three lowest points.
inline TestFunction branin() {
  auto value = [](const Point& x) {
    double parabola = x[1] - 5.1 / (4 * M_PI * M_PI) * x[0] * x[0] + 5 / M_PI * x[0] - 6;
    return parabola * parabola + 10 * (1 - 1 / (8 * M_PI)) * std::cos(x[0]) + 10;
  };
  return {"branin", toy_space({real_parameter("x0", -5, 10), real_parameter("x1", 0, 15)}), value,
          0.39788735772973816};
}

// Hartmann 1973, in six dimensions.
inline TestFunction hartmann6() {
  auto value = [](const Point& x) {
    static constexpr double alpha[4] = {1, 1.2, 3, 3.2};
    static constexpr double a[4][6] = {{10, 3, 17, 3.5, 1.7, 8},
                                       {0.05, 10, 17, 0.1, 8, 14},
                                       {3, 3.5, 1.7, 10, 17, 8},
                                       {17, 8, 0.05, 10, 0.1, 14}};
    static constexpr double p[4][6] = {{1312, 1696, 5569, 124, 8283, 5886},
                                       {2329, 4135, 8307, 3736, 1004, 9991},
                                       {2348, 1451, 3522, 2883, 3047, 6650},
                                       {4047, 8828, 8732, 5743, 1091, 381}};
    double sum = 0;
    for (int i = 0; i < 4; ++i) {
      double exponent = 0;
      for (size_t j = 0; j < 6; ++j) {
        double distance = x[j] - 1e-4 * p[i][j];
        exponent += a[i][j] * distance * distance;
      }
      sum -= alpha[i] * std::exp(-exponent);
    }
    return sum;
  };
  return {"hartmann6", toy_space(cube(6, 0, 1)), value, -3.3223680114155147};
}

// Rosenbrock's valley in four dimensions, the last two of them whole numbers: 0 where all are 1.
inline TestFunction rosenbrock4_mixed() {
  std::vector<Parameter> parameters = cube(2, -5, 10);
  parameters.push_back(integer_parameter("n2", -5, 10));
  parameters.push_back(integer_parameter("n3", -5, 10));
  auto value = [](const Point& x) {
    double sum = 0;
    for (size_t i = 0; i + 1 < x.size(); ++i) {
      double rise = x[i + 1] - x[i] * x[i];
      sum += 100 * rise * rise + (1 - x[i]) * (1 - x[i]);
    }
    return sum;
  };
  return {"rosenbrock4_mixed", toy_space(std::move(parameters)), value, 0};
}

// Ackley 1987 in ten dimensions: many shallow pits around one deep one, at 0 of [-15, 30] (not in the
// middle).
inline TestFunction ackley10() {
  auto value = [](const Point& x) {
    double squares = 0, waves = 0;
    for (double v : x) {
      squares += v * v;
      waves += std::cos(2 * M_PI * v);
    }
    double n = static_cast<double>(x.size());
    return 20 + M_E - 20 * std::exp(-0.2 * std::sqrt(squares / n)) - std::exp(waves / n);
  };
  return {"ackley10", toy_space(cube(10, -15, 30)), value, 0};
}

// A choice of three methods with parameters of their own: sgd (a momentum that matters little, 0.1 at best),
// adam (a logarithmic rate and an integer; 0 at rate = 1e-2, depth = 3), none (0.3, nothing to choose).
inline TestFunction conditional_toy() {
  auto value = [](const Point& x) {
    if (x[0] == 0) return 0.1 + (x[1] - 0.7) * (x[1] - 0.7);
    if (x[0] == 2) return 0.3;
    double off = (std::log10(x[2]) + 2) / 2;
    return off * off + 0.05 * std::abs(x[3] - 3);
  };
  return {"conditional_toy",
          toy_space({choice_parameter("method", {"\"sgd\"", "\"adam\"", "\"none\""}),
                     only_when(real_parameter("momentum", 0, 1), "method == \"sgd\""),
                     only_when(real_parameter("rate", 1e-4, 1, true), "method == \"adam\""),
                     only_when(integer_parameter("depth", 1, 6), "method == \"adam\"")}),
          value, 0};
}

}  // namespace trireme
