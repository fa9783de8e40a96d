// The lowest point of a smooth function in a box, nearby: limited-memory BFGS with projected steps.
#pragma once

#include <Eigen/Core>
#include <functional>

namespace trireme {

// f(x, gradient): the value; writes the gradient, which has x's size. Infinite or nan where x may not be.
using SmoothFunction = std::function<double(const Eigen::VectorXd& x, Eigen::VectorXd& gradient)>;

struct BoxMinimum {
  Eigen::VectorXd at;
  double value = 0;
  int evaluations = 0;
};

struct BoxSearch {
  int evaluations = 50;              // at most
  double gradient_tolerance = 1e-5;  // of the greatest slope that the box lets us go down
  double value_tolerance = 1e-9;     // of a step's gain, beside the value's size
  double first_step = 0.1;           // length of the first step, at most
};

// Descends from `start` (put into the box first), where the value must be finite: else that is the answer.
// Nocedal and Wright, "Numerical optimization", 2006, algorithm 7.4, with coordinates held that lie on an end
// and want out, and steps that are cut off at the ends and halved until they gain enough (Bertsekas 1982).
BoxMinimum minimize_in_box(const SmoothFunction& f, Eigen::VectorXd start, const Eigen::VectorXd& low,
                           const Eigen::VectorXd& high, const BoxSearch& search = {});

}  // namespace trireme
