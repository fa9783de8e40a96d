// The Gaussian process: its derivatives, its predictions and expected improvements against plain formulas,
// and that the sampler finds what it should.
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <memory>
#include <vector>

#include "sweep/samplers/box_minimum.h"
#include "sweep/samplers/gp_kernel.h"
#include "sweep/samplers/gp_model.h"
#include "sweep/samplers/gp_posterior.h"
#include "sweep/samplers/latent.h"
#include "sweep/samplers/normal.h"
#include "sweep/support.h"

namespace trireme {
namespace {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;

// Twelve points of two numbers and a name.
struct Data {
  KernelSpace space{{false, true, false}};
  KernelParameters parameters{Eigen::Vector3d(3, 0.5, 20), 1.3, 0.02};
  Matrix inputs{12, 3};
  Vector targets{12};

  Data() {
    RandomStream random(7, Purpose::test);
    for (Eigen::Index i = 0; i < inputs.rows(); ++i) {
      inputs.row(i) << uniform_double(random), random.below(3), uniform_double(random);
      targets[i] = std::sin(5 * inputs(i, 0)) + 0.3 * inputs(i, 1) + inputs(i, 2) - 1;
    }
  }
  double covariance(const Vector& a, const Vector& b) const {
    double sum = 0;
    for (Eigen::Index j = 0; j < 3; ++j) {
      double apart = space.is_name[static_cast<size_t>(j)] ? (a[j] != b[j] ? 1.0 : 0.0) : a[j] - b[j];
      sum += parameters.weights[j] * apart * apart;
    }
    double s = std::sqrt(5 * sum);
    return parameters.scale * (1 + s + s * s / 3) * std::exp(-s);
  }
  Matrix covariance(const Matrix& a, const Matrix& b) const {
    Matrix all(a.rows(), b.rows());
    for (Eigen::Index i = 0; i < a.rows(); ++i) {
      for (Eigen::Index j = 0; j < b.rows(); ++j) all(i, j) = covariance(Vector(a.row(i)), Vector(b.row(j)));
    }
    return all;
  }
  GpPosterior posterior() const { return GpPosterior(space, parameters, inputs, targets); }
};

TEST(BoxMinimum, FindsTheValleysEndAndStopsAtTheBox) {
  auto rosenbrock = [](const Vector& x, Vector& gradient) {
    double rise = x[1] - x[0] * x[0];
    gradient = Eigen::Vector2d(-400 * x[0] * rise - 2 * (1 - x[0]), 200 * rise);
    return 100 * rise * rise + (1 - x[0]) * (1 - x[0]);
  };
  BoxSearch search{.evaluations = 300, .gradient_tolerance = 1e-8, .value_tolerance = 0};
  BoxMinimum free = minimize_in_box(rosenbrock, Eigen::Vector2d(-1.2, 1), Eigen::Vector2d(-2, -2),
                                    Eigen::Vector2d(2, 2), search);
  EXPECT_NEAR((free.at - Eigen::Vector2d(1, 1)).norm(), 0, 1e-5);
  EXPECT_LT(free.evaluations, 100);
  // With x0 at most 0.5 the lowest point is on that side, at (0.5, 0.25).
  BoxMinimum held = minimize_in_box(rosenbrock, Eigen::Vector2d(-1.2, 1), Eigen::Vector2d(-2, -2),
                                    Eigen::Vector2d(0.5, 2), search);
  EXPECT_NEAR((held.at - Eigen::Vector2d(0.5, 0.25)).norm(), 0, 1e-5);
}

TEST(BoxMinimum, GoesAroundWhereTheValueIsInfinite) {
  auto cut = [](const Vector& x, Vector& gradient) {
    gradient = 2 * x;
    return x[0] < 0.3 ? std::numeric_limits<double>::infinity() : x.squaredNorm();
  };
  BoxMinimum found =
      minimize_in_box(cut, Eigen::Vector2d(1, 1), Eigen::Vector2d(-2, -2), Eigen::Vector2d(2, 2));
  EXPECT_GE(found.at[0], 0.3);
  EXPECT_LT(found.value, 1.0);
}

TEST(KernelPosterior, GradientIsThatOfFiniteDifferences) {
  Data data;
  KernelPosterior posterior(data.space, data.inputs, data.targets);
  Vector at(5), gradient, ignored;
  at << std::log(3), std::log(0.5), std::log(20), std::log(1.3), std::log(0.02);
  double value = posterior(at, gradient);
  ASSERT_TRUE(std::isfinite(value));
  for (Eigen::Index i = 0; i < 5; ++i) {
    Vector up = at, down = at;
    up[i] += 1e-5;
    down[i] -= 1e-5;
    double slope = (posterior(up, ignored) - posterior(down, ignored)) / 2e-5;
    EXPECT_NEAR(gradient[i], slope, 1e-5 * (1 + std::abs(slope))) << i;
  }
}

TEST(FitKernel, TellsWhatMattersFromWhatDoesNotAndSmoothFromNoisy) {
  RandomStream random(11, Purpose::test);
  Matrix inputs(60, 3);
  Vector smooth(60), noisy(60);
  for (Eigen::Index i = 0; i < 60; ++i) {
    for (Eigen::Index j = 0; j < 3; ++j) inputs(i, j) = uniform_double(random);
    smooth[i] = std::sin(6 * inputs(i, 0)) + 0.3 * inputs(i, 1);
    noisy[i] = (smooth[i] + 0.6 * normal_quantile(uniform_double(random))) / 0.95;
  }
  KernelSpace space{{false, false, false}};
  KernelParameters fitted = fit_kernel(space, inputs, smooth).parameters;
  EXPECT_GT(fitted.weights[0], 5 * fitted.weights[1]);
  EXPECT_GT(fitted.weights[1], 2 * fitted.weights[2]);
  EXPECT_LT(fitted.noise, 1e-3);
  // Noise alone would say less: it is as well a function of tiny length scales.
  EXPECT_NEAR(fit_kernel(space, inputs, noisy).parameters.noise, 0.4, 0.2);
}

TEST(GpPosterior, PredictsAsTheDenseFormulaDoes) {
  Data data;
  GpPosterior posterior = data.posterior();
  Matrix covariance = data.covariance(data.inputs, data.inputs);
  covariance.diagonal().array() += data.parameters.noise;
  Matrix points(3, 3);
  points << 0.2, 1, 0.7, 0.9, 0, 0.1, 0.5, 2, 0.5;
  Matrix means;
  Vector variances;
  posterior.predict(points, means, variances);
  for (Eigen::Index i = 0; i < 3; ++i) {
    Vector k = data.covariance(data.inputs, points.row(i));
    Vector solved = covariance.ldlt().solve(k);
    GpPosterior::Prediction at = posterior.predict(points.row(i));
    EXPECT_NEAR(at.means[0], solved.dot(data.targets), 1e-9);
    EXPECT_NEAR(at.variance, data.parameters.scale - solved.dot(k), 1e-9);
    EXPECT_NEAR(means(i, 0), at.means[0], 1e-12);
    EXPECT_NEAR(variances[i], at.variance, 1e-12);
  }
}

TEST(GpPosterior, ImaginesWhatItWouldPredict) {
  Data data;
  Matrix pending(2, 3);
  pending << 0.4, 1, 0.2, 0.45, 1, 0.25;
  Matrix normals(2, 4096);
  RandomStream random(2, Purpose::test);
  for (double& one : normals.reshaped()) one = normal_quantile(uniform_double(random));
  GpPosterior known = data.posterior(), imagined = known.imagine(pending, normals);
  Matrix drawn = imagined.targets().bottomRows(2);
  Vector mean = drawn.rowwise().mean();
  Matrix centred = drawn.colwise() - mean;
  for (Eigen::Index i = 0; i < 2; ++i) {
    GpPosterior::Prediction at = known.predict(pending.row(i));
    EXPECT_NEAR(mean[i], at.means[0], 0.05);
    EXPECT_NEAR(centred.row(i).squaredNorm() / 4096, at.variance + data.parameters.noise, 0.05);
    EXPECT_LT(imagined.predict(pending.row(i)).variance, data.parameters.noise) << "it is known now";
  }
  EXPECT_GT(centred.row(0).dot(centred.row(1)), 0) << "near points go together";
  // Averaged over what may come, the mean elsewhere is as it was.
  Eigen::Vector3d elsewhere(0.8, 1, 0.6);
  EXPECT_NEAR(imagined.predict(elsewhere).means.mean(), known.predict(elsewhere).means[0], 0.02);
}

TEST(LogImprovement, IsTheIntegralOfTheImprovement) {
  for (double z : {-9.0, -3.0, -1.0, 0.0, 0.5, 4.0}) {
    // E[max(0, z + N)] by the midpoint rule over the part where there is any.
    double sum = 0, step = 1e-4;
    for (double n = -z + step / 2; n < std::max(12.0, -z + 12); n += step) {
      sum += (z + n) * std::exp(-0.5 * n * n) / std::sqrt(2 * M_PI) * step;
    }
    EXPECT_NEAR(log_improvement(z), std::log(sum), 1e-6) << z;
  }
}

TEST(LogImprovement, IsSmoothFarBelow) {
  for (double z : {-400.0, -25.001, -24.999, -20.0, -5.0, 0.0, 3.0}) {
    double slope = (log_improvement(z + 1e-4) - log_improvement(z - 1e-4)) / 2e-4;
    EXPECT_NEAR(log_improvement_slope(z), slope, 2e-4 * std::abs(slope)) << z;
  }
  EXPECT_NEAR(log_improvement(-25.0000001), log_improvement(-24.9999999), 1e-5);
}

TEST(LogImprovement, GradientIsThatOfFiniteDifferences) {
  Data data;
  Matrix pending(1, 3), normals(1, 5);
  pending << 0.4, 1, 0.2;
  normals << -1, -0.3, 0, 0.4, 1.2;
  GpPosterior imagined = data.posterior().imagine(pending, normals);
  Vector best = imagined.targets().colwise().minCoeff();
  LogImprovement improvement(imagined, best);
  for (const Eigen::Vector3d& x :
       {Eigen::Vector3d(0.1, 0, 0.9), Eigen::Vector3d(0.5, 1, 0.3), Eigen::Vector3d(0.4, 2, 0.2)}) {
    Vector gradient;
    double value = improvement(x, gradient);
    EXPECT_NEAR(value, improvement(x), 1e-12);
    EXPECT_NEAR(value, improvement.many(x.transpose())[0], 1e-10);
    EXPECT_EQ(gradient[1], 0) << "a name has no slope";
    for (Eigen::Index j : {0, 2}) {
      Vector up = x, down = x;
      up[j] += 1e-6;
      down[j] -= 1e-6;
      double slope = (improvement(up) - improvement(down)) / 2e-6;
      EXPECT_NEAR(gradient[j], slope, 1e-5 * (1 + std::abs(slope)));
    }
  }
}

TEST(LogImprovement, IsLessWhereTrialsFailWithTheRightGradient) {
  Data data;
  Vector labels = (data.inputs.col(0).array() < 0.5).cast<double>();
  GpPosterior process(data.space, data.parameters, data.inputs, labels);
  Vector best = Vector::Constant(1, data.targets.minCoeff());
  LogImprovement plain(data.posterior(), best), improvement(data.posterior(), best, Success{process, 0.5});
  for (const Eigen::Vector3d& x :
       {Eigen::Vector3d(0.1, 0, 0.9), Eigen::Vector3d(0.9, 1, 0.3), Eigen::Vector3d(0.55, 2, 0.2)}) {
    Vector gradient;
    double value = improvement(x, gradient);
    EXPECT_NEAR(value, improvement(x), 1e-12);
    EXPECT_NEAR(value, improvement.many(x.transpose())[0], 1e-10);
    GpPosterior::Prediction label = process.predict(x);
    double p = normal_cdf((label.means[0] - 0.5) / std::sqrt(label.variance + 0.01));
    EXPECT_NEAR(value - plain(x), std::log(p), 1e-9);
    for (Eigen::Index j : {0, 2}) {
      Vector up = x, down = x;
      up[j] += 1e-6;
      down[j] -= 1e-6;
      double slope = (improvement(up) - improvement(down)) / 2e-6;
      EXPECT_NEAR(gradient[j], slope, 1e-5 * (1 + std::abs(slope)));
    }
  }
}

TEST(Warp, KeepsTheOrderAndDrawsOutliersIn) {
  Vector values(7);
  values << 3, 1e6, 1, 20, 2, 1e4, 1.5;
  for (double knee : {0.0, 1.0, 0.01}) {
    Vector warped = warp(values, knee);
    EXPECT_NEAR(warped.mean(), 0, 1e-12) << knee;
    EXPECT_NEAR(warped.squaredNorm() / 7, 1, 1e-12) << knee;
    for (Eigen::Index i = 0; i < 7; ++i) {
      for (Eigen::Index j = 0; j < 7; ++j) EXPECT_EQ(values[i] < values[j], warped[i] < warped[j]) << knee;
    }
    if (knee > 0) {
      EXPECT_LT(warped[1], 2.3) << "2.45 is how far the outlier is out unbent";
    }
  }
  EXPECT_EQ(warp(Vector::Constant(3, 5), 0.1), Vector::Zero(3));
}

TEST(Warp, SlopesAreThoseOfFiniteDifferences) {
  Vector values(6);
  values << 3, 40, 1, 20, 2, 7;
  for (double knee : {0.0, 1.0, 0.01}) {
    // Scores that are neither the lowest nor the middle move alone: what is bent is divided by its deviation.
    Eigen::ArrayXd bent = values;
    if (knee > 0) bent = (1 + (values.array() - 1) / (knee * 6)).log();  // 7 is the middle, 1 the lowest
    double deviation = std::sqrt((bent - bent.mean()).square().mean()), sum = 0;
    for (double value : values) sum += std::log((knee > 0 ? 1 / (knee * 6 + value - 1) : 1) / deviation);
    EXPECT_NEAR(log_warp_slopes(values, knee), sum, 1e-9) << knee;
  }
}

TEST(FitModel, BendsScoresThatSpanOrdersOfMagnitudeAndLeavesOthers) {
  RandomStream random(5, Purpose::test);
  Matrix inputs(40, 2);
  Vector smooth(40);
  for (Eigen::Index i = 0; i < 40; ++i) {
    for (Eigen::Index j = 0; j < 2; ++j) inputs(i, j) = uniform_double(random);
    smooth[i] = std::sin(4 * inputs(i, 0)) + std::cos(3 * inputs(i, 1));
  }
  KernelSpace space{{false, false}};
  EXPECT_EQ(fit_model(space, inputs, smooth).knee, 0);
  Vector steep = (4 * smooth.array()).exp();
  EXPECT_GT(fit_model(space, inputs, steep).knee, 0);
}

TEST(EvenPoints, FillTheBox) {
  RandomStream random(1, Purpose::test), again = random;
  Matrix points = even_points(random, 2, 0, 256);
  std::vector<int> counts(64);
  for (Eigen::Index i = 0; i < 256; ++i)
    ++counts[static_cast<size_t>(points(i, 0) * 8) * 8 + static_cast<size_t>(points(i, 1) * 8)];
  for (int count : counts) {
    EXPECT_GE(count, 2);
    EXPECT_LE(count, 6);
  }
  EXPECT_EQ(even_points(again, 2, 200, 56), points.bottomRows(56));
}

SweepConfig config_of(const char* name, int64_t seed, size_t objectives = 1) {
  SweepConfig config;
  config.sweep.sampler = name;
  config.sweep.seed = seed;
  config.objectives.resize(objectives);
  return config;
}

double mean_regret(const char* name, const TestFunction& function, int64_t trials) {
  double sum = 0;
  int64_t seeds = 5;
  for (int64_t seed = 1; seed <= seeds; ++seed) {
    std::unique_ptr<Sampler> sampler = make_sampler(config_of(name, seed), function.space);
    SweepStory story =
        sweep_function(*sampler, function.space, function.value, trials, 4, static_cast<uint64_t>(seed));
    sum += best_score(story.history()) - function.best;
  }
  return sum / static_cast<double>(seeds);
}

TEST(Gp, IsMuchBetterThanRandom) {
  for (const TestFunction& function : {branin(), hartmann6(), conditional_toy()}) {
    double gp = mean_regret("gp", function, 55), random = mean_regret("random", function, 55);
    EXPECT_LT(gp, 0.25 * random) << function.name;
  }
}

TEST(Gp, TakesAllPointsOfASmallSpaceOnce) {
  Space space = toy_space({integer_parameter("a", 1, 4), choice_parameter("c", {"\"x\"", "\"y\"", "\"z\""})},
                          {"a != 2 or c == \"x\""});
  auto value = [](const Point& x) { return x[0] + x[1]; };
  std::unique_ptr<Sampler> sampler = make_sampler(config_of("gp", 1), space);
  SweepStory story = sweep_function(*sampler, space, value, 10, 3);
  for (const Trial& a : story.history().trials()) {
    for (const Trial& b : story.history().trials()) {
      EXPECT_TRUE(a.number == b.number || !same_point(a.point, b.point)) << a.number << " and " << b.number;
    }
  }
}

// Early: later, when the process knows where the lowest points are, all rightly gather there.
TEST(Gp, SpreadsPendingTrials) {
  TestFunction function = branin();
  std::unique_ptr<Sampler> sampler = make_sampler(config_of("gp", 1), function.space);
  SweepStory story = sweep_function(*sampler, function.space, function.value, 12, 1);
  std::vector<Point> pending;
  for (int i = 0; i < 5; ++i) {
    Point point = sampler->suggest(story.history(), 12 + i)->point;
    for (const Point& other : pending) {
      EXPECT_GT(std::hypot(point[0] - other[0], point[1] - other[1]), 0.05) << i;
    }
    pending.push_back(point);
    story.run(point);
  }
}

// Half of the space fails: how often after the 20th trial, and the lowest value.
std::pair<int, double> search_where_trials_fail(bool (*fails)(const Point& point)) {
  TestFunction function = sphere(2);
  std::unique_ptr<Sampler> sampler = make_sampler(config_of("gp", 1), function.space);
  SweepStory story(function.space);
  int failures = 0;
  for (int64_t number = 0; number < 40; ++number) {
    Point point = sampler->suggest(story.history(), number)->point;
    if (fails(point)) {
      story.failed(point);
      failures += number >= 20;
    } else {
      story.finished(point, {function.value(point)});
    }
  }
  return {failures, best_score(story.history())};
}

TEST(Gp, LeavesWhereTrialsFail) {
  auto [failures, best] = search_where_trials_fail([](const Point& point) { return point[0] < 0; });
  EXPECT_LT(failures, 4);
  EXPECT_LT(best, 1e-3);
}

// The lowest point fails, and its half of the space: the best of the others, 1, is on the border, which half
// of what closes in on it oversteps.
TEST(Gp, ClosesInOnTheBorderOfWhatFails) {
  auto [failures, best] = search_where_trials_fail([](const Point& point) { return point[0] > 0; });
  EXPECT_LT(failures, 20);
  EXPECT_LT(best, 1.05);
}

TEST(Gp, FindsAFrontOfTwoObjectives) {
  Space space = toy_space(cube(2, -4, 4));
  std::unique_ptr<Sampler> sampler = make_sampler(config_of("gp", 1, 2), space);
  SweepStory story(space);
  for (int64_t number = 0; number < 45; ++number) {
    Point x = sampler->suggest(story.history(), number)->point;
    story.finished(x, {x[0] * x[0] + x[1] * x[1], (x[0] - 2) * (x[0] - 2) + x[1] * x[1]});
  }
  // The front is x1 = 0, x0 from 0 to 2: found at both ends and between.
  int low = 0, middle = 0, high = 0;
  for (int64_t number : pareto_front(story.history().trials())) {
    const Point& x = story.history().trial(number).point;
    if (std::abs(x[1]) > 0.3) continue;
    low += x[0] > -0.3 && x[0] < 0.6;
    middle += x[0] > 0.6 && x[0] < 1.4;
    high += x[0] > 1.4 && x[0] < 2.3;
  }
  EXPECT_GT(low, 0);
  EXPECT_GT(middle, 0);
  EXPECT_GT(high, 0);
}

}  // namespace
}  // namespace trireme
