// Scaled dot-product attention of several heads (Vaswani et al., arXiv 1706.03762), as one op with its own
// backward op. What is kept for the backward is the logarithm of each row's sum of exponentials (Dao et al.,
// "FlashAttention", arXiv 2205.14135): probabilities are computed anew from it, and no [T, T] matrix is
// stored. With s = scale q k^T, P = softmax(s) by rows, M the dropout's mask over (1 - rate):
//   y = (P M) v
//   dv = (P M)^T dy, dP = M (dy v^T), ds = P (dP - rowsum(dy y)), dq = scale ds k, dk = scale ds^T q
// where rowsum(dy y) stands for rowsum(P dP), which it equals.
#include "ops/attention.h"

#include <algorithm>

#include "base/error.h"
#include "ops/ops.h"
#include "ops/rules.h"

namespace trireme {
namespace {

// Refuses attributes and extents that do not fit; what is left is of qkv[N, T, 3C].
AttentionExtents checked_extents(const TensorType& qkv, const Attributes& attributes) {
  int64_t heads = integer_of_at_least(attributes, "heads", 1);
  integer_of_at_least(attributes, "layer", 0);
  flag(attributes, "causal");
  double rate = real_within(attributes, "rate", 0.0, 1.0);
  int64_t width = qkv.shape[2];
  if (width % (3 * heads) != 0) {
    throw GraphError("the last axis of qkv must be 3 times as many channels as {} heads can share, got {}",
                     heads, describe(qkv));
  }
  AttentionExtents e = {qkv.shape[0], qkv.shape[1], width / 3, heads};
  if (rate > 0 && heads * e.length * attention_draw_blocks(e.length) > int64_t{1} << 32) {
    throw GraphError(
        "a sequence of {} positions and {} heads is too long for dropout: it has more than 2^34 "
        "probabilities",
        e.length, heads);
  }
  return e;
}

std::vector<TensorType> attention_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& qkv = activation_input(inputs, 0, "qkv[N, T, 3C]", 3);
  AttentionExtents e = checked_extents(qkv, attributes);
  return {{qkv.dtype, {e.samples, e.length, e.channels}}, {wide(qkv.dtype), {e.samples, e.heads, e.length}}};
}

// Pairs of positions over samples, each of which costs `each` operations a channel.
double pair_flops(const Shape& qkv, const Node& node, double each) {
  auto length = static_cast<double>(qkv[1]);
  bool causal = flag(node.attributes, "causal");
  double pairs = causal ? length * (length + 1) / 2 : length * length;
  return static_cast<double>(qkv[0]) * pairs * each * static_cast<double>(qkv[2] / 3);
}

std::vector<ValueId> attention_gradient(GraphWriter& writer, Node node, ValueId output_gradient) {
  return {writer.add_one("attention_backward",
                         {output_gradient, node.inputs[0], node.outputs[0], node.outputs[1]},
                         node.attributes)};
}

// One head of one sample: rows of queries, keys and values, and how to draw its dropout.
template <class T>
struct Head {
  Head(const KernelCall& kernel_call, const AttentionExtents& extents, const T* qkv, int64_t of_sample,
       int64_t of_head)
      : call(kernel_call), e(extents), sample(of_sample), head(of_head) {
    q = qkv + sample * e.length * 3 * e.channels + head * e.head_size();
    causal = flag(call.node.attributes, "causal");
    rate = call.node.attributes.real("rate");
    layer = static_cast<uint32_t>(call.node.attributes.integer("layer"));
    scale = e.scale();
  }
  const T* query(int64_t i) const { return q + i * 3 * e.channels; }
  const T* key(int64_t j) const { return query(j) + e.channels; }
  const T* value(int64_t j) const { return query(j) + 2 * e.channels; }
  int64_t keys_of(int64_t i) const { return causal ? i + 1 : e.length; }
  int64_t first_query_of(int64_t j) const { return causal ? j : 0; }
  double dot(const T* a, const T* b) const {
    double sum = 0;
    for (int64_t d = 0; d < e.head_size(); ++d) sum += double{a[d]} * double{b[d]};
    return sum;
  }
  double score(int64_t i, int64_t j) const { return scale * dot(query(i), key(j)); }
  // 1 / (1 - rate) where kept, else 0.
  double mask(int64_t i, int64_t j) const {
    if (rate == 0) return 1;
    bool keeps = attention_keeps(call.scalars, layer, e, sample, head, i, j, static_cast<float>(rate));
    return keeps ? 1 / (1 - rate) : 0;
  }
  // Row i of a tensor [N, T, C].
  template <class U>
  U* row(U* base, int64_t i) const {
    return base + (sample * e.length + i) * e.channels + head * e.head_size();
  }
  int64_t statistic(int64_t i) const { return (sample * e.heads + head) * e.length + i; }

