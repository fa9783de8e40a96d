// Points of a space as a box of numbers: what acquisition functions are searched in.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "sweep/samplers/axis.h"
#include "sweep/samplers/gp_kernel.h"

namespace trireme {

// A latent vector has a number in [0, 1] for every parameter, active or not, so that one whose condition
// comes to hold has a value at once. The kernel's inputs are what tells points apart: of numbers their
// position, of inactive ones the middle; of a choice its number, of an inactive one -1.
class LatentSpace {
 public:
  explicit LatentSpace(const Space& space);

  const Space& space() const { return space_; }
  const Axis& axis(size_t i) const { return axes_[i]; }
  const KernelSpace& kernel_space() const { return kernel_space_; }

  Point point(const Eigen::VectorXd& latent) const;  // settled
  Eigen::VectorXd latent(const Point& point) const;  // 0.5 of what is not active
  Eigen::VectorXd inputs(const Point& point) const;

 private:
  const Space& space_;
  std::vector<Axis> axes_;
  KernelSpace kernel_space_;
};

// Rows `first` to first + count - 1 of Sobol's sequence in [0, 1)^dimensions, which fills the box evenly,
// moved by a digital shift that is drawn from `random`; more dimensions than the sequence is known for (3667)
// get uniform draws.
Eigen::MatrixXd even_points(RandomStream& random, Eigen::Index dimensions, uint64_t first,
                            Eigen::Index count);
// The trial's point of one such sequence through all of the space: settled, not always allowed.
Point even_point(const LatentSpace& space, uint64_t seed, int64_t trial);

}  // namespace trireme
