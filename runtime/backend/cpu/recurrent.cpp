// Recurrences by our own step kernels: the state's product with the hidden weights and the gates in one pass
// (kernels/recurrent.cpp, in registers; split/recurrent_amx.cpp, on matrix units where they pay). Samples are
// independent, so that every thread takes some of them through all steps and never waits; a sample's bits do
// not depend on which others go with it. The states of a step are kept in contiguous rows beside the output,
// whose rows lie a power of two apart and would fall into the same cache sets. The gradient of the weights is
// one product over all steps.
#include "backend/cpu/recurrent.h"

#include <cstring>

#include "backend/cpu/binder.h"
#include "backend/cpu/split/recurrent.h"
#include "base/buffer.h"
#include "base/parallel.h"

namespace trireme::cpu {
namespace {

Buffer floats(int64_t count) { return Buffer(static_cast<size_t>(count) * sizeof(float)); }

// Steps by float32 arithmetic or of 16 bits, and the memory between them, made at bind: packed weights, two
// rows of state a sample that take turns.
class FloatSteps {
 public:
  FloatSteps(const Binding& b, const Recurrence& r)
      : r_(r),
        threads_(b.threads),
        kernels_(b.kernels),
        type_(b.type()),
        panels_(floats(panel_floats(r.hidden, r.depth(), b.kernels.lanes, r.by_gates()))),
        states_{floats(r.samples * r.depth()), floats(r.samples * r.depth())} {}

  void pack(const void* weights) {
    kernels_.pack_panels({.weights = weights,
                          .type = type_,
                          .packed = panels_.as<float>(),
                          .depth = r_.depth(),
                          .units = r_.hidden,
                          .depth_stride = r_.backward ? 1 : r_.outputs(),
                          .unit_stride = r_.backward ? r_.outputs() : 1,
                          .gate_stride = r_.hidden,
                          .gates = r_.by_gates()});
  }
  // `task` is that of a thread's part; `turn` counts steps from the first one computed.
  void step(LstmTask& task, int64_t part, int64_t turn) {
    take_turns(task, part, turn);
    kernels_.lstm_step(task);
  }
  void step(LstmBackwardTask& task, int64_t part, int64_t turn) {
    take_turns(task, part, turn);
    kernels_.lstm_backward_step(task);
  }
  void step(RnnTask& task, int64_t part, int64_t turn) {
    take_turns(task, part, turn);
    kernels_.rnn_step(task);
  }
  void step(RnnBackwardTask& task, int64_t part, int64_t turn) {
    take_turns(task, part, turn);
    kernels_.rnn_backward_step(task);
  }

 private:
  void take_turns(RecurrentTask& task, int64_t part, int64_t turn) {
    int64_t row = r_.begin(part, threads_) * r_.depth();
    task.first = turn == 0;
    task.panels = panels_.as<float>();
    task.previous = states_[turn % 2].as<float>() + row;
    task.next = states_[(turn + 1) % 2].as<float>() + row;
  }

  Recurrence r_;
  int threads_;
  const KernelSet& kernels_;
  ElementType type_;
  Buffer panels_;
  Buffer states_[2];
};

// dw[H, O] = the sum over samples and steps of h[t-1]^T d[t], for d[N, T, O] and h[N, T, H], by oneDNN, cut
// into fixed blocks of columns, so that it does not depend on the number of threads either.
class FloatWeightGradient {
 public:
  FloatWeightGradient(const Binding& b, const Recurrence& r)
      : r_(r), threads_(b.threads), before_(floats(r.samples * r.steps * r.hidden)) {
    std::memset(before_.data(), 0, before_.bytes());  // rows of step 0 stay so: no state comes before it
  }
  void run(const float* h, const float* d, float* dw) {
    for_each_index(threads_, r_.samples, [&](int64_t s) {
      int64_t at = s * r_.steps * r_.hidden;
      std::memcpy(before_.as<float>() + at + r_.hidden, h + at,
                  static_cast<size_t>((r_.steps - 1) * r_.hidden) * sizeof(float));
    });
    int64_t outputs = r_.outputs();
    int64_t blocks = (outputs + block - 1) / block;
    // Within a team of threads, even one whose second has nothing to do, the library computes serially.
#pragma omp parallel for schedule(static) num_threads(threads_)
    for (int64_t i = 0; i < blocks; ++i) {
      int64_t columns = outputs - i * block < block ? outputs - i * block : block;
      dnnl::sgemm('T', 'N', r_.hidden, columns, r_.samples * r_.steps, 1.0f, before_.as<float>(), r_.hidden,
                  d + i * block, outputs, 0.0f, dw + i * block, outputs);
    }
  }

