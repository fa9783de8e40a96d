// Points of a space as a box of numbers: what acquisition functions are searched in.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "sweep/samplers/axis.h"
#include "sweep/samplers/gp_kernel.h"

namespace trireme {

// A latent vector has a number in [0, 1] for every parameter, active or not, so that one whose condition comes to hold
// has a value at once. The kernel's inputs are what tells points apart: of numbers their position, of inactive ones the
// middle; of a choice its number, of an inactive one -1.
class LatentSpace {
 public:
  explicit LatentSpace(const Space& space);

  const Space& space() const { return space_; }
  const Axis& axis(size_t i) const { return axes_[i]; }
  const KernelSpace& kernel_space() const { return kernel_space_; }
  bool has_continuum() const;

  Point point(const Eigen::VectorXd& latent) const;  // settled
  Eigen::VectorXd latent(const Point& point) const;  // 0.5 of what is not active
  Eigen::VectorXd inputs(const Point& point) const;

 private:
  const Space& space_;
  std::vector<Axis> axes_;
  KernelSpace kernel_space_;
};

// Row i of the answer is the point first + i of a sequence that fills the box [0, 1]^dimensions evenly: multiples of
// powers of the root of x^(d + 1) = x + 1, modulo 1 (Roberts, "The unreasonable effectiveness of quasirandom
// sequences", 2018), moved by `shift`.
Eigen::MatrixXd even_points(const Eigen::VectorXd& shift, uint64_t first, Eigen::Index count);
// A uniform draw of the box.
Eigen::VectorXd draw_latent(RandomStream& random, size_t dimensions);

}  // namespace trireme
