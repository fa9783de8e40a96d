#include "backend/cpu/split/recurrent.h"

namespace trireme::cpu::split {
namespace {

// Measured (bench_ops): below, a step is a small part of packing the weights, or most of a tile's 16 rows are
// nobody's.
constexpr int64_t samples_worth_splitting = 8, hidden_worth_splitting = 64, states_worth_splitting = 1024;

}  // namespace

bool takes_recurrence(const Binding& b, const Recurrence& r) {
  return b.matrix_units && kernel_type(b.graph, b.node) == DType::float32 && r.hidden % block == 0 &&
         r.steps > 1 && r.samples >= samples_worth_splitting && r.hidden >= hidden_worth_splitting &&
         r.samples * r.hidden >= states_worth_splitting;
}

SplitSteps::SplitSteps(const Binding& b, const Recurrence& r)
    : r_(r), threads_(b.threads), panels_(r.depth(), r.backward ? r.hidden : r.outputs()) {
  int64_t most = 0;
  for (int64_t part = 0; part < threads_; ++part) {
    most = std::max(most, r.begin(part + 1, threads_) - r.begin(part, threads_));
  }
  for (int i = 0; i < 2 * threads_; ++i) states_.emplace_back(most, r.depth());
  for (int i = 0; i < threads_; ++i)
    sums_.emplace_back(static_cast<size_t>(block * r.hidden) * sizeof(float));
}

void SplitSteps::pack(const void* weights) {
  auto* w = static_cast<const float*>(weights);
  int64_t outputs = r_.outputs();
  for_each_index(threads_, r_.hidden / block, [&](int64_t i) {
    int64_t first = i * block;
    if (r_.backward) {
      pack_panels_transposed(w + first * outputs, outputs, block, outputs, panels_.at(i));
    } else if (r_.by_gates()) {
      pack_gate_panels(w, r_.hidden, first, panels_.at());
    } else {
      pack_panels(w + first * outputs, block, outputs, outputs, block * outputs, panels_.at(0, i), nullptr);
    }
  });
}

RecurrentPlanes SplitSteps::turned(RecurrentTask& task, int64_t part, int64_t turn) {
  task.first = turn == 0;
  auto state = [&](int64_t i) { return states_[static_cast<size_t>(2 * part + i % 2)].at(); };
  return {.previous = state(turn),
          .next = state(turn + 1),
          .panels = panels_.at(),
          .sums = sums_[static_cast<size_t>(part)].as<float>()};
}

}  // namespace trireme::cpu::split
