// The header of one array in NumPy's npy format, versions 1 to 3.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/dtype.h"
#include "base/shape.h"

namespace trireme {

struct NpyHeader {
  DType type = DType::float32;
  bool fortran_order = false;
  Shape shape;
};

// What begins every npy file: magic, version, the length of the text that follows.
constexpr size_t npy_prefix_bytes = 10;  // version 1; two more from version 2 on
// How many bytes of text follow the prefix, and how long the prefix is. `prefix` holds npy_prefix_bytes + 2
// bytes. DataError beginning with `what`.
struct NpyPrefix {
  size_t prefix_bytes = 0;
  size_t text_bytes = 0;
};
NpyPrefix parse_npy_prefix(std::string_view prefix, const std::string& what);

// Reads "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }". DataError beginning with `what`.
NpyHeader parse_npy_text(std::string_view text, const std::string& what);

// Prefix and text for an array in C order. DataError beginning with `what` for bfloat16.
std::string npy_header(DType type, const Shape& shape, const std::string& what);

}  // namespace trireme
