#include "base/parallel.h"

#include <omp.h>

#include <algorithm>

namespace trireme {

void share_out(int threads, int64_t count, void (*run)(const void* body, int64_t begin, int64_t end),
               const void* body) {
  if (threads <= 1 || count <= 1) return run(body, 0, count);
    // Always all threads, though there may be less to do than threads: a team that changes its size is made
    // anew.
#pragma omp parallel num_threads(threads)
  {
    int64_t team = omp_get_num_threads(), number = omp_get_thread_num();
    int64_t each = count / team, more = count % team;
    int64_t begin = number * each + std::min(number, more);
    int64_t end = begin + each + (number < more ? 1 : 0);
    if (begin < end) run(body, begin, end);
  }
}

int this_thread() { return omp_get_thread_num(); }

}  // namespace trireme
