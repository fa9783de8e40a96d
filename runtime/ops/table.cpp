// The op table. A new op: its file, its declaration in ops/ops.h, one line here.
#include "ops/ops.h"

namespace trireme {

const std::vector<Op>& op_table() {
  static const std::vector<Op> table = {
      linear_op(),
      linear_backward_data_op(),
      linear_backward_weights_op(),
      convolution_op(),
      convolution_backward_data_op(),
      convolution_backward_weights_op(),
      max_pool_op(),
      max_pool_backward_op(),
      average_pool_op(),
      average_pool_backward_op(),
      global_average_pool_op(),
      global_average_pool_backward_op(),
      batch_norm_op(),
      batch_norm_backward_op(),
      batch_norm_inference_op(),
      relu_op(),
      relu_backward_op(),
      tanh_op(),
      tanh_backward_op(),
      sigmoid_op(),
      sigmoid_backward_op(),
      dropout_op(),
      dropout_backward_op(),
      flatten_op(),
      flatten_backward_op(),
      add_op(),
      embedding_op(),
      embedding_backward_op(),
      layer_norm_op(),
      layer_norm_backward_op(),
      gelu_op(),
      gelu_backward_op(),
      attention_op(),
      attention_backward_op(),
      cast_op(),
      scale_gradient_op(),
      scale_gradient_backward_op(),
      softmax_cross_entropy_op(),
      softmax_cross_entropy_backward_op(),
      top1_correct_op(),
  };
  return table;
}

}  // namespace trireme
