// Long short-term memory (Hochreiter and Schmidhuber, "Long short-term memory", 1997; with the forget gate of
// Gers et al., 2000), the recurrent part: what the layer's input gives to the gates is already in `gates`,
// for all steps at once, by one linear op before. From zero state, for every step t:
//   (a_i, a_f, a_g, a_o) = gates[t] + h[t-1] w_hidden
//   i, f, o = sigmoid(a_i, a_f, a_o);  g = tanh(a_g);  c[t] = f c[t-1] + i g;  h[t] = o tanh(c[t])
// Backwards, with dc carried from step t+1 to t:
//   dh = dh[t] + dgates[t+1] w_hidden^T;  dc = dh o (1 - tanh(c)^2) + dc[t+1] f[t+1]
//   da_i = dc g i (1-i);  da_f = dc c[t-1] f (1-f);  da_g = dc i (1-g^2);  da_o = dh tanh(c) o (1-o)
// and the weights' gradient is one product over all steps: the sum over n, t of h[t-1]^T dgates[t].
#include <cmath>

#include "base/error.h"
#include "ops/ops.h"
#include "ops/references.h"
#include "ops/rules.h"

namespace trireme {
namespace {

double sigmoid(double a) { return 1 / (1 + std::exp(-a)); }

// Samples, steps and hidden units of h[N, T, H], and where things lie.
struct Extents {
  int64_t n, t, h;
  int64_t state(int64_t sample, int64_t step) const { return (sample * t + step) * h; }
  int64_t gates(int64_t sample, int64_t step) const { return 4 * state(sample, step); }
};

Extents extents_of(const Shape& hidden) { return {hidden[0], hidden[1], hidden[2]}; }

std::vector<TensorType> lstm_shape(InputTypes inputs, const Attributes&) {
  const TensorType& gates = activation_input(inputs, 0, "gates[N, T, 4H]", 3);
  int64_t hidden = gates.shape[2] / 4;
  if (gates.shape[2] % 4 != 0) {
    throw GraphError("input 0 (gates[N, T, 4H]) must have four values a hidden unit, got {}",
                     describe(gates));
  }
  expect_input(inputs, 1, "w_hidden[H, 4H]", {gates.dtype, {hidden, 4 * hidden}});
  Shape state = {gates.shape[0], gates.shape[1], hidden};
  return {{gates.dtype, state}, gates, {wide(gates.dtype), state}};
}

double product_flops(const Shape& hidden) {
  return 8.0 * static_cast<double>(hidden.elements()) * static_cast<double>(hidden[2]);
}

// The product, three sigmoids and two tanh (3 and 1), four for c and h, four additions.
double lstm_flops(const Graph& graph, const Node& node) {
  const Shape& h = graph.shape(node.outputs[0]);
  return product_flops(h) + 19.0 * static_cast<double>(h.elements());
}

std::vector<ValueId> lstm_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  auto gradients = writer.add(
      "lstm_backward", {output_gradient, node.inputs[1], node.outputs[0], node.outputs[1], node.outputs[2]});
  return {gradients[0], gradients[1]};
}

template <class T>
void lstm_reference(const KernelCall& call) {
  Extents e = extents_of(call.output_shape(0));
  const T* gates = call.input<T>(0);
  const T* w = call.input<T>(1);
  T* h = call.output<T>(0);
  T* activated = call.output<T>(1);
  auto* cells = call.output<Wide<T>>(2);
  for (int64_t s = 0; s < e.n; ++s) {
    for (int64_t t = 0; t < e.t; ++t) {
      const T* before = t > 0 ? h + e.state(s, t - 1) : nullptr;
      for (int64_t k = 0; k < e.h; ++k) {
        double a[4];
        for (int64_t gate = 0; gate < 4; ++gate) {
          double sum = double(gates[e.gates(s, t) + gate * e.h + k]);
          for (int64_t j = 0; before && j < e.h; ++j) {
            sum += double(before[j]) * double(w[j * 4 * e.h + gate * e.h + k]);
          }
          a[gate] = gate == 2 ? std::tanh(sum) : sigmoid(sum);
          activated[e.gates(s, t) + gate * e.h + k] = narrow<T>(a[gate]);
        }
        double c = a[0] * a[2];
        if (t > 0) c += a[1] * double(cells[e.state(s, t - 1) + k]);
        cells[e.state(s, t) + k] = static_cast<Wide<T>>(c);
        h[e.state(s, t) + k] = narrow<T>(a[3] * std::tanh(c));
      }
    }
  }
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes&) {
  const TensorType& dh = activation_input(inputs, 0, "dh[N, T, H]", 3);
  int64_t n = dh.shape[0], steps = dh.shape[1], hidden = dh.shape[2];
  expect_input(inputs, 1, "w_hidden[H, 4H]", {dh.dtype, {hidden, 4 * hidden}});
  expect_input(inputs, 2, "h[N, T, H]", dh);
  expect_input(inputs, 3, "activated[N, T, 4H]", {dh.dtype, {n, steps, 4 * hidden}});
  expect_input(inputs, 4, "cells[N, T, H]", {wide(dh.dtype), dh.shape});
  return {{dh.dtype, {n, steps, 4 * hidden}},
          {wide(dh.dtype), {hidden, 4 * hidden}},
          {wide(dh.dtype), {n, hidden}}};
}

// Two products as large as the forward one, and about thirty operations an element for the gates.
double backward_flops(const Graph& graph, const Node& node) {
  const Shape& h = graph.shape(node.inputs[0]);
  return 2 * product_flops(h) + 30.0 * static_cast<double>(h.elements());
}

// dgates of one sample and step; `carry` holds dc, in and out. May overwrite the activated gates.
template <class T>
void backward_step(const KernelCall& call, const Extents& e, int64_t s, int64_t t, Wide<T>* carry) {
  const T* dh = call.input<T>(0) + e.state(s, t);
  const T* w = call.input<T>(1);
  const T* activated = call.input<T>(3) + e.gates(s, t);
  const auto* c = call.input<Wide<T>>(4) + e.state(s, t);
  T* dgates = call.output<T>(0) + e.gates(s, t);
  const T* later = t + 1 < e.t ? call.output<T>(0) + e.gates(s, t + 1) : nullptr;
  for (int64_t k = 0; k < e.h; ++k) {
    double i = double(activated[k]), f = double(activated[e.h + k]);
    double g = double(activated[2 * e.h + k]), o = double(activated[3 * e.h + k]);
    double sum = double(dh[k]);
    for (int64_t j = 0; later && j < 4 * e.h; ++j) sum += double(later[j]) * double(w[k * 4 * e.h + j]);
    double bent = std::tanh(static_cast<double>(c[k]));
    double dc = sum * o * (1 - bent * bent) + (later ? static_cast<double>(carry[k]) : 0.0);
    double c_before = t > 0 ? static_cast<double>(c[k - e.h]) : 0.0;
    dgates[k] = narrow<T>(dc * g * i * (1 - i));
    dgates[e.h + k] = narrow<T>(dc * c_before * f * (1 - f));
    dgates[2 * e.h + k] = narrow<T>(dc * i * (1 - g * g));
    dgates[3 * e.h + k] = narrow<T>(sum * bent * o * (1 - o));
    carry[k] = static_cast<Wide<T>>(dc * f);
  }
}

template <class T>
void backward_reference(const KernelCall& call) {
  Extents e = extents_of(call.input_shape(0));
  for (int64_t s = 0; s < e.n; ++s) {
    for (int64_t t = e.t; t-- > 0;) backward_step<T>(call, e, s, t, call.output<Wide<T>>(2) + s * e.h);
  }
  const T* h = call.input<T>(2);
  const T* dgates = call.output<T>(0);
  auto* dw = call.output<Wide<T>>(1);
  for (int64_t j = 0; j < e.h; ++j) {
    for (int64_t k = 0; k < 4 * e.h; ++k) {
      double sum = 0;
      for (int64_t s = 0; s < e.n; ++s) {
        for (int64_t t = 1; t < e.t; ++t) {
          sum += double(h[e.state(s, t - 1) + j]) * double(dgates[e.gates(s, t) + k]);
        }
      }
      dw[j * 4 * e.h + k] = static_cast<Wide<T>>(sum);
    }
  }
}

}  // namespace

