// The two 16-bit floating-point types as storage: arithmetic happens in float. Rounding is to nearest even.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

namespace trireme {

// 1 sign, 8 exponent, 7 fraction bits: the upper half of a float32.
struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  BFloat16(float value) {  // NOLINT: converts like a built-in type
    auto wide = std::bit_cast<uint32_t>(value);
    bool is_nan = (wide & 0x7fffffffu) > 0x7f800000u;
    uint32_t rounded = (wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16;
    bits = static_cast<uint16_t>(is_nan ? (wide >> 16) | 0x40u : rounded);
  }
  operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

// IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits; overflow gives infinity, small values denormals.
struct Float16 {
  uint16_t bits = 0;
  Float16() = default;
  Float16(float value) {  // NOLINT: converts like a built-in type
    auto wide = std::bit_cast<uint32_t>(value);
    uint32_t sign = (wide >> 16) & 0x8000u, magnitude = wide & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {  // nan
      bits = static_cast<uint16_t>(sign | 0x7e00u);
    } else if (magnitude >= 0x477ff000u) {  // rounds to infinity
      bits = static_cast<uint16_t>(sign | 0x7c00u);
    } else if (magnitude >= 0x38800000u) {  // normal
      uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
      bits = static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
    } else {  // denormal: the addition of 0.5 lines the fraction up and rounds it
      float lined = std::bit_cast<float>(magnitude) + 0.5f;
      bits = static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(lined) - 0x3f000000u));
    }
  }
  operator float() const {
    uint32_t sign = (bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
    if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
    if (magnitude >= 0x400u) return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
    float value = static_cast<float>(magnitude) * 0x1p-24f;
    return sign ? -value : value;
  }
};

template <class T>
inline constexpr bool is_half = std::is_same_v<T, BFloat16> || std::is_same_v<T, Float16>;

// The type in which sums over T, and tensors that stay wide beside T (statistics, biases, scales), are held:
// float for the 16-bit types, T itself otherwise.
template <class T>
using Wide = std::conditional_t<is_half<T>, float, T>;

}  // namespace trireme
