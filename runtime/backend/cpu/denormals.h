// Flushing of denormal numbers. Moments and gradients of units that have died decay into the denormal range,
// where every operation costs a hundred cycles and more; a number below 1e-38 is of no use to anybody.
#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace trireme::cpu {

// For the calling thread, until it changes its mind: denormal results and operands count as zero.
inline void flush_denormals() {
#if defined(__SSE2__)
  constexpr unsigned flush_to_zero = 0x8000;
  constexpr unsigned denormals_are_zero = 0x0040;
  _mm_setcsr(_mm_getcsr() | flush_to_zero | denormals_are_zero);
#endif
}

}  // namespace trireme::cpu
