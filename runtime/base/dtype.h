// Element types of tensors and arenas.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/half.h"

namespace trireme {

enum class DType : uint8_t { float32, float64, int32, int64, uint8, bfloat16, float16, uint16 };

constexpr size_t size_of(DType type) {
  switch (type) {
    case DType::float32:
    case DType::int32:
      return 4;
    case DType::float64:
    case DType::int64:
      return 8;
    case DType::uint8:
      return 1;
    case DType::bfloat16:
    case DType::float16:
    case DType::uint16:
      return 2;
  }
  return 0;
}

constexpr std::string_view name_of(DType type) {
  switch (type) {
    case DType::float32:
      return "float32";
    case DType::float64:
      return "float64";
    case DType::int32:
      return "int32";
    case DType::int64:
      return "int64";
    case DType::uint8:
      return "uint8";
    case DType::bfloat16:
      return "bfloat16";
    case DType::float16:
      return "float16";
    case DType::uint16:
      return "uint16";
  }
  return "?";
}

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::float32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::float64;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::int32;
}
template <>
constexpr DType dtype_of<int64_t>() {
  return DType::int64;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::uint8;
}
template <>
constexpr DType dtype_of<uint16_t>() {
  return DType::uint16;
}
template <>
constexpr DType dtype_of<BFloat16>() {
  return DType::bfloat16;
}
template <>
constexpr DType dtype_of<Float16>() {
  return DType::float16;
}

// The 16-bit types: storage of activations; sums and parameters are wider.
constexpr bool is_half_type(DType type) { return type == DType::bfloat16 || type == DType::float16; }
constexpr bool is_floating(DType type) {
  return type == DType::float32 || type == DType::float64 || is_half_type(type);
}
// The type of what stays wide beside `type`: see Wide in base/half.h.
constexpr DType wide(DType type) { return is_half_type(type) ? DType::float32 : type; }

}  // namespace trireme
