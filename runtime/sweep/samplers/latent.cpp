#include "sweep/samplers/latent.h"

#include <boost/random/sobol.hpp>
#include <cmath>
#include <limits>

#include "sweep/samplers/normal.h"

namespace trireme {

LatentSpace::LatentSpace(const Space& space) : space_(space), axes_(axes_of(space)) {
  for (const Axis& axis : axes_) kernel_space_.is_name.push_back(axis.is_choice());
}

Point LatentSpace::point(const Eigen::VectorXd& latent) const {
  Point point;
  for (size_t i = 0; i < axes_.size(); ++i)
    point.push_back(axes_[i].value(latent[static_cast<Eigen::Index>(i)]));
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

Eigen::MatrixXd even_points(RandomStream& random, Eigen::Index dimensions, uint64_t first,
                            Eigen::Index count) {
  Eigen::MatrixXd points(count, dimensions);
  constexpr Eigen::Index most = boost::random::detail::qrng_tables::sobol::max_dimension;
  if (dimensions > most) return points.unaryExpr([&](double) { return uniform_double(random); });
  boost::random::sobol_engine<uint32_t, 32> engine(static_cast<size_t>(dimensions));
  engine.discard(first * static_cast<uint64_t>(dimensions));
  std::vector<uint32_t> shifts;
  for (Eigen::Index j = 0; j < dimensions; ++j) shifts.push_back(random.next());
  for (Eigen::Index i = 0; i < count; ++i) {
    for (Eigen::Index j = 0; j < dimensions; ++j) {
      points(i, j) = (static_cast<double>(engine() ^ shifts[static_cast<size_t>(j)]) + 0.5) * 0x1p-32;
    }
  }
  return points;
}

Point even_point(const LatentSpace& space, uint64_t seed, int64_t trial) {
  RandomStream shift(seed, Purpose::sweep, std::numeric_limits<uint64_t>::max());
  auto dimensions = static_cast<Eigen::Index>(space.space().size());
  return space.point(even_points(shift, dimensions, static_cast<uint64_t>(trial), 1).row(0));
}

}  // namespace trireme
