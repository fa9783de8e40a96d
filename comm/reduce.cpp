#include "comm/reduce.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "comm/reduce_pass.h"

namespace trireme {
namespace {

constexpr size_t block_bytes = 2048;  // of the partial sums, which stay in the first-level cache
constexpr size_t most_levels = 24;    // of the tree: 16 million ranks

using Parts = std::span<const void* const>;

// What does not change while a reduction goes on.
struct Job {
  DType type;
  bool is_max;
  bool has_pass(size_t parts) const { return is_max ? parts == 2 : trireme::has_pass(parts, type); }
  void pass(Parts parts, void* first, void* second, size_t count) const {
    if (is_max) {
      max_pass(parts.data(), first, second, count, type);
    } else {
      sum_pass(parts.data(), parts.size(), first, second, count, type);
    }
  }
};

const void* shifted(const void* memory, size_t bytes) {
  return static_cast<const std::byte*>(memory) + bytes;
}
void* shifted(void* memory, size_t bytes) { return static_cast<std::byte*>(memory) + bytes; }

// Where tree(0, n) is cut.
size_t middle_of(size_t n) { return std::bit_floor(n - 1); }

// tree(parts) of `count` elements, `offset` bytes into them, into `first` and `second`, which may be null.
// The two halves go by way of the scratch, but for halves of one part, which lie where they are; `scratch`
// has two blocks for each level.
void reduce_block(const Job& job, Parts parts, size_t offset, void* first, void* second, size_t count,
                  std::byte* scratch) {
  if (job.has_pass(parts.size())) {
    std::array<const void*, 8> here{};
    for (size_t r = 0; r < parts.size(); ++r) here[r] = shifted(parts[r], offset);
    return job.pass({here.data(), parts.size()}, first, second, count);
  }
  size_t middle = middle_of(parts.size());
  const std::array<Parts, 2> halves{parts.first(middle), parts.subspan(middle)};
  std::array<const void*, 2> sums{};
  for (size_t half = 0; half < 2; ++half) {
    if (halves[half].size() == 1) {
      sums[half] = shifted(halves[half][0], offset);
    } else {
      reduce_block(job, halves[half], offset, scratch + half * block_bytes, nullptr, count,
                   scratch + 2 * block_bytes);
      sums[half] = scratch + half * block_bytes;
    }
  }
  job.pass(sums, first, second, count);
}

}  // namespace

void reduce_parts(Parts parts, void* out, size_t count, DType type, ReduceOp op) {
  reduce_parts(parts, std::span<void* const>(&out, 1), count, type, op);
}

void reduce_parts(Parts parts, std::span<void* const> outs, size_t count, DType type, ReduceOp op) {
  const Job job{type, op == ReduceOp::max};
  void* second = outs.size() > 1 ? outs[1] : nullptr;
  const bool plain = op != ReduceOp::average && outs.size() <= 2;
  if (plain && job.has_pass(parts.size())) return job.pass(parts, outs[0], second, count);

  // Block by block: what is read again to be divided or copied is then still in the first-level cache.
  alignas(64) std::array<std::byte, 2 * block_bytes * most_levels> scratch;  // not initialised
  const size_t element = size_of(type), block = block_bytes / element;
  for (size_t at = 0; at < count; at += block) {
    size_t n = std::min(block, count - at), offset = at * element;
    void* first = shifted(outs[0], offset);
    size_t written = 1;
    if (parts.size() == 1) {
      if (first != shifted(parts[0], offset)) std::memmove(first, shifted(parts[0], offset), n * element);
    } else {
      written = plain ? outs.size() : 1;
      reduce_block(job, parts, offset, first, written == 2 ? shifted(second, offset) : nullptr, n,
                   scratch.data());
    }
    if (op == ReduceOp::average) divide(first, n, type, static_cast<int>(parts.size()));
    for (void* out : outs.subspan(written)) {
      if (shifted(out, offset) != first) std::memcpy(shifted(out, offset), first, n * element);
    }
  }
}

void combine(const void* left, const void* right, void* out, size_t count, DType type, ReduceOp op) {
  const std::array<const void*, 2> parts{left, right};
  Job{type, op == ReduceOp::max}.pass(parts, out, nullptr, count);
}

void divide(void* data, size_t count, DType type, int ranks) { divide_pass(data, count, type, ranks); }

}  // namespace trireme
