// Bayesian optimisation with a Gaussian process (Jones et al., "Efficient global optimization of expensive
// black-box functions", 1998): Matern 5/2 with a length scale a parameter, the logarithm of the expected
// improvement (Ament et al. 2023), averaged over draws of what pending trials may come to, times the
// probability that a trial does not fail. Several objectives: each suggestion follows another random
// weighting of them (Knowles, "ParEGO", 2006).
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "sweep/samplers/gp_model.h"
#include "sweep/samplers/gp_search.h"
#include "sweep/samplers/gp_targets.h"
#include "sweep/samplers/normal.h"
#include "sweep/samplers/observations.h"
#include "sweep/samplers/points.h"
#include "sweep/samplers/samplers.h"

namespace trireme {
namespace {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;
using Eigen::Index;

constexpr Index imagined = 32;     // draws of what pending trials may come to
constexpr size_t best_points = 4;  // near which candidates are looked for

// The last fit and what it was made of: the same again gives the same.
class KeptFit {
 public:
  explicit KeptFit(int64_t every) : every_(static_cast<Index>(std::max<int64_t>(1, every))) {}
  // Fitted to the first of the trials, so many that it changes once in `every` of them.
  const GpModel& of(const KernelSpace& space, const Matrix& inputs, const Vector& values) {
    Index count = inputs.rows() < every_ ? inputs.rows() : inputs.rows() / every_ * every_;
    Matrix some = inputs.topRows(count);
    Vector their = values.head(count);
    if (inputs_.rows() != some.rows() || inputs_ != some || values_ != their) {
      fitted_ = fit_model(space, some, their);
      inputs_ = std::move(some);
      values_ = std::move(their);
    }
    return fitted_;
  }

 private:
  Index every_;
  Matrix inputs_;
  Vector values_;
  GpModel fitted_;
};

class GpSampler : public Sampler {
 public:
  GpSampler(const SweepConfig& config, const Space& space)
      : settings_(config.gp),
        seed_(static_cast<uint64_t>(config.sweep.seed)),
        at_best_(config.at == "best"),
        space_(space),
        latent_(space),
        fits_(config.gp.fit_every) {}

  std::optional<Suggestion> suggest(const History& history, int64_t number) override {
    RandomStream random(seed_, Purpose::sweep, static_cast<uint64_t>(number));
    std::vector<Observation> seen = observe(history, number);
    bool any =
        std::any_of(seen.begin(), seen.end(), [](const Observation& one) { return !one.scores.empty(); });
    if (!any || count_ended(seen) < settings_.startup_trials) {
      return Suggestion{untried_point(space_, history, random, 4, [&, next = 0]() mutable {
        return next++ == 0 ? even_point(latent_, seed_, number) : space_.draw(random);
      })};
    }
    std::vector<Point> done, pending, failed;
    for (const Observation& one : seen) {
      bool is_pending = one.kind == Observation::Kind::pending;
      (is_pending ? pending : one.scores.empty() ? failed : done).push_back(one.point);
    }
    Vector values = gp_targets(history, seen, at_best_, random);
    Matrix inputs = inputs_of(done);
    const GpModel& model = fits_.of(latent_.kernel_space(), inputs, values);
    GpPosterior posterior(latent_.kernel_space(), model.kernel, inputs, warp(values, model.knee));
    if (!pending.empty()) posterior = posterior.imagine(inputs_of(pending), normals(pending.size(), random));
    Vector best = posterior.means_at_inputs().colwise().minCoeff();
    LogImprovement acquisition(std::move(posterior), std::move(best), success(done, failed));

    std::set<Point> tried;
    for (const Observation& one : seen) tried.insert(comparable(one.point));
    auto welcome = [&](const Point& point) {
      return space_.allows(point) && !tried.contains(comparable(point));
    };
    std::optional<Point> found =
        find_best_point(latent_, acquisition, near_points(done, values), random, welcome);
    if (found) return Suggestion{*found};
    return Suggestion{untried_random_point(space_, history, random)};
  }

 private:
  static Point comparable(Point point) {
    for (double& value : point) {
      if (std::isnan(value)) value = -std::numeric_limits<double>::infinity();
    }
    return point;
  }

  Matrix inputs_of(const std::vector<Point>& points) const {
    Matrix inputs(static_cast<Index>(points.size()), static_cast<Index>(space_.size()));
    for (size_t i = 0; i < points.size(); ++i) inputs.row(static_cast<Index>(i)) = latent_.inputs(points[i]);
    return inputs;
  }

  std::vector<Vector> near_points(const std::vector<Point>& points, const Vector& values) const {
    std::vector<size_t> order(points.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return values[static_cast<Index>(a)] < values[static_cast<Index>(b)];
    });
    std::vector<Vector> near;
    for (size_t i = 0; i < order.size() && i < best_points; ++i)
      near.push_back(latent_.latent(points[order[i]]));
    return near;
  }

  // Learned from what has failed and what has not; nothing where nothing has. The kernel is one of long
  // length scales, as what fails lies behind broad limits: one that is fitted to labels, which jump, would
  // see islands.
  std::optional<Success> success(const std::vector<Point>& done, const std::vector<Point>& failed) const {
    if (failed.empty()) return std::nullopt;
    std::vector<Point> all = done;
    all.insert(all.end(), failed.begin(), failed.end());
    Matrix inputs = inputs_of(all);
    Vector labels(inputs.rows());
    labels << Vector::Ones(static_cast<Index>(done.size())), Vector::Zero(static_cast<Index>(failed.size()));
    Vector targets = warp(labels, 0);
    double threshold = 0.5 * (targets[0] + targets[targets.size() - 1]),
           d = static_cast<double>(inputs.cols());
    KernelParameters kernel{Vector::Constant(inputs.cols(), 4 / d), 1, 1e-2};
    return Success{GpPosterior(latent_.kernel_space(), kernel, std::move(inputs), targets), threshold};
  }

  static Matrix normals(size_t pending, RandomStream& random) {
    Matrix even = even_points(random, static_cast<Index>(pending), 0, imagined).transpose();
    return even.unaryExpr([](double p) { return normal_quantile(p); });
  }

  GpConfig settings_;
  uint64_t seed_;
  bool at_best_;
  const Space& space_;
  LatentSpace latent_;
  KeptFit fits_;
};

}  // namespace

std::unique_ptr<Sampler> make_gp_sampler(const SweepConfig& config, const Space& space) {
  return std::make_unique<GpSampler>(config, space);
}

}  // namespace trireme
