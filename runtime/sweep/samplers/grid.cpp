// Grid search: all combinations of each parameter's values, the last parameter changing fastest. The trial of
// number n has the n-th combination that is allowed, whatever the history says, so that no two workers of a
// job array have the same.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "sweep/samplers/samplers.h"

namespace trireme {
namespace {

// Ends and `points` values between them, evenly in the parameter's own measure; all values where they are no
// more than `points`, and all choices.
std::vector<double> grid_values(const Space& space, size_t i, int64_t points) {
  const Parameter& parameter = space[i];
  int64_t count = parameter.count();
  bool all = parameter.kind == ParameterKind::choice || (count > 0 && count <= points);
  std::vector<double> values;
  if (all) {
    for (int64_t k = 0; k < count; ++k) values.push_back(parameter.value_at(k));
  } else {
    for (int64_t k = 0; k < points; ++k) {
      double unit = points == 1 ? 0.5 : static_cast<double>(k) / static_cast<double>(points - 1);
      values.push_back(space.from_unit(i, unit));
    }
    values.erase(std::unique(values.begin(), values.end()), values.end());
  }
  return values;
}

class GridSampler : public Sampler {
 public:
  GridSampler(const SweepConfig& config, const Space& space) : space_(space) {
    double combinations = 1;
    for (size_t i = 0; i < space.size(); ++i) {
      values_.push_back(grid_values(space, i, config.grid.points));
      combinations *= static_cast<double>(values_.back().size());
    }
    if (combinations > 1e9) {
      throw ConfigError(
          "{}: a grid of {:.1e} points; give fewer sweep.grid.points (now {}), or a sampler that does not "
          "try all of them (sobol)",
          config.where("sweep.sampler"), combinations, config.grid.points);
    }
  }

  std::optional<Suggestion> suggest(const History&, int64_t number) override {
    if (number + 1 < found_) found_ = 0;  // from the beginning: nobody asks so but a sweep that is read again
    while (found_ <= number) {
      if (!(found_ == 0 ? begin() : advance())) return std::nullopt;
      ++found_;
      answer_ = point_;
    }
    return Suggestion{answer_};
  }

 private:
  // The first combination that is allowed, or the next one; false where there is none.
  bool begin() {
    point_.assign(space_.size(), std::numeric_limits<double>::quiet_NaN());
    digits_.assign(space_.size(), 0);
    fill(0);
    return space_.allows(point_) || advance();
  }
  bool advance() {
    do {
      // The last active parameter that has a further value takes it; those after it begin anew. One that is
      // not active has but one value, so that no point comes twice.
      size_t i = space_.size();
      while (i > 0 && (std::isnan(point_[i - 1]) || digits_[i - 1] + 1 == values_[i - 1].size())) --i;
      if (i == 0) return false;
      point_[i - 1] = values_[i - 1][++digits_[i - 1]];
      fill(i);
    } while (!space_.allows(point_));
    return true;
  }
  // The first value for each from `from` on that is active, which the values before it say.
  void fill(size_t from) {
    std::fill(point_.begin() + static_cast<std::ptrdiff_t>(from), point_.end(),
              std::numeric_limits<double>::quiet_NaN());
    for (size_t i = from; i < space_.size(); ++i) {
      digits_[i] = 0;
      if (space_.is_active(i, point_)) point_[i] = values_[i][0];
    }
  }

  const Space& space_;
  std::vector<std::vector<double>> values_;
  // How far the walk is: it has passed found_ allowed combinations, answer_ the last of them.
  int64_t found_ = 0;
  Point answer_;
  Point point_;                 // where it stands
  std::vector<size_t> digits_;  // the same, as places in values_
};

}  // namespace

std::unique_ptr<Sampler> make_grid_sampler(const SweepConfig& config, const Space& space) {
  return std::make_unique<GridSampler>(config, space);
}

}  // namespace trireme
