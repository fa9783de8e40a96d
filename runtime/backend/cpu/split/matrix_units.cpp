#include "backend/cpu/split/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace trireme::cpu::split {
namespace {

#if defined(__x86_64__)
bool processor_has_units() {
  constexpr unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24, avx512_bf16 = 1u << 5;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  if ((d & amx_bf16) == 0 || (d & amx_tile) == 0) return false;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) == 0 || (a & avx512_bf16) == 0) return false;
  return __builtin_cpu_supports("x86-64-v4");
}

// Linux gives the state of the tiles only to processes that ask (arch_prctl(2), since 5.16).
bool kernel_lets_us() {
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}
#else
bool processor_has_units() { return false; }
bool kernel_lets_us() { return false; }
#endif

}  // namespace

bool matrix_units() {
  static const bool found = compiled_for_matrix_units() && processor_has_units() && kernel_lets_us();
  return found;
}

}  // namespace trireme::cpu::split
