// Where an acquisition function is highest.
#pragma once

#include <functional>
#include <optional>

#include "sweep/samplers/gp_posterior.h"
#include "sweep/samplers/latent.h"

namespace trireme {

// The point of the highest acquisition among those that are `welcome`: quasi-random candidates and such near
// the points of `near` (latent), then from the best of them up the gradient in continuous parameters, and in
// the others from value to value. Nothing when no candidate was welcome.
std::optional<Point> find_best_point(const LatentSpace& space, const LogImprovement& acquisition,
                                     const std::vector<Eigen::VectorXd>& near, RandomStream& random,
                                     const std::function<bool(const Point&)>& welcome);

}  // namespace trireme
