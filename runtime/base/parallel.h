// Sharing a loop out among the rank's threads.
#pragma once

#include <cstdint>

namespace trireme {

// Calls run(body, begin, end) once a thread, each with its contiguous part of [0, count), by OpenMP: the team
// of the calling thread waits between two loops for as long as OMP_WAIT_POLICY lets it, so that a loop costs
// about two microseconds. `body` must not throw. One thread, or a count of 1: the calling thread alone.
void share_out(int threads, int64_t count, void (*run)(const void* body, int64_t begin, int64_t end),
               const void* body);

// Number of the calling thread within share_out's `threads`, to find scratch of its own.
int this_thread();

// Calls body(i) for i in [0, count), each thread a contiguous part. Bits do not depend on the number of
// threads as long as body(i) writes only what belongs to i.
template <class Body>
void for_each_index(int threads, int64_t count, const Body& body) {
  if (threads <= 1 || count <= 1) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  auto run = [](const void* of, int64_t begin, int64_t end) {
    const Body& one = *static_cast<const Body*>(of);
    for (int64_t i = begin; i < end; ++i) one(i);
  };
  share_out(threads, count, run, &body);
}

// Cuts [0, count) into parts of `part` elements (the last may be shorter) and calls body(begin, end).
template <class Body>
void for_each_part(int threads, int64_t count, int64_t part, const Body& body) {
  for_each_index(threads, (count + part - 1) / part, [&](int64_t i) {
    int64_t begin = i * part;
    int64_t end = begin + part < count ? begin + part : count;
    body(begin, end);
  });
}

}  // namespace trireme
