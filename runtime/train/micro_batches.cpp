#include "train/micro_batches.h"

#include <algorithm>
#include <bit>

#include "data/sampler.h"

namespace trireme {

int Sharing::most_sums() const {
  if (virtual_ranks == 0) return micro_batches > 1 ? 1 : 0;
  return std::countr_zero(static_cast<uint64_t>(virtual_ranks / ranks));
}

Pieces::Pieces(int64_t global_count, const Sharing& sharing)
    : global_count_(global_count),
      sharing_(sharing),
      share_(share_of(global_count, sharing.rank, sharing.ranks, sharing.virtual_ranks)) {
  auto samples = static_cast<int64_t>(share_.size());
  bool shards = sharing.virtual_ranks > 0 && samples > 0;
  count_ = shards ? sharing.virtual_ranks / sharing.ranks : std::min(samples, sharing.micro_batches);
}

MicroBatch Pieces::operator[](int64_t index) const {
  MicroBatch piece;
  Range samples{};
  if (sharing_.virtual_ranks > 0) {
    samples = slice_of(global_count_, sharing_.rank * count_ + index, sharing_.virtual_ranks);
    samples.begin -= share_.begin;
    samples.end -= share_.begin;
    piece.merges = std::countr_one(static_cast<uint64_t>(index));
  } else {
    samples = slice_of(static_cast<int64_t>(share_.size()), index, count_);
    piece.merges = index > 0 ? 1 : 0;
  }
  piece.first = static_cast<int64_t>(samples.begin);
  piece.count = static_cast<int64_t>(samples.size());
  piece.ends = index + 1 == count_;
  return piece;
}

}  // namespace trireme
