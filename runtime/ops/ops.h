// One function a row; ops/table.cpp lists them. Each lives in the file of its family.
#pragma once

#include "graph/op.h"

namespace trireme {

// linear.cpp
Op linear_op();
Op linear_backward_data_op();
Op linear_backward_weights_op();
// convolution.cpp
Op convolution_op();
Op convolution_backward_data_op();
Op convolution_backward_weights_op();
// max_pool.cpp
Op max_pool_op();
Op max_pool_backward_op();
// average_pool.cpp
Op average_pool_op();
Op average_pool_backward_op();
// global_average_pool.cpp
Op global_average_pool_op();
Op global_average_pool_backward_op();
// batch_norm.cpp
Op batch_norm_op();
Op batch_norm_backward_op();
Op batch_norm_inference_op();
// activation.cpp
Op relu_op();
Op relu_backward_op();
Op tanh_op();
Op tanh_backward_op();
Op sigmoid_op();
Op sigmoid_backward_op();
// dropout.cpp
Op dropout_op();
Op dropout_backward_op();
// flatten.cpp
Op flatten_op();
Op flatten_backward_op();
// add.cpp
Op add_op();
// embedding.cpp
Op embedding_op();
Op embedding_backward_op();
// layer_norm.cpp
Op layer_norm_op();
Op layer_norm_backward_op();
// gelu.cpp
Op gelu_op();
Op gelu_backward_op();
// attention.cpp
Op attention_op();
Op attention_backward_op();
// cast.cpp
Op cast_op();
// scale_gradient.cpp
Op scale_gradient_op();
Op scale_gradient_backward_op();
// softmax_cross_entropy.cpp
Op softmax_cross_entropy_op();
Op softmax_cross_entropy_backward_op();
// top1_correct.cpp
Op top1_correct_op();

}  // namespace trireme
