// What a call of the recurrent kernels is given: one step of some samples.
#pragma once

#include <cstdint>

#include "backend/cpu/kernels/attention_task.h"

namespace trireme::cpu {

// Weights are packed into panels of four vectors, in the order in which a step reads them: panel by panel,
// for every unit k of the depth the four vectors' values. The vectors of a panel are the four gates of
// `lanes` hidden units (gates), or four neighbours of `lanes` units each. What a panel has beyond the last
// unit is zero.
struct PanelTask {
  const void* weights;
  ElementType type;
  float* packed;                                   // panels * depth * 4 * lanes floats
  int64_t depth, units;                            // of the product; units counts hidden units
  int64_t depth_stride, unit_stride, gate_stride;  // of the weights, in elements
  bool gates;
};

// Panels for so many hidden units, and floats that they take, for vectors of `lanes`.
constexpr int64_t panel_count(int64_t units, int64_t lanes, bool gates) {
  int64_t wide = gates ? lanes : 4 * lanes;
  return (units + wide - 1) / wide;
}
constexpr int64_t panel_floats(int64_t units, int64_t depth, int64_t lanes, bool gates) {
  return panel_count(units, lanes, gates) * depth * 4 * lanes;
}

// Pointers to tensors [N, T, ...] are those of the first sample's row at this step; a sample's rows lie
// `stride` hidden units further (four times as many elements for gates). Scratch rows are contiguous.
struct RecurrentTask {
  int64_t rows, hidden, stride;
  ElementType type;
  bool first;  // computed: there is no state yet
  const float* panels;
  const float* previous;  // scratch [rows, depth]: the state, or backwards the gradient of the later step
  float* next;            // scratch of the same shape for the step after this; its row stride is the same
};

struct LstmTask : RecurrentTask {
  const void* gates;
  void* activated;
  float* cells;
  void* h;
  float* state;  // scratch [rows, hidden]: the cells of the step before, and then of this
};

struct LstmBackwardTask : RecurrentTask {
  const void* dh;
  const void* activated;
  const float* cells;
  const float* cells_before;  // null at step 0
  void* dgates;               // may be `activated`
  float* carry;               // [rows, hidden]: the gradient of the cells, carried from step to step
};

struct RnnTask : RecurrentTask {
  const void* pre;  // may be h
  void* h;
};

struct RnnBackwardTask : RecurrentTask {
  const void* dh;  // may be dpre
  const void* h;
  void* dpre;
};

}  // namespace trireme::cpu