Op lstm_op() {
  Op op;
  op.name = "lstm";
  op.doc =
      "The recurrence of an LSTM from zero state; gates = x W + b for all steps, in the order i, f, g, o; "
      "activated "
      "are the gates behind sigmoid and tanh, cells the inner state";
  op.inputs = {"gates[N, T, 4H]", "w_hidden[H, 4H]"};
  op.outputs = {"h[N, T, H]", "activated[N, T, 4H]", "cells[N, T, H]"};
  op.required_inputs = op.max_inputs = 2;
  op.shape = lstm_shape;
  op.flops = lstm_flops;
  op.gradient = lstm_gradient;
  set_references(op, []<class T>(const KernelCall& call) { lstm_reference<T>(call); });
  op.precision = Precision::low;
  op.half_inputs = {0, 1};
  op.samples = {{.inputs = {{2, 5, 12}, {3, 12}}},
                {.inputs = {{1, 1, 4}, {1, 4}}},
                {.inputs = {{19, 3, 68}, {17, 68}}}};
  return op;
}

Op lstm_backward_op() {
  Op op;
  op.name = "lstm_backward";
  op.doc = "The gradients of lstm's gates, w_hidden and (zero) initial cells";
  op.inputs = {"dh[N, T, H]", "w_hidden[H, 4H]", "h[N, T, H]", "activated[N, T, 4H]", "cells[N, T, H]"};
  op.outputs = {"dgates[N, T, 4H]", "dw_hidden[H, 4H]", "dcells_initial[N, H]"};
  op.required_inputs = op.max_inputs = 5;
  op.shape = backward_shape;
  op.flops = backward_flops;
  set_references(op, []<class T>(const KernelCall& call) { backward_reference<T>(call); });
  op.precision = Precision::low;
  op.half_inputs = {0, 1, 2, 3};
  op.in_place_input = 3;
  op.samples = {
      {.inputs = {{2, 5, 3}, {3, 12}, {2, 5, 3}, {2, 5, 12}, {2, 5, 3}}},
      {.inputs = {{1, 1, 1}, {1, 4}, {1, 1, 1}, {1, 1, 4}, {1, 1, 1}}},
      {.inputs = {{19, 3, 17}, {17, 68}, {19, 3, 17}, {19, 3, 68}, {19, 3, 17}}},
  };
  return op;
}

}  // namespace trireme
