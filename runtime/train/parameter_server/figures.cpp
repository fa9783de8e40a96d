#include "train/parameter_server/figures.h"

namespace trireme {
namespace {

constexpr size_t count = 11;

std::optional<double> known(double value, double mark) {
  return mark != 0 ? std::optional(value) : std::nullopt;
}

}  // namespace

std::vector<double> to_numbers(const PieceFigures& f) {
  return {f.samples,
          f.loss,
          f.learning_rate,
          f.data_seconds,
          f.gradient_norm,
          f.loss_scale,
          f.skipped,
          f.generator_loss ? 1.0 : 0.0,
          f.discriminator_loss ? 1.0 : 0.0,
          f.generator_loss.value_or(0),
          f.discriminator_loss.value_or(0)};
}

std::optional<PieceFigures> figures_of(std::span<const double> n) {
  if (n.size() < count) return std::nullopt;
  return PieceFigures{n[0], n[1], n[2], n[3], n[4], n[5], n[6], known(n[9], n[7]), known(n[10], n[8])};
}

}  // namespace trireme
