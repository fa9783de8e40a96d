// A half-open range of elements in an arena: the only thing that sharing, updating and saving speak of.
#pragma once

#include <cstddef>

namespace trireme {

struct Range {
  size_t begin = 0;
  size_t end = 0;
  size_t size() const { return end - begin; }
  bool empty() const { return begin == end; }
  bool operator==(const Range&) const = default;
};

}  // namespace trireme
