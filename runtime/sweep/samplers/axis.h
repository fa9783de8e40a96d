// A parameter as densities and distances see it: an axis of length 1, on which each value of a parameter that
// has few has a cell of its own.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "sweep/space.h"

namespace trireme {

// The cells of integers and steps are as wide as the values are apart: alike on a linear axis, and narrowing
// on a logarithmic one, so that a smooth density there is one over the logarithm.
class Axis {
 public:
  explicit Axis(const Parameter& parameter);

  bool is_choice() const { return choice_; }
  bool is_continuous() const { return count_ == 0; }
  int64_t count() const { return count_; }  // of values; 0: a continuum

  // Of a value that is not nan, in [0, 1]. Of a choice: the middle of its cell.
  double position(double value) const;
  // From and to where the cell of a value reaches; not of a continuum.
  std::pair<double, double> cell(double value) const;
  // The value whose cell holds the position (which is clamped).
  double value(double position) const;

 private:
  double scaled(double value) const;

  bool choice_;
  bool logarithmic_;
  int64_t count_;
  double low_, high_, step_;
  double from_, to_;  // the axis' ends, scaled
};

std::vector<Axis> axes_of(const Space& space);

}  // namespace trireme
