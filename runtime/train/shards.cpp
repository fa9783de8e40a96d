#include "train/shards.h"

#include <algorithm>
#include <cstring>

#include "base/buffer.h"
#include "optim/norm.h"

namespace trireme {
namespace {

size_t end_of(std::span<const UpdateSpan> spans) { return spans.empty() ? 0 : spans.back().range.end; }

std::vector<Blocks> cut_buckets(size_t elements, size_t bucket_elements, size_t ranks) {
  size_t unit = norm_block * ranks;
  size_t size = std::max<size_t>(1, (bucket_elements + unit / 2) / unit) * unit;
  std::vector<Blocks> buckets;
  for (size_t begin = 0; begin < elements; begin += size) {
    Range range{begin, std::min(elements, begin + size)};
    size_t blocks = (range.size() + norm_block - 1) / norm_block;
    Blocks& bucket = buckets.emplace_back(Blocks{range});
    for (size_t r = 0; r <= ranks; ++r) {
      bucket.bounds.push_back(std::min(range.size(), blocks * r / ranks * norm_block));
    }
  }
  return buckets;
}

// Ends of runs of whole spans, each run as long as `most` allows; a span longer than that is a run.
std::vector<size_t> runs_of(std::span<const UpdateSpan> spans, size_t most) {
  std::vector<size_t> ends;
  size_t begin = 0;
  for (size_t i = 0; i < spans.size(); ++i) {
    if (i + 1 < spans.size() && spans[i + 1].range.end - begin <= most) continue;
    begin = spans[i].range.end;
    ends.push_back(begin);
  }
  return ends;
}

// The least length that gives no more runs than ranks, by bisection.
Blocks cut_tensors(std::span<const UpdateSpan> spans, size_t ranks) {
  size_t low = 0, high = end_of(spans);
  for (const UpdateSpan& span : spans) low = std::max(low, span.range.size());
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (runs_of(spans, middle).size() <= ranks) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  Blocks blocks{{0, end_of(spans)}, {0}};
  for (size_t end : runs_of(spans, low)) blocks.bounds.push_back(end);
  blocks.bounds.resize(ranks + 1, end_of(spans));
  return blocks;
}

// Calls use(piece, own, at) for every piece: its own blocks, and this rank's part of it, which lies `at`
// elements into this rank's values.
template <class Use>
void for_each_piece(std::span<const Blocks> all, size_t piece_elements, int rank, Use&& use) {
  size_t at = 0;
  for (const Blocks& blocks : all) {
    for (size_t first = 0; first < blocks.range.size(); first += piece_elements) {
      size_t last = std::min(blocks.range.size(), first + piece_elements);
      Blocks piece{{blocks.range.begin + first, blocks.range.begin + last}};
      for (size_t bound : blocks.bounds) piece.bounds.push_back(std::clamp(bound, first, last) - first);
      Range own = piece.block(rank);
      use(piece, own, at);
      at += own.size();
    }
  }
}

}  // namespace

Shards make_shards(std::span<const UpdateSpan> spans, Cut cut, size_t bucket_elements, int ranks) {
  Shards shards;
  auto count = static_cast<size_t>(ranks);
  if (cut == Cut::at_tensors) {
    shards.parameters.push_back(cut_tensors(spans, count));
  } else {
    shards.parameters = cut_buckets(end_of(spans), bucket_elements, count);
    shards.gradients = shards.parameters;
  }
  return shards;
}

std::vector<Range> owned_ranges(std::span<const Blocks> all, int rank) {
  std::vector<Range> owned;
  for (const Blocks& blocks : all) {
    if (Range own = blocks.block(rank); !own.empty()) owned.push_back(own);
  }
  return owned;
}

std::vector<UpdateSpan> owned_spans(std::span<const UpdateSpan> spans, std::span<const Range> owned) {
  std::vector<UpdateSpan> parts;
  for (const Range& range : owned) {
    for (UpdateSpan span : spans) {
      span.range = {std::max(span.range.begin, range.begin), std::min(span.range.end, range.end)};
      if (span.range.begin < span.range.end) parts.push_back(span);
    }
  }
  return parts;
}

void collect_blocks(Communicator& communicator, std::span<const Blocks> all, size_t piece_elements,
                    std::span<const float> own, const std::function<void(Range, const float*)>& take) {
  Buffer memory(piece_elements * sizeof(float));
  auto* values = memory.as<float>();
  for_each_piece(all, piece_elements, communicator.rank(), [&](const Blocks& piece, Range, size_t at) {
    communicator.all_gather(own.data() + at, values, piece.bounds, DType::float32);
    take(piece.range, values);
  });
}

void spread_blocks(Communicator& communicator, std::span<const Blocks> all, size_t piece_elements,
                   const float* whole, std::span<float> own) {
  Buffer memory(piece_elements * sizeof(float));
  auto* values = memory.as<float>();
  for_each_piece(all, piece_elements, communicator.rank(), [&](const Blocks& piece, Range mine, size_t at) {
    size_t bytes = piece.range.size() * sizeof(float);
    if (whole != nullptr) std::memcpy(values, whole + piece.range.begin, bytes);
    communicator.broadcast(values, bytes, 0);
    std::copy_n(values + (mine.begin - piece.range.begin), mine.size(), own.data() + at);
  });
}

}  // namespace trireme
