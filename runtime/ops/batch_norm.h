// What batch norms have in common, alone or with what follows them in the same op.
#pragma once

#include "ops/rules.h"

namespace trireme {

// Checks what they take beside x [..., C]: gamma[C], beta[C] and, both or none, running_mean[C] and
// running_var[C] as inputs 1 to 4, and the attributes epsilon and momentum. Returns whether there are running
// statistics. Throws GraphError.
bool check_batch_norm(InputTypes inputs, const Attributes& attributes, const TensorType& x);

}  // namespace trireme
