// Recurrences by split products: what recurrent.cpp's binders are made of where matrix units pay.
#pragma once

#include <vector>

#include "backend/cpu/binder.h"
#include "backend/cpu/recurrent.h"
#include "backend/cpu/split/contraction.h"
#include "backend/cpu/split/recurrent_kernels.h"

namespace trireme::cpu::split {

// Whether a recurrence's products are made here: float32, matrix units, several steps, and as many hidden
// units and samples as pay.
bool takes_recurrence(const Binding& b, const Recurrence& r);

// Steps of a recurrence, and the memory between them: packed weights, and for every thread's samples two
// planes of state that take turns.
class SplitSteps {
 public:
  SplitSteps(const Binding& b, const Recurrence& r);
  void pack(const void* weights);
  // `task` is that of a thread's part; `turn` counts steps from the first one computed.
  void step(LstmTask& task, int64_t part, int64_t turn) { lstm_step(task, turned(task, part, turn)); }
  void step(LstmBackwardTask& task, int64_t part, int64_t turn) {
    lstm_backward_step(task, turned(task, part, turn));
  }
  void step(RnnTask& task, int64_t part, int64_t turn) { rnn_step(task, turned(task, part, turn)); }
  void step(RnnBackwardTask& task, int64_t part, int64_t turn) {
    rnn_backward_step(task, turned(task, part, turn));
  }

 private:
  RecurrentPlanes turned(RecurrentTask& task, int64_t part, int64_t turn);

  Recurrence r_;
  int threads_;
  PanelBuffer panels_;
  std::vector<PlaneBuffer> states_;  // two a thread
  std::vector<Buffer> sums_;         // of 32 samples, one a thread
};

// dw [H, O] = the sum over samples and steps of h[t-1]^T d[t], for d [N, T, O] and h [N, T, H]: a product of
// all rows, where h's are those one before d's and count as nothing at a sample's end.
class SplitWeightGradient {
 public:
  SplitWeightGradient(const Binding& b, const Recurrence& r)
      : outputs_(r.outputs()),
        product_(b.threads, r.samples * r.steps - 1, r.hidden, r.outputs(), false, r.steps) {}
  void run(const float* h, const float* d, float* dw) { product_.run(h, d + outputs_, dw, nullptr); }

 private:
  int64_t outputs_;
  Contraction product_;
};

}  // namespace trireme::cpu::split
