// The CPU backend: which kernel serves which op.
#include <omp.h>

#include <map>
#include <string_view>

#include "backend/cpu/binder.h"
#include "backend/cpu/denormals.h"
#include "backend/cpu/split/kernels.h"
#include "base/error.h"

namespace trireme {
namespace cpu {
namespace {

// The activations that a binder takes.
enum class Takes { float32, bfloat16, halves };

struct Row {
  Row(Binder one, Takes what = Takes::float32) : binder(one), takes(what) {}  // NOLINT: {"op", bind_op}
  Binder binder;
  Takes takes;
};

// 16-bit nodes run the binder's own kernel where it takes them. The op table's loops take all; what is left
// is computed in float32.
Kernel bind_row(const Row& row, const Binding& b) {
  DType type = kernel_type(b.graph, b.node);
  bool own = !is_half_type(type) || row.binder == bind_plain || row.takes == Takes::halves ||
             (row.takes == Takes::bfloat16 && type == DType::bfloat16);
  return own ? row.binder(b) : bind_through_float(b, row.binder);
}

const std::map<std::string_view, Row>& binders() {
  static const std::map<std::string_view, Row> table = {
      {"linear", {bind_linear, Takes::bfloat16}},
      {"linear_backward_data", {bind_linear_backward_data, Takes::bfloat16}},
      {"linear_backward_weights", {bind_linear_backward_weights, Takes::bfloat16}},
      {"convolution", {bind_convolution, Takes::bfloat16}},
      {"convolution_backward_data", {bind_convolution_backward_data, Takes::bfloat16}},
      {"convolution_backward_weights", {bind_convolution_backward_weights, Takes::bfloat16}},
      {"relu", {bind_relu, Takes::halves}},
      {"relu_backward", {bind_relu_backward, Takes::halves}},
      {"add", {bind_add, Takes::halves}},
      {"dropout", {bind_dropout, Takes::halves}},
      {"dropout_backward", {bind_dropout, Takes::halves}},
      {"max_pool", {bind_max_pool, Takes::halves}},
      {"max_pool_backward", {bind_max_pool_backward, Takes::halves}},
      {"batch_norm", {bind_batch_norm, Takes::halves}},
      {"batch_norm_inference", {bind_batch_norm_inference, Takes::halves}},
      {"batch_norm_backward", {bind_batch_norm_backward, Takes::halves}},
      {"batch_norm_max_pool", {bind_batch_norm_max_pool, Takes::halves}},
      {"batch_norm_max_pool_backward", {bind_batch_norm_max_pool_backward, Takes::halves}},
      {"cast", {bind_cast, Takes::halves}},
      {"scale_gradient", bind_plain},
      {"scale_gradient_backward", bind_plain},
      {"average_pool", bind_plain},
      {"average_pool_backward", bind_plain},
      {"global_average_pool", bind_plain},
      {"global_average_pool_backward", bind_plain},
      {"tanh", {bind_tanh, Takes::halves}},
      {"tanh_backward", {bind_tanh_backward, Takes::halves}},
      {"sigmoid", {bind_sigmoid, Takes::halves}},
      {"sigmoid_backward", {bind_sigmoid_backward, Takes::halves}},
      {"flatten", bind_plain},
      {"flatten_backward", bind_plain},
      {"embedding", bind_embedding},
      {"embedding_backward", bind_embedding_backward},
      {"layer_norm", bind_layer_norm},
      {"layer_norm_backward", bind_layer_norm_backward},
      {"gelu", {bind_gelu, Takes::halves}},
      {"gelu_backward", {bind_gelu_backward, Takes::halves}},
      {"attention", {bind_attention, Takes::halves}},
      {"attention_backward", {bind_attention_backward, Takes::halves}},
      {"softmax_cross_entropy", bind_softmax_cross_entropy},
      {"softmax_cross_entropy_backward", bind_softmax_cross_entropy_backward},
      {"top1_correct", bind_plain},
      {"lstm", {bind_lstm, Takes::halves}},
      {"lstm_backward", bind_lstm_backward},
      {"rnn", {bind_rnn, Takes::halves}},
      {"rnn_backward", bind_rnn_backward},
      {"group_norm", {bind_group_norm, Takes::halves}},
      {"group_norm_backward", {bind_group_norm_backward, Takes::halves}},
      {"leaky_relu", {bind_leaky_relu, Takes::halves}},
      {"leaky_relu_backward", {bind_leaky_relu_backward, Takes::halves}},
      {"transposed_convolution", {bind_transposed_convolution, Takes::bfloat16}},
      {"bias_backward", {bind_bias_backward, Takes::halves}},
      {"affine", bind_plain},
      {"unflatten", bind_plain},
      {"mean_squared_error", bind_plain},
      {"mean_squared_error_backward", bind_plain},
      {"binary_cross_entropy", bind_plain},
      {"binary_cross_entropy_backward", bind_plain},
  };
  return table;
}

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(const BackendOptions& options)
      : threads_(options.threads < 1 ? 1 : options.threads),
        matrix_units_(options.matrix_units && split::matrix_units()),
        few_channels_(options.few_channels) {
    omp_set_num_threads(threads_);  // of this thread's parallel regions: the library's and ours
    // The calling thread steps and updates; its team keeps its threads.
    flush_denormals();
#pragma omp parallel num_threads(threads_)
    flush_denormals();
  }

  std::string name() const override { return "cpu"; }

  Kernel bind(const Graph& graph, const Node& node, AddressTable addresses) override {
    auto found = binders().find(node.op);
    if (found == binders().end())
      throw GraphError("{}: the CPU backend has no kernel for op {}", node.origin, node.op);
    for (ValueId output : node.outputs) {
      if (output != no_id && graph.value(output).type.dtype == DType::float64) {
        throw GraphError("{}: the CPU backend computes in float32; use the reference backend for float64",
                         node.origin);
      }
    }
    try {
      return bind_row(found->second, {graph, node, addresses, library_, best_kernels(), threads_,
                                      &parameter_version_, matrix_units_, few_channels_});
    } catch (const dnnl::error& error) {
      throw DeviceError("{}: oneDNN cannot make {}: {}", node.origin, node.op, error.what());
    }
  }

  void parameters_changed() override { ++parameter_version_; }

 private:
  Library library_;
  int threads_;
  bool matrix_units_, few_channels_;
  uint64_t parameter_version_ = 1;
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options) {
  return std::make_unique<cpu::CpuBackend>(options);
}

}  // namespace trireme
