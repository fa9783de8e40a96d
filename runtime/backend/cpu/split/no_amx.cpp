// split/kernels.h for compilers that do not know the units: matrix_units() is false, so that nothing here is
// called.
#include <cstdlib>

#include "backend/cpu/split/attention.h"
#include "backend/cpu/split/recurrent_kernels.h"

namespace trireme::cpu::split {

bool compiled_for_matrix_units() { return false; }
void split_rows(const float*, int64_t, int64_t, int64_t, Planes) { std::abort(); }
void split_transposed(const float*, int64_t, int64_t, int64_t, int64_t, Planes) { std::abort(); }
void pack_panels(const float*, int64_t, int64_t, int64_t, int64_t, Panels, float*) { std::abort(); }
void split_images_transposed(const ImageRows&, int64_t, int64_t, Planes) { std::abort(); }
void pack_images(const ImageRows&, int64_t, int64_t, Panels, float*) { std::abort(); }
void pack_panels_transposed(const float*, int64_t, int64_t, int64_t, Panels) { std::abort(); }
Tiles::Tiles() { std::abort(); }
Tiles::~Tiles() { std::abort(); }
void multiply(const Tiles&, const Product&) { std::abort(); }
void attention(const AttentionTask&) { std::abort(); }
void attention_backward(const AttentionBackwardTask&) { std::abort(); }
void pack_gate_panels(const float*, int64_t, int64_t, Panels) { std::abort(); }
void lstm_step(const LstmTask&, const RecurrentPlanes&) { std::abort(); }
void lstm_backward_step(const LstmBackwardTask&, const RecurrentPlanes&) { std::abort(); }
void rnn_step(const RnnTask&, const RecurrentPlanes&) { std::abort(); }
void rnn_backward_step(const RnnBackwardTask&, const RecurrentPlanes&) { std::abort(); }

}  // namespace trireme::cpu::split
