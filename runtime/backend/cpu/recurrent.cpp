// Recurrences by our own step kernels: the state's product with the hidden weights and the gates in one pass
// over registers (kernels/recurrent.cpp). Samples are independent, so that every thread takes some of them
// through all steps and never waits; a sample's bits do not depend on which others go with it. The states of
// a step are kept in contiguous rows beside the output, whose rows lie a power of two apart and would fall
// into the same cache sets. The gradient of the weights is one product over all steps, by oneDNN, cut into
// fixed blocks of columns, so that it does not depend on the number of threads either.
#include <cstring>

#include "backend/cpu/binder.h"
#include "backend/cpu/parallel.h"
#include "base/buffer.h"

namespace trireme::cpu {
namespace {

struct Extents {
  int64_t samples, steps, hidden;
  // The first sample of each thread's part, and behind the last.
  int64_t begin(int64_t part, int threads) const { return part * samples / threads; }
};

Extents extents_of(const Shape& hidden) { return {hidden[0], hidden[1], hidden[2]}; }

// Scratch of one recurrence, made at bind: packed weights, two rows of state a sample that take turns, the
// cells.
struct Scratch {
  Scratch(const Extents& e, int64_t depth, int lanes, bool gates)
      : panels(floats(panel_floats(e.hidden, depth, lanes, gates))),
        states{floats(e.samples * depth), floats(e.samples * depth)},
        cells(floats(e.samples * e.hidden)) {}
  static Buffer floats(int64_t count) { return Buffer(static_cast<size_t>(count) * sizeof(float)); }
  Buffer panels;
  Buffer states[2];
  Buffer cells;
};

// What all steps of a part have in common.
template <class Task>
Task task_of(const Extents& e, ElementType type, int64_t first, int64_t end) {
  Task task{};
  task.rows = end - first;
  task.hidden = e.hidden;
  task.stride = e.steps * e.hidden;
  task.type = type;
  return task;
}

// `step` counts from the first one computed.
void take_turns(RecurrentTask& task, Scratch& scratch, int64_t first, int64_t depth, int64_t step) {
  task.panels = step > 0 ? scratch.panels.as<float>() : nullptr;
  task.previous = scratch.states[step % 2].as<float>() + first * depth;
  task.next = scratch.states[(step + 1) % 2].as<float>() + first * depth;
}

// dw[H, O] = the sum over samples and steps of h[t-1]^T d[t], for d[N, T, O] and h[N, T, H].
class WeightGradient {
 public:
  WeightGradient(const Extents& e, int64_t outputs)
      : e_(e), outputs_(outputs), before_(Scratch::floats(e.samples * e.steps * e.hidden)) {
    std::memset(before_.data(), 0, before_.bytes());  // rows of step 0 stay so: no state comes before it
  }
  void run(int threads, const float* h, const float* d, float* dw) {
    for_each_index(threads, e_.samples, [&](int64_t s) {
      int64_t at = s * e_.steps * e_.hidden;
      std::memcpy(before_.as<float>() + at + e_.hidden, h + at,
                  static_cast<size_t>((e_.steps - 1) * e_.hidden) * sizeof(float));
    });
    int64_t blocks = (outputs_ + block - 1) / block;
    // Within a team of threads, even one whose second has nothing to do, the library computes serially.
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < blocks; ++i) {
      int64_t columns = outputs_ - i * block < block ? outputs_ - i * block : block;
      dnnl::sgemm('T', 'N', e_.hidden, columns, e_.samples * e_.steps, 1.0f, before_.as<float>(), e_.hidden,
                  d + i * block, outputs_, 0.0f, dw + i * block, outputs_);
    }
  }

 private:
  static constexpr int64_t block = 256;
  Extents e_;
  int64_t outputs_;
  Buffer before_;
};

}  // namespace

Kernel bind_lstm(const Binding& b) {
  Extents e = extents_of(b.output_shape(0));
  auto scratch = std::make_shared<Scratch>(e, e.hidden, b.kernels.lanes, true);
  return [=, k = &b.kernels, threads = b.threads, gates = b.input(0), w = b.input(1), h = b.output(0),
          activated = b.output(1), cells = b.output(2), type = b.type()](const StepScalars&) {
    k->pack_panels(
        {*w, type, scratch->panels.as<float>(), e.hidden, e.hidden, 4 * e.hidden, 1, e.hidden, true});
    for_each_index(threads, threads, [&](int64_t part) {
      int64_t first = e.begin(part, threads), end = e.begin(part + 1, threads);
      auto task = task_of<LstmTask>(e, type, first, end);
      task.state = scratch->cells.as<float>() + first * e.hidden;
      for (int64_t t = 0; t < e.steps && end > first; ++t) {
        take_turns(task, *scratch, first, e.hidden, t);
        int64_t at = (first * e.steps + t) * e.hidden;
        task.gates = read_at(gates, type, 4 * at);
        task.activated = write_at(activated, type, 4 * at);
        task.cells = write(cells) + at;
        task.h = write_at(h, type, at);
        k->lstm_step(task);
      }
    });
  };
}

