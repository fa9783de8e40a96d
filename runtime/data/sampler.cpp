#include "data/sampler.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/rng.h"

namespace trireme {

Range slice_of(int64_t count, int64_t part, int64_t parts) {
  int64_t shorter = count / parts;
  int64_t longer_parts = count % parts;
  int64_t begin = part * shorter + std::min(part, longer_parts);
  int64_t size = shorter + (part < longer_parts ? 1 : 0);
  return {static_cast<size_t>(begin), static_cast<size_t>(begin + size)};
}

Range share_of(int64_t count, int64_t rank, int64_t ranks, int64_t virtual_ranks) {
  if (virtual_ranks == 0) return slice_of(count, rank, ranks);
  int64_t own = virtual_ranks / ranks;
  return {slice_of(count, rank * own, virtual_ranks).begin,
          slice_of(count, (rank + 1) * own - 1, virtual_ranks).end};
}

int64_t steps_per_epoch(int64_t samples, int64_t batch) {
  return samples / batch + (samples % batch != 0 ? 1 : 0);
}

EpochPosition position_of(int64_t global_step, int64_t steps_in_epoch) {
  return {global_step / steps_in_epoch, global_step % steps_in_epoch};
}

Range batch_of(int64_t step_in_epoch, int64_t samples, int64_t batch) {
  int64_t begin = std::min(samples, step_in_epoch * batch);
  int64_t end = std::min(samples, begin + batch);
  return {static_cast<size_t>(begin), static_cast<size_t>(end)};
}

EpochOrder::EpochOrder(int64_t samples, uint64_t seed, int64_t epoch, bool shuffle) : samples_(samples) {
  if (!shuffle) return;
  if (samples > int64_t{std::numeric_limits<uint32_t>::max()}) {
    throw DataError("a data set of {} samples cannot be shuffled: the limit is 2^32 - 1", samples);
  }
  order_ = random_permutation(static_cast<uint32_t>(samples), seed, static_cast<uint64_t>(epoch));
}

}  // namespace trireme
