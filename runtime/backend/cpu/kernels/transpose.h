// A square of vectors, transposed in registers. Only for the .cpp files of this folder.
#pragma once

#include "backend/cpu/kernels/vector.h"

namespace TRIREME_KERNEL_SPACE {

// Row i of `r` becomes its column i, by halves: squares of 1, 2, 4 ... elements change places.
static inline void transpose(Vec (&r)[lanes]) {
#pragma GCC unroll 4
  for (int width = 1; width < lanes; width *= 2) {
    IntVec lower,
        upper;  // of the two rows one behind the other, what goes into the first and into the second
#pragma GCC unroll 16
    for (int lane = 0; lane < lanes; ++lane) {
      bool second = (lane & width) != 0;
      lower[lane] = second ? lanes + lane - width : lane;
      upper[lane] = second ? lanes + lane : lane + width;
    }
#pragma GCC unroll 16
    for (int row = 0; row < lanes; ++row) {
      if ((row & width) != 0) continue;
      Vec first = r[row], second = r[row + width];
      r[row] = __builtin_shuffle(first, second, lower);
      r[row + width] = __builtin_shuffle(first, second, upper);
    }
  }
}

}  // namespace TRIREME_KERNEL_SPACE
