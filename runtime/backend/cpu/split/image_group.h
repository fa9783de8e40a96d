// How convolutions lie in front of the matrix units: 32 images at a time, pixel by pixel with the images side
// by side,
//
//   [pixel][image of the group][channel],
//
// so that a block's 32 rows are the same pixel of 32 images. Every tap of every result then is one whole
// step, at borders too (taps outside of the image are left out), for any stride, padding and extent of the
// image; nothing is gathered and no halo is computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "backend/cpu/split/kernels.h"

namespace trireme::cpu::split {

struct Extent {
  int64_t height, width, channels;
  int64_t pixels() const { return height * width; }
};

struct Window {
  int64_t height, width, stride;
  int64_t top, left;  // padding
  int64_t taps() const { return height * width; }
};

// The pixel that `tap` (row by row in the window) of result (i, j) reads, or -1 where it lies outside.
inline int64_t pixel_read(const Window& window, const Extent& image, int64_t i, int64_t j, int64_t tap) {
  int64_t row = i * window.stride - window.top + tap / window.width;
  int64_t column = j * window.stride - window.left + tap % window.width;
  bool inside = row >= 0 && row < image.height && column >= 0 && column < image.width;
  return inside ? row * image.width + column : -1;
}

// The result that reads pixel (i, j) by `tap`, or -1: pixel_read the other way round, for gradients of the
// image.
inline int64_t pixel_reached(const Window& window, const Extent& result, int64_t i, int64_t j, int64_t tap) {
  int64_t row = i + window.top - tap / window.width, column = j + window.left - tap % window.width;
  if (row < 0 || column < 0 || row % window.stride != 0 || column % window.stride != 0) return -1;
  row /= window.stride;
  column /= window.stride;
  return row < result.height && column < result.width ? row * result.width + column : -1;
}

// For each result, where its steps begin in the planes and in a panel. Results whose steps lie alike (all but
// those at borders) share a list of offsets from where their first step begins.
class StepLists {
 public:
  struct List {
    std::vector<int64_t> a, panel;
  };

  // `source(tap)` gives the pixel of each of `taps`, or -1.
  template <class Source>
  void add(int64_t taps, int64_t channel_blocks, int64_t pixel_elements, const Source& source) {
    List list;
    int64_t first = -1;
    for (int64_t tap = 0; tap < taps; ++tap) {
      int64_t pixel = source(tap);
      if (pixel < 0) continue;
      if (first < 0) first = pixel;
      for (int64_t c = 0; c < channel_blocks; ++c) {
        list.a.push_back((pixel - first) * pixel_elements + c * block);
        list.panel.push_back((tap * channel_blocks + c) * panel_step);
      }
    }
    auto [found, fresh] = numbers_.try_emplace({list.a, list.panel}, lists_.size());
    if (fresh) lists_.push_back(std::move(list));
    results_.push_back({found->second, first < 0 ? 0 : first * pixel_elements});
  }

  const List& list(int64_t result) const { return lists_[results_[static_cast<size_t>(result)].list]; }
  int64_t begin(int64_t result) const { return results_[static_cast<size_t>(result)].begin; }

 private:
  struct Result {
    size_t list;
    int64_t begin;
  };
  std::vector<List> lists_;
  std::map<std::pair<std::vector<int64_t>, std::vector<int64_t>>, size_t> numbers_;
  std::vector<Result> results_;
};

}  // namespace trireme::cpu::split
