// Steps of recurrences by split products (kernels.h): what kernels/kernels.h offers, on matrix units.
//
// The state's three planes are made where the state is computed, so that a step splits nothing. A block of 32
// samples and 32 columns of products, or two of them (an LSTM's four gates of 16 units), goes to a scratch
// block in the first-level cache; while the unit computes the next block, vector code makes gates, cells and
// states of it.
#pragma once

#include "backend/cpu/kernels/recurrent_task.h"
#include "backend/cpu/split/kernels.h"

namespace trireme::cpu::split {

// Beside a task (whose `panels`, `previous` and `next` are not used): states of the step before and of this
// one, and the packed weights. Of `previous` the rows up to a multiple of 16 are read, whatever they hold.
struct RecurrentPlanes {
  Planes previous, next;
  Panels panels;
  float* sums;  // scratch of lstm_backward_step [32, hidden]
};

// Where an LSTM's packed weights differ from panels of 32 columns: of every 16 hidden units one panel holds
// the gates i and f, the next one g and o. Packs rows [first, first + 32) of w [hidden, 4 hidden].
void pack_gate_panels(const float* w, int64_t hidden, int64_t first, Panels to);

// Float32; hidden units a multiple of 32.
void lstm_step(const LstmTask& task, const RecurrentPlanes& planes);
void lstm_backward_step(const LstmBackwardTask& task, const RecurrentPlanes& planes);
void rnn_step(const RnnTask& task, const RecurrentPlanes& planes);
void rnn_backward_step(const RnnBackwardTask& task, const RecurrentPlanes& planes);

}  // namespace trireme::cpu::split
