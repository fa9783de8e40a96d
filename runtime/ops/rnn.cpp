// The recurrence of an Elman network (Elman, "Finding structure in time", 1990): what the layer's input gives
// to the units is already in `pre`, for all steps at once. From zero state h[t] = tanh(pre[t] + h[t-1]
// w_hidden). Backwards
//   dpre[t] = (dh[t] + dpre[t+1] w_hidden^T) (1 - h[t]^2),  dw_hidden = the sum over n, t of h[t-1]^T
//   dpre[t].
#include <cmath>

#include "ops/ops.h"
#include "ops/references.h"
#include "ops/rules.h"

namespace trireme {
namespace {

// Samples, steps and hidden units of h[N, T, H].
struct Extents {
  int64_t n, t, h;
  int64_t at(int64_t sample, int64_t step) const { return (sample * t + step) * h; }
};

Extents extents_of(const Shape& hidden) { return {hidden[0], hidden[1], hidden[2]}; }

std::vector<TensorType> rnn_shape(InputTypes inputs, const Attributes&) {
  const TensorType& pre = activation_input(inputs, 0, "pre[N, T, H]", 3);
  expect_input(inputs, 1, "w_hidden[H, H]", {pre.dtype, {pre.shape[2], pre.shape[2]}});
  return {pre};
}

double product_flops(const Shape& hidden) {
  return 2.0 * static_cast<double>(hidden.elements()) * static_cast<double>(hidden[2]);
}

double rnn_flops(const Graph& graph, const Node& node) {
  return product_flops(graph.shape(node.outputs[0])) + 2 * output_elements(graph, node);
}

std::vector<ValueId> rnn_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  return writer.add("rnn_backward", {output_gradient, node.inputs[1], node.outputs[0]});
}

template <class T>
void rnn_reference(const KernelCall& call) {
  Extents e = extents_of(call.output_shape(0));
  const T* pre = call.input<T>(0);
  const T* w = call.input<T>(1);
  T* h = call.output<T>(0);
  for (int64_t s = 0; s < e.n; ++s) {
    for (int64_t t = 0; t < e.t; ++t) {
      const T* before = t > 0 ? h + e.at(s, t - 1) : nullptr;
      for (int64_t k = 0; k < e.h; ++k) {
        double sum = double(pre[e.at(s, t) + k]);
        for (int64_t j = 0; before && j < e.h; ++j) sum += double(before[j]) * double(w[j * e.h + k]);
        h[e.at(s, t) + k] = narrow<T>(std::tanh(sum));
      }
    }
  }
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes&) {
  const TensorType& dh = activation_input(inputs, 0, "dh[N, T, H]", 3);
  expect_input(inputs, 1, "w_hidden[H, H]", {dh.dtype, {dh.shape[2], dh.shape[2]}});
  expect_input(inputs, 2, "h[N, T, H]", dh);
  return {dh, {wide(dh.dtype), {dh.shape[2], dh.shape[2]}}};
}

double backward_flops(const Graph& graph, const Node& node) {
  return 2 * product_flops(graph.shape(node.outputs[0])) + 4 * output_elements(graph, node);
}

template <class T>
void backward_reference(const KernelCall& call) {
  Extents e = extents_of(call.output_shape(0));
  const T* dh = call.input<T>(0);
  const T* w = call.input<T>(1);
  const T* h = call.input<T>(2);
  T* dpre = call.output<T>(0);
  for (int64_t s = 0; s < e.n; ++s) {
    for (int64_t t = e.t; t-- > 0;) {
      const T* later = t + 1 < e.t ? dpre + e.at(s, t + 1) : nullptr;
      for (int64_t k = 0; k < e.h; ++k) {
        double sum = double(dh[e.at(s, t) + k]);
        for (int64_t j = 0; later && j < e.h; ++j) sum += double(later[j]) * double(w[k * e.h + j]);
        double y = double(h[e.at(s, t) + k]);
        dpre[e.at(s, t) + k] = narrow<T>(sum * (1 - y * y));
      }
    }
  }
  auto* dw = call.output<Wide<T>>(1);
  for (int64_t j = 0; j < e.h; ++j) {
    for (int64_t k = 0; k < e.h; ++k) {
      double sum = 0;
      for (int64_t s = 0; s < e.n; ++s) {
        for (int64_t t = 1; t < e.t; ++t) sum += double(h[e.at(s, t - 1) + j]) * double(dpre[e.at(s, t) + k]);
      }
      dw[j * e.h + k] = static_cast<Wide<T>>(sum);
    }
  }
}

}  // namespace

Op rnn_op() {
  Op op;
  op.name = "rnn";
  op.doc =
      "The recurrence h[t] = tanh(pre[t] + h[t-1] w_hidden) from zero state; pre = x W + b for all steps";
  op.inputs = {"pre[N, T, H]", "w_hidden[H, H]"};
  op.outputs = {"h[N, T, H]"};
  op.required_inputs = op.max_inputs = 2;
  op.shape = rnn_shape;
  op.flops = rnn_flops;
  op.gradient = rnn_gradient;
  set_references(op, []<class T>(const KernelCall& call) { rnn_reference<T>(call); });
  op.precision = Precision::low;
  op.half_inputs = {0, 1};
  op.in_place_input = 0;
  op.samples = {
      {.inputs = {{2, 5, 3}, {3, 3}}}, {.inputs = {{1, 1, 1}, {1, 1}}}, {.inputs = {{19, 3, 17}, {17, 17}}}};
  return op;
}

Op rnn_backward_op() {
  Op op;
  op.name = "rnn_backward";
  op.doc = "The gradients of rnn's pre and w_hidden";
  op.inputs = {"dh[N, T, H]", "w_hidden[H, H]", "h[N, T, H]"};
  op.outputs = {"dpre[N, T, H]", "dw_hidden[H, H]"};
  op.required_inputs = op.max_inputs = 3;
  op.shape = backward_shape;
  op.flops = backward_flops;
  set_references(op, []<class T>(const KernelCall& call) { backward_reference<T>(call); });
  op.precision = Precision::low;
  op.half_inputs = {0, 1, 2};
  op.in_place_input = 0;
  op.samples = {{.inputs = {{2, 5, 3}, {3, 3}, {2, 5, 3}}},
                {.inputs = {{1, 1, 1}, {1, 1}, {1, 1, 1}}},
                {.inputs = {{19, 3, 17}, {17, 17}, {19, 3, 17}}}};
  return op;
}

}  // namespace trireme
