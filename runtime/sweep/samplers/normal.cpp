#include "sweep/samplers/normal.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace trireme {

namespace {

const double root_half = std::sqrt(0.5);
const double log_root_two_pi = 0.5 * std::log(2 * M_PI);
constexpr double tail = -25;  // below it the asymptotic series is exact to 1e-9

double density(double z) { return std::exp(-0.5 * z * z - log_root_two_pi); }

double polynomial(std::span<const double> rising, double x) {
  double sum = 0;
  for (size_t i = rising.size(); i-- > 0;) sum = sum * x + rising[i];
  return sum;
}

// E[max(0, z + N)] / density(z) for z far below zero: 1/z^2 (1 - 3/z^2 + 15/z^4 - 105/z^6).
double tail_ratio(double z) {
  double w = 1 / (z * z);
  return w * (1 + w * (-3 + w * (15 - 105 * w)));
}

}  // namespace

double uniform_double(RandomStream& random) {
  uint64_t high = random.next();
  uint64_t bits = (high << 32 | random.next()) >> 11;
  return (static_cast<double>(bits) + 0.5) * 0x1p-53;
}

double normal_cdf(double z) { return 0.5 * std::erfc(-z * root_half); }

double normal_quantile(double p) {
  static constexpr double middle_over[] = {3.3871328727963666080e0, 1.3314166789178437745e2,
                                           1.9715909503065514427e3, 1.3731693765509461125e4,
                                           4.5921953931549871457e4, 6.7265770927008700853e4,
                                           3.3430575583588128105e4, 2.5090809287301226727e3};
  static constexpr double middle_under[] = {1.0,
                                            4.2313330701600911252e1,
                                            6.8718700749205790830e2,
                                            5.3941960214247511077e3,
                                            2.1213794301586595867e4,
                                            3.9307895800092710610e4,
                                            2.8729085735721942674e4,
                                            5.2264952788528545610e3};
  static constexpr double side_over[] = {1.42343711074968357734e0, 4.63033784615654529590e0,
                                         5.76949722146069140550e0, 3.64784832476320460504e0,
                                         1.27045825245236838258e0, 2.41780725177450611770e-1,
                                         2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr double side_under[] = {1.0,
                                          2.05319162663775882187e0,
                                          1.67638483018380384940e0,
                                          6.89767334985100004550e-1,
                                          1.48103976427480074590e-1,
                                          1.51986665636164571966e-2,
                                          5.47593808499534494600e-4,
                                          1.05075007164441684324e-9};
  static constexpr double far_over[] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                        1.78482653991729133580e0,  2.96560571828504891230e-1,
                                        2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                        2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr double far_under[] = {1.0,
                                         5.99832206555887937690e-1,
                                         1.36929880922735805310e-1,
                                         1.48753612908506148525e-2,
                                         7.86869131145613259100e-4,
                                         1.84631831751005468180e-5,
                                         1.42151175831644588870e-7,
                                         2.04426310338993978564e-15};
  double q = p - 0.5;
  if (std::abs(q) <= 0.425) {
    double r = 0.180625 - q * q;
    return q * polynomial(middle_over, r) / polynomial(middle_under, r);
  }
  double r = std::sqrt(-std::log(q < 0 ? p : 1 - p));
  double z = r <= 5 ? polynomial(side_over, r - 1.6) / polynomial(side_under, r - 1.6)
                    : polynomial(far_over, r - 5) / polynomial(far_under, r - 5);
  return q < 0 ? -z : z;
}

double log_normal_mass(double a, double b) {
  if (!(a < b)) return -std::numeric_limits<double>::infinity();
  if (a > 0) return log_normal_mass(-b, -a);  // the lower tail is the one without cancellation
  if (b > 0) return std::log1p(-normal_cdf(a) - normal_cdf(-b));
  return std::log(normal_cdf(b) - normal_cdf(a));
}

double draw_truncated_normal(RandomStream& random, double mean, double deviation, double low, double high) {
  double from = normal_cdf((low - mean) / deviation), to = normal_cdf((high - mean) / deviation);
  double p = from + uniform_double(random) * (to - from);
  return std::clamp(mean + deviation * normal_quantile(p), low, high);
}

double log_improvement(double z) {
  if (z < tail) return -0.5 * z * z - log_root_two_pi + std::log(tail_ratio(z));
  return std::log(density(z) + z * normal_cdf(z));
}

double log_improvement_slope(double z) {
  if (z < tail) return (1 - 1 / tail_ratio(z)) / z;
  return normal_cdf(z) / (density(z) + z * normal_cdf(z));
}

}  // namespace trireme
