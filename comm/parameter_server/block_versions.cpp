// The protocol of a seqlock (Boehm, "Can seqlocks get along with programming language memory models?", 2012):
//
//   writer: word = odd; release fence; change values; word = even, release
//   reader: before = word, acquire; read values; acquire fence; after = word; whole if equal and even
//
// The values are plain floats, not atomics: kernels must vectorise, and remote readers go past the language
// anyway. The fences order them for compiler and processor; what a reader has read in vain is thrown away.
#include "comm/parameter_server/block_versions.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/error.h"

// The sanitizer knows no fences, and GCC warns of it. It has nothing to check with them: the readers below
// are not instrumented, and blocks have one writer at a time.
#pragma GCC diagnostic ignored "-Wtsan"

namespace trireme {
namespace {

uint64_t load(const uint64_t& word, std::memory_order order) {
  return std::atomic_ref<uint64_t>(const_cast<uint64_t&>(word)).load(order);
}

// A race on purpose, see above. Written out, since the sanitizer looks into memcpy.
[[gnu::no_sanitize_thread, gnu::noinline]] void copy_racing(const float* from, float* to, size_t count) {
  for (size_t i = 0; i < count; ++i) to[i] = from[i];
}

}  // namespace

void begin_update(uint64_t& version) {
  std::atomic_ref<uint64_t> word(version);
  word.store(word.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
}

void end_update(uint64_t& version) {
  std::atomic_ref<uint64_t> word(version);
  word.store(word.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

std::vector<size_t> torn_blocks(std::span<const uint64_t> before, std::span<const uint64_t> after) {
  if (before.size() != after.size())
    throw CommError("versions of {} blocks before a pull and of {} after it", before.size(), after.size());
  std::vector<size_t> torn;
  for (size_t b = 0; b < before.size(); ++b) {
    if (!is_whole(before[b], after[b])) torn.push_back(b);
  }
  return torn;
}

uint64_t updates_in(std::span<const uint64_t> versions) {
  uint64_t least = UINT64_MAX;
  for (const uint64_t& word : versions) least = std::min(least, load(word, std::memory_order_relaxed) / 2);
  return versions.empty() ? 0 : least;
}

uint64_t copy_consistent(std::span<const uint64_t> versions, std::span<const Range> blocks,
                         const float* values, float* out) {
  if (versions.size() != blocks.size())
    throw CommError("copy of {} blocks with {} versions", blocks.size(), versions.size());
  uint64_t least = UINT64_MAX;
  for (size_t b = 0; b < blocks.size(); ++b) {
    for (bool whole = false; !whole;) {
      uint64_t before = load(versions[b], std::memory_order_acquire);
      if ((before & 1) == 0) {
        copy_racing(values + blocks[b].begin, out + blocks[b].begin, blocks[b].size());
        std::atomic_thread_fence(std::memory_order_acquire);
        whole = is_whole(before, load(versions[b], std::memory_order_relaxed));
      }
      if (whole) {
        least = std::min(least, before / 2);
      } else {
        std::this_thread::yield();
      }
    }
  }
  return blocks.empty() ? 0 : least;
}

}  // namespace trireme
