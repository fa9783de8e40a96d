// The three flat arenas of a training run (see graph/arena_layout.h), owned by the run.
#pragma once

#include <span>

#include "base/buffer.h"
#include "base/dtype.h"
#include "comm/communicator.h"
#include "graph/arena_layout.h"

namespace trireme {

// T of the arenas is float in production, double under the oracle.
struct Arenas {
  Arenas(ArenaLayout arena_layout, DType element_type = DType::float32)
      : layout(std::move(arena_layout)),
        type(element_type),
        parameters(layout.parameter_elements * size_of(type)),
        gradients(layout.gradient_elements * size_of(type)),
        state(layout.state_elements * size_of(type)) {}

  // Of float32, in memory that `group` shares fastest. Collective.
  Arenas(ArenaLayout arena_layout, Communicator& group)
      : layout(std::move(arena_layout)),
        type(DType::float32),
        parameters(group.allocate(layout.parameter_elements * sizeof(float))),
        gradients(group.allocate(layout.gradient_elements * sizeof(float))),
        state(layout.state_elements * sizeof(float)) {}

  ArenaLayout layout;
  DType type;
  Buffer parameters;
  Buffer gradients;
  Buffer state;
};

}  // namespace trireme
