// The four reference kernels of a row from one template.
#pragma once

#include "base/half.h"
#include "graph/op.h"

namespace trireme {

// `kernel` is []<class T>(const KernelCall& call) { some_reference<T>(call); }
template <class F>
void set_references(Op& op, F) {
  op.reference_float = [](const KernelCall& call) { F{}.template operator()<float>(call); };
  op.reference_double = [](const KernelCall& call) { F{}.template operator()<double>(call); };
  op.reference_bfloat16 = [](const KernelCall& call) { F{}.template operator()<BFloat16>(call); };
  op.reference_float16 = [](const KernelCall& call) { F{}.template operator()<Float16>(call); };
}

}  // namespace trireme
