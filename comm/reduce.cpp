#include "comm/reduce.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/error.h"

namespace trireme {
namespace {

constexpr size_t block_bytes = 2048;  // of the partial sums, which stay in the first-level cache
constexpr size_t most_levels = 24;    // of the tree: 16 million ranks

template <class F>
void with_type(DType type, F&& body) {
  switch (type) {
    case DType::float32:
      return body(float{});
    case DType::float64:
      return body(double{});
    case DType::int32:
      return body(int32_t{});
    case DType::int64:
      return body(int64_t{});
    case DType::uint8:
      return body(uint8_t{});
    case DType::uint16:
      return body(uint16_t{});
    case DType::bfloat16:
      return body(BFloat16{});
    case DType::float16:
      return body(Float16{});
  }
}

template <class T>
void combine_loop(const T* left, const T* right, T* out, size_t count, ReduceOp op) {
  using W = Wide<T>;
  if (op == ReduceOp::max) {
    for (size_t i = 0; i < count; ++i) out[i] = static_cast<T>(std::max<W>(left[i], right[i]));
  } else {
    for (size_t i = 0; i < count; ++i)
      out[i] = static_cast<T>(static_cast<W>(left[i]) + static_cast<W>(right[i]));
  }
}

// Where tree(0, n) is cut.
size_t middle_of(size_t n) { return std::bit_floor(n - 1); }

// The tree over parts[first...first + n) at elements [at, at + count): where the result lies, which is
// `scratch` of this level or, for one part, the part itself.
template <class T>
const T* tree(std::span<const void* const> parts, size_t at, size_t count, ReduceOp op, T* scratch) {
  if (parts.size() == 1) return static_cast<const T*>(parts[0]) + at;
  constexpr size_t block = block_bytes / sizeof(T);
  size_t middle = middle_of(parts.size());
  const T* left = tree(parts.first(middle), at, count, op, scratch);
  const T* right = tree(parts.subspan(middle), at, count, op, scratch + block);
  combine_loop(left, right, scratch, count, op);
  return scratch;
}

}  // namespace

void reduce_parts(std::span<const void* const> parts, void* out, size_t count, DType type, ReduceOp op) {
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    constexpr size_t block = block_bytes / sizeof(T);
    alignas(64) std::array<std::byte, block_bytes * most_levels> scratch;  // not initialised
    for (size_t at = 0; at < count; at += block) {
      size_t n = std::min(block, count - at);
      const T* result = tree<T>(parts, at, n, op, reinterpret_cast<T*>(scratch.data()));
      T* to = static_cast<T*>(out) + at;
      if (result != to) std::memmove(to, result, n * sizeof(T));
    }
  });
  if (op == ReduceOp::average) divide(out, count, type, static_cast<int>(parts.size()));
}

void reduce_parts(std::span<const void* const> parts, std::span<void* const> outs, size_t count, DType type,
                  ReduceOp op) {
  reduce_parts(parts, outs[0], count, type, op);
  for (void* out : outs.subspan(1)) std::memcpy(out, outs[0], count * size_of(type));
}

void combine(const void* left, const void* right, void* out, size_t count, DType type, ReduceOp op) {
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    combine_loop(static_cast<const T*>(left), static_cast<const T*>(right), static_cast<T*>(out), count, op);
  });
}

void divide(void* data, size_t count, DType type, int ranks) {
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    using W = std::conditional_t<std::is_integral_v<T>, int64_t, Wide<T>>;
    T* values = static_cast<T*>(data);
    for (size_t i = 0; i < count; ++i)
      values[i] = static_cast<T>(static_cast<W>(values[i]) / static_cast<W>(ranks));
  });
}

}  // namespace trireme