  const KernelCall& call;
  const AttentionExtents& e;
  int64_t sample, head;
  const T* q;
  bool causal;
  uint32_t layer;
  double rate, scale;
};

// Sums over at most so many channels are kept at once; wider heads are gone through in parts.
constexpr int64_t part = 64;

// to[d] = sum over j in [first, last) of weight(j) * rows(j)[d].
template <class T, class Weight, class Rows>
void weighted_sum(int64_t first, int64_t last, int64_t size, const Weight& weight, const Rows& rows, T* to) {
  for (int64_t begin = 0; begin < size; begin += part) {
    int64_t count = std::min(part, size - begin);
    double sums[part] = {};
    for (int64_t j = first; j < last; ++j) {
      double w = weight(j);
      for (int64_t d = 0; d < count; ++d) sums[d] += w * double{rows(j)[begin + d]};
    }
    for (int64_t d = 0; d < count; ++d) to[begin + d] = narrow<T>(sums[d]);
  }
}

template <class T>
void attention_reference(const KernelCall& call) {
  const Shape& shape = call.input_shape(0);
  AttentionExtents e = {shape[0], shape[1], shape[2] / 3, call.node.attributes.integer("heads")};
  for (int64_t n = 0; n < e.samples * e.heads; ++n) {
    Head<T> h(call, e, call.input<T>(0), n / e.heads, n % e.heads);
    for (int64_t i = 0; i < e.length; ++i) {
      int64_t keys = h.keys_of(i);
      double largest = h.score(i, 0), sum = 0;
      for (int64_t j = 1; j < keys; ++j) largest = std::max(largest, h.score(i, j));
      for (int64_t j = 0; j < keys; ++j) sum += std::exp(h.score(i, j) - largest);
      auto probability = [&](int64_t j) { return std::exp(h.score(i, j) - largest) / sum * h.mask(i, j); };
      weighted_sum(
          0, keys, e.head_size(), probability, [&](int64_t j) { return h.value(j); },
          h.row(call.output<T>(0), i));
      call.output<Wide<T>>(1)[h.statistic(i)] = static_cast<Wide<T>>(largest + std::log(sum));
    }
  }
}

std::vector<TensorType> backward_shape(InputTypes inputs, const Attributes& attributes) {
  const TensorType& dy = activation_input(inputs, 0, "dy[N, T, C]", 3);
  const Shape& s = dy.shape;
  TensorType qkv = {dy.dtype, {s[0], s[1], 3 * s[2]}};
  expect_input(inputs, 1, "qkv[N, T, 3C]", qkv);
  expect_input(inputs, 2, "y[N, T, C]", dy);
  AttentionExtents e = checked_extents(qkv, attributes);
  expect_input(inputs, 3, "logsumexp[N, heads, T]", {wide(dy.dtype), {e.samples, e.heads, e.length}});
  return {qkv};
}

template <class T>
void backward_reference(const KernelCall& call) {
  const Shape& shape = call.input_shape(1);
  AttentionExtents e = {shape[0], shape[1], shape[2] / 3, call.node.attributes.integer("heads")};
  for (int64_t n = 0; n < e.samples * e.heads; ++n) {
    Head<T> h(call, e, call.input<T>(1), n / e.heads, n % e.heads);
    T* dq = call.output<T>(0) + (h.q - call.input<T>(1));
    auto dy = [&](int64_t i) { return h.row(call.input<T>(0), i); };
    auto probability = [&](int64_t i, int64_t j) {
      return std::exp(h.score(i, j) - double{call.input<Wide<T>>(3)[h.statistic(i)]});
    };
    auto score_gradient = [&](int64_t i, int64_t j) {
      double mean = h.dot(dy(i), h.row(call.input<T>(2), i));
      return h.scale * probability(i, j) * (h.mask(i, j) * h.dot(dy(i), h.value(j)) - mean);
    };
    for (int64_t i = 0; i < e.length; ++i) {
      T* row = dq + i * 3 * e.channels;
      int64_t first = h.first_query_of(i);
      weighted_sum(
          0, h.keys_of(i), e.head_size(), [&](int64_t j) { return score_gradient(i, j); },
          [&](int64_t j) { return h.key(j); }, row);
      weighted_sum(
          first, e.length, e.head_size(), [&](int64_t q) { return score_gradient(q, i); },
          [&](int64_t q) { return h.query(q); }, row + e.channels);
      weighted_sum(
          first, e.length, e.head_size(), [&](int64_t q) { return h.mask(q, i) * probability(q, i); }, dy,
          row + 2 * e.channels);
    }
  }
}

std::vector<AttributeRule> attention_attributes() {
  return {{"heads", int64_t{0}, "number of heads, which share the channels; must be given"},
          {"causal", int64_t{1}, "1: a position sees itself and those before it; 0: all see all"},
          {"rate", 0.0, "probability of dropping a probability, in [0, 1)"},
          {"layer", int64_t{0}, "number of the dropout layer in its model, a stream of draws of its own"}};
}

Op attention_row() {
  Op op;
  op.attributes = attention_attributes();
  op.precision = Precision::low;
  return op;
}

Attributes sample_attributes(int64_t heads, int64_t causal, double rate = 0.0, int64_t layer = 0) {
  return {{"heads", heads}, {"causal", causal}, {"rate", rate}, {"layer", layer}};
}

}  // namespace

