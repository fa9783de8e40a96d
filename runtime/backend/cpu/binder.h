// What a binder sees of the backend, and the binders by op. A binder turns one node into a kernel.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "backend/backend.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/onednn.h"
#include "graph/op.h"

namespace trireme::cpu {

// The kernels' name of a floating type of 16 or 32 bits.
inline ElementType element_type(DType type) {
  if (type == DType::bfloat16) return ElementType::bfloat16;
  return type == DType::float16 ? ElementType::float16 : ElementType::float32;
}

// Everything about one node at bind time.
struct Binding {
  const Graph& graph;
  const Node& node;
  AddressTable addresses;
  Library& library;
  const KernelSet& kernels;
  int threads;
  const uint64_t* parameter_version;  // changes whenever parameters have changed
  bool matrix_units;                  // whether float32 products may be made by split/
  bool few_channels;                  // whether few_channels.cpp may be used

  const Shape& input_shape(size_t i) const { return graph.shape(node.inputs[i]); }
  const Shape& output_shape(size_t i) const { return graph.shape(node.outputs[i]); }
  bool has_input(size_t i) const { return i < node.inputs.size() && node.inputs[i] != no_id; }
  bool has_output(size_t i) const { return i < node.outputs.size() && node.outputs[i] != no_id; }
  void* const* input(size_t i) const { return &addresses[static_cast<size_t>(node.inputs[i])]; }
  void* const* output(size_t i) const { return &addresses[static_cast<size_t>(node.outputs[i])]; }
  int64_t integer(std::string_view name) const { return node.attributes.integer(name); }
  ElementType type() const { return element_type(kernel_type(graph, node)); }  // of the activations
  double real(std::string_view name) const { return node.attributes.real(name); }
};

// The tensor at a slot of the address table.
inline const float* read(void* const* slot) { return static_cast<const float*>(*slot); }
inline float* write(void* const* slot) { return static_cast<float*>(*slot); }

// Element `index` of the tensor of `type` at a slot.
inline const void* read_at(void* const* slot, ElementType type, int64_t index) {
  return static_cast<const std::byte*>(*slot) + index * (type == ElementType::float32 ? 4 : 2);
}
inline void* write_at(void* const* slot, ElementType type, int64_t index) {
  return static_cast<std::byte*>(*slot) + index * (type == ElementType::float32 ? 4 : 2);
}

using Binder = Kernel (*)(const Binding&);

// oneDNN
Kernel bind_linear(const Binding&);
Kernel bind_linear_backward_data(const Binding&);
Kernel bind_linear_backward_weights(const Binding&);
Kernel bind_convolution(const Binding&);
Kernel bind_convolution_backward_data(const Binding&);
Kernel bind_convolution_backward_weights(const Binding&);
// our own kernels
Kernel bind_relu(const Binding&);
Kernel bind_relu_backward(const Binding&);
Kernel bind_tanh(const Binding&);
Kernel bind_tanh_backward(const Binding&);
Kernel bind_sigmoid(const Binding&);
Kernel bind_sigmoid_backward(const Binding&);
Kernel bind_add(const Binding&);
Kernel bind_dropout(const Binding&);
Kernel bind_max_pool(const Binding&);
Kernel bind_max_pool_backward(const Binding&);
Kernel bind_batch_norm(const Binding&);
Kernel bind_batch_norm_inference(const Binding&);
Kernel bind_batch_norm_backward(const Binding&);
Kernel bind_batch_norm_max_pool(const Binding&);
Kernel bind_batch_norm_max_pool_backward(const Binding&);
Kernel bind_embedding(const Binding&);
Kernel bind_embedding_backward(const Binding&);
Kernel bind_layer_norm(const Binding&);
Kernel bind_layer_norm_backward(const Binding&);
Kernel bind_gelu(const Binding&);
Kernel bind_gelu_backward(const Binding&);
Kernel bind_attention(const Binding&);
Kernel bind_attention_backward(const Binding&);
Kernel bind_softmax_cross_entropy(const Binding&);
Kernel bind_softmax_cross_entropy_backward(const Binding&);
Kernel bind_cast(const Binding&);
Kernel bind_lstm(const Binding&);
Kernel bind_lstm_backward(const Binding&);
Kernel bind_rnn(const Binding&);
Kernel bind_rnn_backward(const Binding&);
Kernel bind_leaky_relu(const Binding&);
Kernel bind_transposed_convolution(const Binding&);
Kernel bind_bias_backward(const Binding&);
Kernel bind_group_norm(const Binding&);
Kernel bind_group_norm_backward(const Binding&);
Kernel bind_leaky_relu_backward(const Binding&);
// the op table's plain loop
Kernel bind_plain(const Binding&);
// `binder`'s float32 kernel for a node of 16-bit values
Kernel bind_through_float(const Binding&, Binder binder);

}  // namespace trireme::cpu
