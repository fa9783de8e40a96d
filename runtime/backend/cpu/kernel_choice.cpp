#include <cstring>
#include <initializer_list>

#include "backend/cpu/kernels/kernels.h"

namespace trireme::cpu {

namespace avx512 {
extern const KernelSet kernel_set;
}
namespace avx2 {
extern const KernelSet kernel_set;
}
namespace plain {
extern const KernelSet kernel_set;
}

const KernelSet* find_kernels(const char* name) {
  if (std::strcmp(name, "plain") == 0) return &plain::kernel_set;
  if (std::strcmp(name, "avx2") == 0 && __builtin_cpu_supports("x86-64-v3")) return &avx2::kernel_set;
  if (std::strcmp(name, "avx512") == 0 && __builtin_cpu_supports("x86-64-v4")) return &avx512::kernel_set;
  return nullptr;
}

const KernelSet& best_kernels() {
  for (const char* name : {"avx512", "avx2"}) {
    if (const KernelSet* found = find_kernels(name)) return *found;
  }
  return plain::kernel_set;
}

}  // namespace trireme::cpu
