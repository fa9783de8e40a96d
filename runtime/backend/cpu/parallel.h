// Sharing a loop out among the rank's threads.
#pragma once

#include <omp.h>

#include <cstdint>

namespace trireme::cpu {

// Calls body(i) for i in [0, count), each thread a contiguous part. Bits do not depend on the number of
// threads as long as body(i) writes only what belongs to i.
template <class Body>
void for_each_index(int threads, int64_t count, const Body& body) {
  if (threads <= 1 || count <= 1) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t i = 0; i < count; ++i) body(i);
}

// Number of the calling thread within for_each_index's `threads`, to find scratch of its own.
inline int this_thread() { return omp_get_thread_num(); }

// Cuts [0, count) into parts of `part` elements (the last may be shorter) and calls body(begin, end).
template <class Body>
void for_each_part(int threads, int64_t count, int64_t part, const Body& body) {
  for_each_index(threads, (count + part - 1) / part, [&](int64_t i) {
    int64_t begin = i * part;
    int64_t end = begin + part < count ? begin + part : count;
    body(begin, end);
  });
}

}  // namespace trireme::cpu
