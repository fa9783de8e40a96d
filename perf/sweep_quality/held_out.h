// Functions on which samplers are made better: none of those that they are compared on.
#pragma once

#include "perf/sweep_quality/problems.h"

namespace trireme {

inline double levy_value(const Point& x) {
  auto w = [&](size_t i) { return 1 + (x[i] - 1) / 4; };
  double sum = std::pow(std::sin(M_PI * w(0)), 2);
  for (size_t i = 0; i + 1 < x.size(); ++i) {
    sum += std::pow(w(i) - 1, 2) * (1 + 10 * std::pow(std::sin(M_PI * w(i) + 1), 2));
  }
  size_t last = x.size() - 1;
  return sum + std::pow(w(last) - 1, 2) * (1 + std::pow(std::sin(2 * M_PI * w(last)), 2));
}

inline double styblinski_tang_value(const Point& x) {
  double sum = 0;
  for (double v : x) sum += 0.5 * (v * v * v * v - 16 * v * v + 5 * v);
  return sum;
}

inline double griewank_value(const Point& x) {
  double squares = 0, waves = 1;
  for (size_t i = 0; i < x.size(); ++i) {
    squares += x[i] * x[i] / 4000;
    waves *= std::cos(x[i] / std::sqrt(static_cast<double>(i + 1)));
  }
  return squares - waves + 1;
}

inline double rastrigin_value(const Point& x) {
  double sum = 0;
  for (double v : x) sum += v * v - 10 * std::cos(2 * M_PI * v) + 10;
  return sum;
}

inline double zakharov_value(const Point& x) {
  double squares = 0, sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    squares += x[i] * x[i];
    sum += 0.5 * static_cast<double>(i + 1) * x[i];
  }
  return squares + sum * sum + sum * sum * sum * sum;
}

// A kind with a rate, a width and, of two kinds, a number of its own, as a training's loss would go: a step
// function where a table would be looked up, with a little roughness.
inline double training_like_value(const Point& x) {
  static constexpr double best_rate[3] = {-1.0, -2.5, -2.0}, offset[3] = {0.30, 0.32, 0.40};
  auto kind = static_cast<size_t>(x[0]);
  double rate = std::round(std::log10(x[1]) * 4) / 4 - best_rate[kind], width = std::log2(x[2] / 64) / 3;
  double own = kind == 0 ? x[3] - 0.9 : kind == 1 ? x[4] - 0.5 : 0;
  double diverged = rate > 1 ? 1.5 : 0;
  double rough = 0.01 * std::sin(37 * rate + 11 * width + 23 * own);
  return offset[kind] + 0.25 * rate * rate + 0.05 * width * width + 0.2 * own * own + rough + diverged;
}

inline std::vector<std::string> held_out_names() {
  return {"levy4",      "styblinski3", "griewank4", "rastrigin3",
          "levy6mixed", "levy10",      "zakharov5", "training_like"};
}

// Throws UsageError for a name that there is not.
inline Problem make_held_out(const std::string& name) {
  if (name == "levy4") return {name, space_of(box(4, -10, 10)), levy_value, 0};
  if (name == "levy10") return {name, space_of(box(10, -10, 10)), levy_value, 0};
  if (name == "zakharov5") return {name, space_of(box(5, -5, 10)), zakharov_value, 0};
  if (name == "styblinski3") {
    return {name, space_of(box(3, -5, 5)), styblinski_tang_value, -39.16616570377142 * 3};
  }
  if (name == "griewank4") return {name, space_of(box(4, -40, 60)), griewank_value, 0};
  if (name == "rastrigin3") return {name, space_of(box(3, -4, 6)), rastrigin_value, 0};
  if (name == "levy6mixed") {
    std::vector<Parameter> parameters = box(3, -10, 10);
    for (const char* key : {"x3", "x4", "x5"}) parameters.push_back(whole(key, -10, 10));
    return {name, space_of(std::move(parameters)), levy_value, 0};
  }
  if (name == "training_like") {
    return {name,
            space_of({choice("kind", {"a", "b", "c"}), number("rate", 1e-4, 1, true),
                      whole("width", 8, 256, true), when(number("first", 0, 1), "kind == \"a\""),
                      when(number("second", 0, 1), "kind == \"b\"")}),
            training_like_value, 0.29};
  }
  throw UsageError("no such problem: {}", name);
}

}  // namespace trireme