 private:
  static constexpr int64_t block = 256;
  Recurrence r_;
  int threads_;
  Buffer before_;
};

// What all steps of a part have in common.
template <class Task>
Task task_of(const Recurrence& r, ElementType type, int64_t first, int64_t end) {
  Task task{};
  task.rows = end - first;
  task.hidden = r.hidden;
  task.stride = r.steps * r.hidden;
  task.type = type;
  return task;
}

Recurrence recurrence_of(const Shape& hidden, int64_t gates, bool backward) {
  return {hidden[0], hidden[1], hidden[2], gates, backward};
}

// Calls body(part, its first sample, behind its last) for every thread's part that has samples.
template <class Body>
void for_each_share(const Recurrence& r, int threads, const Body& body) {
  for_each_index(threads, threads, [&](int64_t part) {
    int64_t first = r.begin(part, threads), end = r.begin(part + 1, threads);
    if (end > first) body(part, first, end);
  });
}

template <class Steps>
Kernel bind_lstm_by(const Binding& b, const Recurrence& r) {
  auto steps = std::make_shared<Steps>(b, r);
  auto last_cells = std::make_shared<Buffer>(floats(r.samples * r.hidden));
  return [=, threads = b.threads, gates = b.input(0), w = b.input(1), h = b.output(0),
          activated = b.output(1), cells = b.output(2), type = b.type()](const StepScalars&) {
    steps->pack(*w);
    for_each_share(r, threads, [&](int64_t part, int64_t first, int64_t end) {
      auto task = task_of<LstmTask>(r, type, first, end);
      task.state = last_cells->as<float>() + first * r.hidden;
      for (int64_t t = 0; t < r.steps; ++t) {
        int64_t at = (first * r.steps + t) * r.hidden;
        task.gates = read_at(gates, type, 4 * at);
        task.activated = write_at(activated, type, 4 * at);
        task.cells = write(cells) + at;
        task.h = write_at(h, type, at);
        steps->step(task, part, t);
      }
    });
  };
}

template <class Steps, class WeightGradient>
Kernel bind_lstm_backward_by(const Binding& b, const Recurrence& r) {
  auto steps = std::make_shared<Steps>(b, r);
  auto gradient = std::make_shared<WeightGradient>(b, r);
  return
      [=, threads = b.threads, dh = b.input(0), w = b.input(1), h = b.input(2), activated = b.input(3),
       cells = b.input(4), dgates = b.output(0), dw = b.output(1), carry = b.output(2)](const StepScalars&) {
        steps->pack(*w);
        for_each_share(r, threads, [&](int64_t part, int64_t first, int64_t end) {
          auto task = task_of<LstmBackwardTask>(r, ElementType::float32, first, end);
          task.carry = write(carry) + first * r.hidden;
          for (int64_t t = r.steps; t-- > 0;) {
            int64_t at = (first * r.steps + t) * r.hidden;
            task.dh = read(dh) + at;
            task.activated = read(activated) + 4 * at;
            task.cells = read(cells) + at;
            task.cells_before = t > 0 ? read(cells) + at - r.hidden : nullptr;
            task.dgates = write(dgates) + 4 * at;
            steps->step(task, part, r.steps - 1 - t);
          }
        });
        gradient->run(read(h), read(dgates), write(dw));
      };
}

template <class Steps>
Kernel bind_rnn_by(const Binding& b, const Recurrence& r) {
  auto steps = std::make_shared<Steps>(b, r);
  return [=, threads = b.threads, pre = b.input(0), w = b.input(1), h = b.output(0),
          type = b.type()](const StepScalars&) {
    steps->pack(*w);
    for_each_share(r, threads, [&](int64_t part, int64_t first, int64_t end) {
      auto task = task_of<RnnTask>(r, type, first, end);
      for (int64_t t = 0; t < r.steps; ++t) {
        int64_t at = (first * r.steps + t) * r.hidden;
        task.pre = read_at(pre, type, at);
        task.h = write_at(h, type, at);
        steps->step(task, part, t);
      }
    });
  };
}

template <class Steps, class WeightGradient>
Kernel bind_rnn_backward_by(const Binding& b, const Recurrence& r) {
  auto steps = std::make_shared<Steps>(b, r);
  auto gradient = std::make_shared<WeightGradient>(b, r);
  return [=, threads = b.threads, dh = b.input(0), w = b.input(1), h = b.input(2), dpre = b.output(0),
          dw = b.output(1)](const StepScalars&) {
    steps->pack(*w);
    for_each_share(r, threads, [&](int64_t part, int64_t first, int64_t end) {
      auto task = task_of<RnnBackwardTask>(r, ElementType::float32, first, end);
      for (int64_t t = r.steps; t-- > 0;) {
        int64_t at = (first * r.steps + t) * r.hidden;
        task.dh = read(dh) + at;
        task.h = read(h) + at;
        task.dpre = write(dpre) + at;
        steps->step(task, part, r.steps - 1 - t);
      }
    });
    gradient->run(read(h), read(dpre), write(dw));
  };
}

}  // namespace

Kernel bind_lstm(const Binding& b) {
  Recurrence r = recurrence_of(b.output_shape(0), 4, false);
  return split::takes_recurrence(b, r) ? bind_lstm_by<split::SplitSteps>(b, r)
                                       : bind_lstm_by<FloatSteps>(b, r);
}

Kernel bind_lstm_backward(const Binding& b) {
  Recurrence r = recurrence_of(b.input_shape(0), 4, true);
  return split::takes_recurrence(b, r)
             ? bind_lstm_backward_by<split::SplitSteps, split::SplitWeightGradient>(b, r)
             : bind_lstm_backward_by<FloatSteps, FloatWeightGradient>(b, r);
}

Kernel bind_rnn(const Binding& b) {
  Recurrence r = recurrence_of(b.output_shape(0), 1, false);
  return split::takes_recurrence(b, r) ? bind_rnn_by<split::SplitSteps>(b, r) : bind_rnn_by<FloatSteps>(b, r);
}

Kernel bind_rnn_backward(const Binding& b) {
  Recurrence r = recurrence_of(b.input_shape(0), 1, true);
  return split::takes_recurrence(b, r)
             ? bind_rnn_backward_by<split::SplitSteps, split::SplitWeightGradient>(b, r)
             : bind_rnn_backward_by<FloatSteps, FloatWeightGradient>(b, r);
}

}  // namespace trireme::cpu
