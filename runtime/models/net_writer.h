// What every builder writes with: layers together with their parameters, under dotted names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "graph/op.h"
#include "models/models.h"

namespace trireme {

// How weights start.
constexpr Initializer constant_start(double value) { return {Initializer::Kind::constant, value}; }
// Uniform in +-1/sqrt(fan_in) (LeCun et al., "Efficient backprop", 1998).
Initializer uniform_start(int64_t fan_in);
constexpr Initializer normal_start(double deviation) { return {Initializer::Kind::normal, deviation}; }
// Normal with variance 2 / fan_out: keeps the gradients' scale through convolutions with a relu behind them
// (He et al., arXiv 1502.01852, section 2.2, backward case).
Initializer kaiming_start(int64_t fan_out);

class NetWriter {
 public:
  // `parameter_role` is Role::frozen for a net that is not learned in this graph.
  NetWriter(Graph& graph, GraphMode mode, Role parameter_role = Role::parameter);

  // What is written from now on belongs to `name`: nodes' origin, and what parameters' names begin with.
  void at(std::string name);
  // What is written from now on is one layer more (Node::layer).
  void begin_layer();
  // Layers are counted on from where `other`, of the same graph, stands.
  void continue_layers(const NetWriter& other) { layer_ = other.layer_; }
  // What is written from now on belongs to no layer (a loss).
  void end_layers();

  // "<name>.<what>". A parameter of that name that the graph has already is used again.
  ValueId parameter(std::string_view what, Shape shape, Initializer start);

  // Any op of one output that counts, the first.
  ValueId apply(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {});

  // x[..., I] -> [..., units]; "weight" [I, units] and, if wanted, "bias" [units].
  ValueId linear(ValueId x, int64_t units, Initializer weight, const Initializer* bias);
  // x[N, H, W, I] -> [N, ., ., channels]; "weight" [kernel, kernel, I, channels] and, if wanted, "bias".
  ValueId convolution(ValueId x, int64_t channels, int64_t kernel, int64_t stride, int64_t padding,
                      Initializer weight, const Initializer* bias);
  // x[N, H, W, I] -> [N, (H - 1) stride - 2 padding + kernel, ., channels]; "weight" [kernel, kernel,
  // channels, I].
  ValueId transposed_convolution(ValueId x, int64_t channels, int64_t kernel, int64_t stride, int64_t padding,
                                 Initializer weight, const Initializer* bias);
  // tokens[N, T] -> [N, T, channels]; "weight" [vocabulary, channels] and, if wanted, "positions" [T,
  // channels].
  ValueId embedding(ValueId tokens, int64_t vocabulary, int64_t channels, bool positions, Initializer start);
  // Causal self-attention, x[N, T, C] -> the same: "<name>.qkv" (one linear layer of 3 C units: queries,
  // keys, values), the heads' attention with dropout on its probabilities, "<name>.projection". Biases start
  // at `bias`.
  ValueId attention(ValueId x, int64_t heads, double rate, Initializer weight, Initializer projection,
                    Initializer bias);
  // "weight" (gamma, starting at `gamma`) and "bias" [C]; running statistics are states, read in evaluation.
  ValueId batch_norm(ValueId x, double epsilon, double momentum, Initializer gamma = constant_start(1));
  // The same without running statistics: it always normalises by the batch at hand.
  ValueId batch_norm_by_batch(ValueId x, double epsilon);
  ValueId group_norm(ValueId x, int64_t groups, double epsilon, Initializer gamma = constant_start(1));
  ValueId layer_norm(ValueId x, double epsilon);
  // Nothing in evaluation and at rate 0. Every dropout of a net has a stream of draws of its own.
  ValueId dropout(ValueId x, double rate);

  Graph& graph() { return graph_; }
  const Shape& shape(ValueId value) const { return graph_.shape(value); }
  GraphMode mode() const { return mode_; }
  const std::string& name() const { return name_; }

 private:
  Graph& graph_;
  GraphWriter writer_;
  GraphMode mode_;
  Role parameter_role_;
  std::string name_;
  int32_t layer_ = -1;
  int64_t dropouts_ = 0;
};

// Groups of a group normalisation where a preset chooses them: 32 (Wu and He, arXiv 1803.08494), or the
// largest power of two below that divides the channels.
int64_t preset_groups(int64_t channels);

}  // namespace trireme
