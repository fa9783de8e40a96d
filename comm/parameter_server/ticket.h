// A ticket: the right, and the duty, to compute one piece of one clock's global batch.
#pragma once

#include <compare>
#include <cstdint>

namespace trireme {

// `clock` is the step (elastic averaging: the round of steps); `piece` which of the `pieces` slices of its
// batch.
struct Ticket {
  int64_t clock = 0;
  int32_t piece = 0;

  // All tickets in the order in which they are handed out.
  int64_t number(int32_t pieces) const { return clock * pieces + piece; }
  static Ticket numbered(int64_t number, int32_t pieces) {
    return {number / pieces, static_cast<int32_t>(number % pieces)};
  }
  auto operator<=>(const Ticket&) const = default;
};

}  // namespace trireme
