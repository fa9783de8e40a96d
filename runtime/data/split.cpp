#include "data/split.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/rng.h"

namespace trireme {

int64_t held_out(int64_t count, double fraction, int64_t least, const char* what,
                 const std::filesystem::path& path) {
  auto kept_apart = static_cast<int64_t>(std::llround(fraction * static_cast<double>(count)));
  if (kept_apart >= least && count - kept_apart >= least) return kept_apart;
  throw ConfigError(
      "data.validation_fraction = {} parts the {} {} of {} into {} to train on and {} to validate on; each "
      "part "
      "needs at least {}",
      fraction, count, what, path.string(), count - kept_apart, kept_apart, least);
}

Split split_rows(int64_t rows, double fraction, const std::filesystem::path& path) {
  if (rows > int64_t{std::numeric_limits<uint32_t>::max()}) {
    throw DataError("{}: {} samples cannot be split: the limit is 2^32 - 1", path.string(), rows);
  }
  auto kept_apart = static_cast<std::ptrdiff_t>(held_out(rows, fraction, 1, "samples", path));
  constexpr uint64_t seed = 0x7370'6c69'74;  // any fixed number: the split is the data's, not the run's
  std::vector<uint32_t> order = random_permutation(static_cast<uint32_t>(rows), seed, 0);
  std::sort(order.begin(), order.begin() + kept_apart);
  std::sort(order.begin() + kept_apart, order.end());
  return {.training = {.name = training_part, .rows = {order.begin() + kept_apart, order.end()}},
          .validation = {.name = validation_part, .rows = {order.begin(), order.begin() + kept_apart}}};
}

}  // namespace trireme