Op attention_op() {
  Op op = attention_row();
  op.name = "attention";
  op.doc =
      "y = softmax(q k^T / sqrt(C / heads)) v head by head, and the logarithm of each row's sum of "
      "exponentials; "
      "dropout acts on the probabilities (ops/attention.h), and no matrix of T x T is kept";
  op.inputs = {"qkv[N, T, 3C]"};
  op.outputs = {"y[N, T, C]", "logsumexp[N, heads, T]"};
  op.half_inputs = {0};
  op.shape = attention_shape;
  op.flops = [](const Graph& graph, const Node& node) {
    return pair_flops(graph.shape(node.inputs[0]), node, 4);
  };
  op.gradient = attention_gradient;
  op.reference_float = attention_reference<float>;
  op.reference_double = attention_reference<double>;
  op.reference_bfloat16 = attention_reference<BFloat16>;
  op.reference_float16 = attention_reference<Float16>;
  op.samples = {
      {.inputs = {{2, 5, 18}}, .attributes = sample_attributes(2, 1)},
      {.inputs = {{1, 7, 12}}, .attributes = sample_attributes(1, 0)},
      {.inputs = {{3, 1, 6}}, .attributes = sample_attributes(2, 1)},
      {.inputs = {{2, 6, 12}}, .attributes = sample_attributes(2, 1, 0.3, 3)},
      {.inputs = {{1, 9, 24}}, .attributes = sample_attributes(4, 0, 0.25)},
  };
  return op;
}

Op attention_backward_op() {
  Op op = attention_row();
  op.name = "attention_backward";
  op.doc = "The gradient of attention's qkv; the probabilities are computed anew from logsumexp";
  op.inputs = {"dy[N, T, C]", "qkv[N, T, 3C]", "y[N, T, C]", "logsumexp[N, heads, T]"};
  op.outputs = {"dqkv[N, T, 3C]"};
  op.required_inputs = op.max_inputs = 4;
  op.half_inputs = {0, 1, 2};
  op.shape = backward_shape;
  op.flops = [](const Graph& graph, const Node& node) {
    return pair_flops(graph.shape(node.inputs[1]), node, 10);
  };
  op.reference_float = backward_reference<float>;
  op.reference_double = backward_reference<double>;
  op.reference_bfloat16 = backward_reference<BFloat16>;
  op.reference_float16 = backward_reference<Float16>;
  op.samples = {
      {.inputs = {{2, 5, 6}, {2, 5, 18}, {2, 5, 6}, {2, 2, 5}}, .attributes = sample_attributes(2, 1)},
      {.inputs = {{1, 7, 4}, {1, 7, 12}, {1, 7, 4}, {1, 1, 7}}, .attributes = sample_attributes(1, 0)},
      {.inputs = {{2, 6, 4}, {2, 6, 12}, {2, 6, 4}, {2, 2, 6}},
       .attributes = sample_attributes(2, 1, 0.3, 3)},
  };
  return op;
}

}  // namespace trireme
