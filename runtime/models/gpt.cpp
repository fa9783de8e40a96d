// A transformer decoder for text: pre-norm blocks (Radford et al., "Language models are unsupervised
// multitask learners", 2019; Vaswani et al., arXiv 1706.03762) with learned positions and GELU.
//
//   x = embedding(tokens) + positions
//   x = x + projection(attention(norm(x)));  x = x + contraction(gelu(expansion(norm(x))))      depth times
//   logits = head(norm(x))
//
// Weights start normal with deviation 0.02, those that end a branch with 0.02 / sqrt(2 depth), so that the
// sum over the branches keeps its scale with depth; biases start at 0.
#include <cmath>

#include "base/error.h"
#include "models/builders.h"
#include "models/misfit.h"

namespace trireme {
namespace {

constexpr double epsilon = 1e-5;
constexpr double deviation = 0.02;

ValueId block(NetWriter& net, const std::string& name, ValueId x, const ModelConfig& model,
              double branch_end) {
  Initializer weight = normal_start(deviation), last = normal_start(branch_end), bias = constant_start(0);
  int64_t channels = net.shape(x).back();
  net.begin_layer();
  net.at(name + ".norm1");
  ValueId y = net.layer_norm(x, epsilon);
  net.at(name + ".attention");
  y = net.attention(y, model.heads, model.dropout, weight, last, bias);
  y = net.dropout(y, model.dropout);
  x = net.apply("add", {x, y});
  net.at(name + ".norm2");
  y = net.layer_norm(x, epsilon);
  net.at(name + ".expansion");
  y = net.apply("gelu", {net.linear(y, 4 * channels, weight, &bias)});
  net.at(name + ".contraction");
  y = net.linear(y, channels, last, &bias);
  y = net.dropout(y, model.dropout);
  return net.apply("add", {x, y});
}

// Without a bias. Tied: the embedding's weight [vocabulary, channels], read the other way (Press and Wolf,
// arXiv 1608.05859).
ValueId head(NetWriter& net, ValueId x, const ModelConfig& model, int64_t vocabulary) {
  if (!model.tied) {
    net.at("head");
    return net.linear(x, vocabulary, normal_start(deviation), nullptr);
  }
  net.at("embedding");
  ValueId weight = net.parameter("weight", {vocabulary, net.shape(x).back()}, normal_start(deviation));
  net.at("head");
  return net.apply("linear", {x, weight}, {{"transposed", int64_t{1}}});
}

}  // namespace

ValueId write_gpt(NetWriter& net, ValueId tokens, const ModelConfig& model, const SampleShape& sample) {
  int64_t depth = model.depth > 0 ? model.depth : 4;
  int64_t channels = model.width > 0 ? model.width : 128;
  if (channels % model.heads != 0) {
    throw MisfitError("model.heads", fmt::format("{} heads cannot share model.width = {} channels evenly",
                                                 model.heads, channels));
  }
  net.begin_layer();
  net.at("embedding");
  ValueId x = net.embedding(tokens, sample.vocabulary, channels, true, normal_start(deviation));
  x = net.dropout(x, model.dropout);
  double branch_end = deviation / std::sqrt(2.0 * static_cast<double>(depth));
  for (int64_t i = 1; i <= depth; ++i) x = block(net, fmt::format("block{}", i), x, model, branch_end);
  net.begin_layer();
  net.at("final_norm");
  return head(net, net.layer_norm(x, epsilon), model, sample.vocabulary);
}

}  // namespace trireme
