// What this machine can do, measured: the yardstick that a profile holds kernels against.
#pragma once

#include <cstddef>

namespace trireme {

struct MachineRates {
  double float32_flops = 0;   // per second, of a large matrix product by the library
  double bfloat16_flops = 0;  // the same of bfloat16 operands; 0 where it was not asked for
  double copy_bytes = 0;  // per second, read and written together, of a copy far larger than a core's caches
};

// Runs matrix products of three sizes (256, 512 and 1024 columns, sums of as many and as many rows a thread;
// weights packed beforehand) and copies (of `copy_bytes`, cut among the threads) on `threads` threads, for a
// second or two in all, and takes the fastest of each: what the machine can do is not what others on it left
// over. Needs twice copy_bytes of memory meanwhile. Sets the calling thread's number of OpenMP threads, as
// make_cpu_backend does. Throws DeviceError when the library cannot.
MachineRates measure_machine(int threads, bool bfloat16, size_t copy_bytes = size_t{256} << 20);

}  // namespace trireme
