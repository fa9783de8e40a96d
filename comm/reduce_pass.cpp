// One function per type, compiled for several instruction sets, with all loops inlined into it. An addition
// of 16-bit floats widens, adds and rounds; half.h's conversions are said again without branches, which
// vectorises.
#include "comm/reduce_pass.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "base/clones.h"

namespace trireme {
namespace {

#define TRIREME_INLINE [[gnu::always_inline]] inline

// What a loop computes with, for an element as it lies in memory.
template <class T>
struct Element {
  using Memory = T;
  TRIREME_INLINE static T widen(T value) { return value; }
  TRIREME_INLINE static T narrow(T value) { return value; }
};

template <>
struct Element<BFloat16> {
  using Memory = uint16_t;
  TRIREME_INLINE static float widen(uint16_t bits) {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
  TRIREME_INLINE static uint16_t narrow(float value) {
    auto wide = std::bit_cast<uint32_t>(value);
    uint32_t rounded = (wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16;
    uint32_t nan = (wide >> 16) | 0x40u;
    return static_cast<uint16_t>((wide & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
  }
};

template <>
struct Element<Float16> {
  using Memory = uint16_t;
  TRIREME_INLINE static float widen(uint16_t bits) {
    uint32_t sign = (bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
    uint32_t special = 0x7f800000u | ((magnitude & 0x3ffu) << 13);
    uint32_t normal = (magnitude << 13) + 0x38000000u;
    auto denormal = std::bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
    uint32_t small = magnitude >= 0x400u ? normal : denormal;
    return std::bit_cast<float>(sign | (magnitude >= 0x7c00u ? special : small));
  }
  TRIREME_INLINE static uint16_t narrow(float value) {
    auto wide = std::bit_cast<uint32_t>(value);
    uint32_t sign = (wide >> 16) & 0x8000u, magnitude = wide & 0x7fffffffu;
    uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13;
    uint32_t denormal = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
    uint32_t result = magnitude >= 0x38800000u ? normal : denormal;
    result = magnitude >= 0x477ff000u ? 0x7c00u : result;
    result = magnitude > 0x7f800000u ? 0x7e00u : result;
    return static_cast<uint16_t>(sign | result);
  }
};

template <class T>
using Memory = typename Element<T>::Memory;

struct Add {
  template <class T>
  TRIREME_INLINE static Memory<T> apply(Memory<T> left, Memory<T> right) {
    using E = Element<T>;
    return E::narrow(static_cast<decltype(E::widen(left))>(E::widen(left) + E::widen(right)));
  }
};
struct Max {
  template <class T>
  TRIREME_INLINE static Memory<T> apply(Memory<T> left, Memory<T> right) {
    using E = Element<T>;
    auto a = E::widen(left), b = E::widen(right);
    return E::narrow(a < b ? b : a);
  }
};

// tree(0, n) at one element.
template <class Op, class T, size_t n>
TRIREME_INLINE Memory<T> tree(const Memory<T>* const* from, size_t i) {
  if constexpr (n == 1) {
    return from[0][i];
  } else {
    constexpr size_t middle = std::bit_floor(n - 1);
    return Op::template apply<T>(tree<Op, T, middle>(from, i), tree<Op, T, n - middle>(from + middle, i));
  }
}

template <class Op, class T, size_t n>
TRIREME_INLINE void pass(const void* const* parts, void* first, void* second, size_t count) {
  const Memory<T>* from[n];
  for (size_t r = 0; r < n; ++r) from[r] = static_cast<const Memory<T>*>(parts[r]);
  auto* out = static_cast<Memory<T>*>(first);
  auto* too = static_cast<Memory<T>*>(second);
  if (too == nullptr) {
#pragma GCC ivdep
    for (size_t i = 0; i < count; ++i) out[i] = tree<Op, T, n>(from, i);
  } else {
#pragma GCC ivdep
    for (size_t i = 0; i < count; ++i) {
      Memory<T> value = tree<Op, T, n>(from, i);
      out[i] = value;
      too[i] = value;
    }
  }
}

// n == 0: the greater of two.
template <class T>
TRIREME_INLINE void any_pass(const void* const* from, size_t n, void* first, void* second, size_t count) {
  if (n == 0) return pass<Max, T, 2>(from, first, second, count);
  if constexpr (std::is_integral_v<T>) {
    return pass<Add, T, 2>(from, first, second, count);
  } else {
    if (n == 2) return pass<Add, T, 2>(from, first, second, count);
    if (n == 3) return pass<Add, T, 3>(from, first, second, count);
    if (n == 4) return pass<Add, T, 4>(from, first, second, count);
    return pass<Add, T, 8>(from, first, second, count);
  }
}

TRIREME_CLONES void pass_float32(const void* const* from, size_t n, void* a, void* b, size_t count) {
  any_pass<float>(from, n, a, b, count);
}
TRIREME_CLONES void pass_float64(const void* const* from, size_t n, void* a, void* b, size_t count) {
  any_pass<double>(from, n, a, b, count);
}
TRIREME_CLONES void pass_bfloat16(const void* const* from, size_t n, void* a, void* b, size_t count) {
  any_pass<BFloat16>(from, n, a, b, count);
}
TRIREME_CLONES void pass_float16(const void* const* from, size_t n, void* a, void* b, size_t count) {
  any_pass<Float16>(from, n, a, b, count);
}
TRIREME_CLONES void pass_int32(const void* const* from, size_t n, void* a, void* b, size_t count) {
  any_pass<int32_t>(from, n, a, b, count);
}
TRIREME_CLONES void pass_int64(const void* const* from, size_t n, void* a, void* b, size_t count) {
  any_pass<int64_t>(from, n, a, b, count);
}
TRIREME_CLONES void pass_uint8(const void* const* from, size_t n, void* a, void* b, size_t count) {
  any_pass<uint8_t>(from, n, a, b, count);
}
TRIREME_CLONES void pass_uint16(const void* const* from, size_t n, void* a, void* b, size_t count) {
  any_pass<uint16_t>(from, n, a, b, count);
}

template <class T>
TRIREME_INLINE void divide_by(void* data, size_t count, int ranks) {
  using E = Element<T>;
  auto* values = static_cast<Memory<T>*>(data);
  const auto divisor = static_cast<decltype(E::widen(values[0]))>(ranks);
#pragma GCC ivdep
  for (size_t i = 0; i < count; ++i) values[i] = E::narrow(E::widen(values[i]) / divisor);
}

TRIREME_CLONES void divide_float32(void* data, size_t count, int ranks) {
  divide_by<float>(data, count, ranks);
}
TRIREME_CLONES void divide_float64(void* data, size_t count, int ranks) {
  divide_by<double>(data, count, ranks);
}
TRIREME_CLONES void divide_bfloat16(void* data, size_t count, int ranks) {
  divide_by<BFloat16>(data, count, ranks);
}
TRIREME_CLONES void divide_float16(void* data, size_t count, int ranks) {
  divide_by<Float16>(data, count, ranks);
}

// Integers, towards zero: no processor divides several at once.
template <class T>
void divide_integers(void* data, size_t count, int ranks) {
  T* values = static_cast<T*>(data);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<T>(static_cast<int64_t>(values[i]) / ranks);
}

void pass_of(const void* const* from, size_t n, void* first, void* second, size_t count, DType type) {
  switch (type) {
    case DType::float32:
      return pass_float32(from, n, first, second, count);
    case DType::float64:
      return pass_float64(from, n, first, second, count);
    case DType::int32:
      return pass_int32(from, n, first, second, count);
    case DType::int64:
      return pass_int64(from, n, first, second, count);
    case DType::uint8:
      return pass_uint8(from, n, first, second, count);
    case DType::uint16:
      return pass_uint16(from, n, first, second, count);
    case DType::bfloat16:
      return pass_bfloat16(from, n, first, second, count);
    case DType::float16:
      return pass_float16(from, n, first, second, count);
  }
}

}  // namespace

bool has_pass(size_t parts, DType type) {
  return parts == 2 || (is_floating(type) && (parts == 3 || parts == 4 || parts == 8));
}

void sum_pass(const void* const* from, size_t parts, void* first, void* second, size_t count, DType type) {
  pass_of(from, parts, first, second, count, type);
}

void max_pass(const void* const* from, void* first, void* second, size_t count, DType type) {
  pass_of(from, 0, first, second, count, type);
}

void divide_pass(void* data, size_t count, DType type, int ranks) {
  switch (type) {
    case DType::float32:
      return divide_float32(data, count, ranks);
    case DType::float64:
      return divide_float64(data, count, ranks);
    case DType::bfloat16:
      return divide_bfloat16(data, count, ranks);
    case DType::float16:
      return divide_float16(data, count, ranks);
    case DType::int32:
      return divide_integers<int32_t>(data, count, ranks);
    case DType::int64:
      return divide_integers<int64_t>(data, count, ranks);
    case DType::uint8:
      return divide_integers<uint8_t>(data, count, ranks);
    case DType::uint16:
      return divide_integers<uint16_t>(data, count, ranks);
  }
}

}  // namespace trireme
