#include "sweep/samplers/latent.h"

#include <cmath>

#include "sweep/samplers/normal.h"

namespace trireme {

LatentSpace::LatentSpace(const Space& space) : space_(space), axes_(axes_of(space)) {
  for (const Axis& axis : axes_) kernel_space_.is_name.push_back(axis.is_choice());
}

bool LatentSpace::has_continuum() const {
  for (const Axis& axis : axes_) {
    if (axis.is_continuous()) return true;
  }
  return false;
}

Point LatentSpace::point(const Eigen::VectorXd& latent) const {
  Point point;
  for (size_t i = 0; i < axes_.size(); ++i) point.push_back(axes_[i].value(latent[static_cast<Eigen::Index>(i)]));
  space_.settle(point);
  return point;
}

Eigen::VectorXd LatentSpace::latent(const Point& point) const {
  Eigen::VectorXd latent(static_cast<Eigen::Index>(axes_.size()));
  for (size_t i = 0; i < axes_.size(); ++i) {
    latent[static_cast<Eigen::Index>(i)] = std::isnan(point[i]) ? 0.5 : axes_[i].position(point[i]);
  }
  return latent;
}

Eigen::VectorXd LatentSpace::inputs(const Point& point) const {
  Eigen::VectorXd inputs = latent(point);
  for (size_t i = 0; i < axes_.size(); ++i) {
    if (axes_[i].is_choice()) inputs[static_cast<Eigen::Index>(i)] = std::isnan(point[i]) ? -1 : point[i];
  }
  return inputs;
}

Eigen::MatrixXd even_points(const Eigen::VectorXd& shift, uint64_t first, Eigen::Index count) {
  double d = static_cast<double>(shift.size()), root = 1.5;
  for (int i = 0; i < 64; ++i) root = std::pow(1 + root, 1 / (d + 1));
  Eigen::MatrixXd points(count, shift.size());
  for (Eigen::Index j = 0; j < shift.size(); ++j) {
    double stride = std::pow(1 / root, static_cast<double>(j + 1));
    for (Eigen::Index i = 0; i < count; ++i) {
      double at = shift[j] + static_cast<double>(first + static_cast<uint64_t>(i)) * stride;
      points(i, j) = at - std::floor(at);
    }
  }
  return points;
}

Eigen::VectorXd draw_latent(RandomStream& random, size_t dimensions) {
  Eigen::VectorXd latent(static_cast<Eigen::Index>(dimensions));
  for (double& one : latent) one = uniform_double(random);
  return latent;
}

}  // namespace trireme
