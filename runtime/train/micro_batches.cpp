#include "train/micro_batches.h"

#include <algorithm>

#include "data/sampler.h"

namespace trireme {

int64_t piece_count(int64_t samples, int64_t micro_batches) { return std::min(samples, micro_batches); }

MicroBatch piece_of(int64_t samples, int64_t index, int64_t pieces) {
  Range slice = slice_of(samples, index, pieces);
  return {static_cast<int64_t>(slice.begin), static_cast<int64_t>(slice.size()), index == 0,
          index + 1 == pieces};
}

}  // namespace trireme
