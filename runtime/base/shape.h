// The extents of a tensor, outermost first (row-major; images are N, H, W, C).
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace trireme {

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> extents) : extents_(extents) {}
  explicit Shape(std::vector<int64_t> extents) : extents_(std::move(extents)) {}

  size_t rank() const { return extents_.size(); }
  int64_t operator[](size_t axis) const { return extents_.at(axis); }
  int64_t& operator[](size_t axis) { return extents_.at(axis); }
  int64_t back() const { return extents_.back(); }
  auto begin() const { return extents_.begin(); }
  auto end() const { return extents_.end(); }
  const std::vector<int64_t>& extents() const { return extents_; }

  // Number of elements; 1 for a scalar.
  int64_t elements() const {
    int64_t n = 1;
    for (int64_t extent : extents_) n *= extent;
    return n;
  }
  // "[64, 28, 28, 1]"
  std::string to_string() const { return fmt::format("[{}]", fmt::join(extents_, ", ")); }

  bool operator==(const Shape&) const = default;

 private:
  std::vector<int64_t> extents_;
};

}  // namespace trireme