Kernel bind_lstm_backward(const Binding& b) {
  Extents e = extents_of(b.input_shape(0));
  auto scratch = std::make_shared<Scratch>(e, 4 * e.hidden, b.kernels.lanes, false);
  auto gradient = std::make_shared<WeightGradient>(e, 4 * e.hidden);
  return [=, k = &b.kernels, threads = b.threads, dh = b.input(0), w = b.input(1), h = b.input(2),
          activated = b.input(3), cells = b.input(4), dgates = b.output(0), dw = b.output(1),
          carry = b.output(2)](const StepScalars&) {
    constexpr ElementType type = ElementType::float32;
    k->pack_panels(
        {*w, type, scratch->panels.as<float>(), 4 * e.hidden, e.hidden, 1, 4 * e.hidden, 0, false});
    for_each_index(threads, threads, [&](int64_t part) {
      int64_t first = e.begin(part, threads), end = e.begin(part + 1, threads);
      auto task = task_of<LstmBackwardTask>(e, type, first, end);
      task.carry = write(carry) + first * e.hidden;
      for (int64_t t = e.steps; t-- > 0 && end > first;) {
        take_turns(task, *scratch, first, 4 * e.hidden, e.steps - 1 - t);
        int64_t at = (first * e.steps + t) * e.hidden;
        task.dh = read(dh) + at;
        task.activated = read(activated) + 4 * at;
        task.cells = read(cells) + at;
        task.cells_before = t > 0 ? read(cells) + at - e.hidden : nullptr;
        task.dgates = write(dgates) + 4 * at;
        k->lstm_backward_step(task);
      }
    });
    gradient->run(threads, read(h), read(dgates), write(dw));
  };
}

Kernel bind_rnn(const Binding& b) {
  Extents e = extents_of(b.output_shape(0));
  auto scratch = std::make_shared<Scratch>(e, e.hidden, b.kernels.lanes, false);
  return [=, k = &b.kernels, threads = b.threads, pre = b.input(0), w = b.input(1), h = b.output(0),
          type = b.type()](const StepScalars&) {
    k->pack_panels({*w, type, scratch->panels.as<float>(), e.hidden, e.hidden, e.hidden, 1, 0, false});
    for_each_index(threads, threads, [&](int64_t part) {
      int64_t first = e.begin(part, threads), end = e.begin(part + 1, threads);
      auto task = task_of<RnnTask>(e, type, first, end);
      for (int64_t t = 0; t < e.steps && end > first; ++t) {
        take_turns(task, *scratch, first, e.hidden, t);
        int64_t at = (first * e.steps + t) * e.hidden;
        task.pre = read_at(pre, type, at);
        task.h = write_at(h, type, at);
        k->rnn_step(task);
      }
    });
  };
}

Kernel bind_rnn_backward(const Binding& b) {
  Extents e = extents_of(b.input_shape(0));
  auto scratch = std::make_shared<Scratch>(e, e.hidden, b.kernels.lanes, false);
  auto gradient = std::make_shared<WeightGradient>(e, e.hidden);
  return [=, k = &b.kernels, threads = b.threads, dh = b.input(0), w = b.input(1), h = b.input(2),
          dpre = b.output(0), dw = b.output(1)](const StepScalars&) {
    constexpr ElementType type = ElementType::float32;
    k->pack_panels({*w, type, scratch->panels.as<float>(), e.hidden, e.hidden, 1, e.hidden, 0, false});
    for_each_index(threads, threads, [&](int64_t part) {
      int64_t first = e.begin(part, threads), end = e.begin(part + 1, threads);
      auto task = task_of<RnnBackwardTask>(e, type, first, end);
      for (int64_t t = e.steps; t-- > 0 && end > first;) {
        take_turns(task, *scratch, first, e.hidden, e.steps - 1 - t);
        int64_t at = (first * e.steps + t) * e.hidden;
        task.dh = read(dh) + at;
        task.h = read(h) + at;
        task.dpre = write(dpre) + at;
        k->rnn_backward_step(task);
      }
    });
    gradient->run(threads, read(h), read(dpre), write(dw));
  };
}

}  // namespace trireme::cpu
