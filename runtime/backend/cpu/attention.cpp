// Attention by our own kernels, a head of a sample at a time: each is the work of one thread, so that bits do
// not depend on the number of threads.
#include <cmath>
#include <vector>

#include "backend/cpu/binder.h"
#include "backend/cpu/split/attention.h"
#include "base/buffer.h"
#include "base/parallel.h"
#include "base/rng.h"

namespace trireme::cpu {
namespace {

// Scratch of each thread, made at bind.
struct Scratch {
  Scratch(int threads, int64_t floats) {
    for (int i = 0; i < threads; ++i) of_thread.emplace_back(static_cast<size_t>(floats) * sizeof(float));
  }
  float* mine() { return of_thread[static_cast<size_t>(this_thread())].as<float>(); }
  std::vector<Buffer> of_thread;
};

struct Extents {
  int64_t samples, length, channels, heads;
  int64_t head_size() const { return channels / heads; }
};

Extents extents_of(const Binding& b, const Shape& qkv) {
  return {qkv[0], qkv[1], qkv[2] / 3, b.integer("heads")};
}

bool on_matrix_units(const Binding& b, const Extents& e) {
  return b.matrix_units && split::takes_attention(b.type(), e.length, e.head_size());
}

// What all heads have in common.
template <class Task>
Task task_of(const Binding& b, const Extents& e, DType type) {
  Task task{};
  task.length = e.length;
  task.head_size = e.head_size();
  task.channels = e.channels;
  task.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(e.head_size())));
  task.causal = b.integer("causal") != 0;
  task.type = element_type(type);
  task.dropout.rate = static_cast<float>(b.real("rate"));
  task.dropout.layer = static_cast<uint32_t>(b.integer("layer"));
  return task;
}

// The heads of all samples in the order in which they are gone through.
struct HeadNumber {
  HeadNumber(const Extents& e, int64_t i) : sample(i / e.heads), head(i % e.heads) {}
  int64_t sample, head;
};

// The draws of one head in one step.
AttentionDropout dropout_of(const AttentionDropout& bound, const StepScalars& s, const Extents& e,
                            HeadNumber at) {
  AttentionDropout d = bound;
  d.key0 = static_cast<uint32_t>(s.seed);
  d.key1 = static_cast<uint32_t>(s.seed >> 32) ^ (static_cast<uint32_t>(Purpose::dropout) << 24);
  d.sample = static_cast<uint32_t>(s.first_sample + at.sample);
  d.step = static_cast<uint32_t>(s.step);
  d.first_row = at.head * e.length;
  return d;
}

// Address of the first row of a head in a tensor whose rows hold `width` elements.
char* head_of(void* const* tensor, const Extents& e, HeadNumber at, int64_t width, size_t element) {
  int64_t offset = at.sample * e.length * width + at.head * e.head_size();
  return static_cast<char*>(*tensor) + static_cast<size_t>(offset) * element;
}

}  // namespace

Kernel bind_attention(const Binding& b) {
  Extents e = extents_of(b, b.input_shape(0));
  DType type = b.graph.value(b.node.inputs[0]).type.dtype;
  auto common = task_of<AttentionTask>(b, e, type);
  bool split = on_matrix_units(b, e);
  auto scratch =
      std::make_shared<Scratch>(b.threads, split ? split::attention_scratch(e.length, e.head_size())
                                                 : attention_scratch(e.length, e.head_size()));
  auto kernel = split ? split::attention : b.kernels.attention;
  return [=, qkv = b.input(0), y = b.output(0), logsumexp = b.output(1), size = size_of(type),
          threads = b.threads](const StepScalars& s) {
    int64_t heads = e.samples * e.heads;
    for_each_index(threads, heads, [&](int64_t i) {
      HeadNumber at(e, i), next(e, i + 1);
      AttentionTask task = common;
      task.qkv = head_of(qkv, e, at, 3 * e.channels, size);
      task.y = head_of(y, e, at, e.channels, size);
      task.logsumexp = write(logsumexp) + i * e.length;
      task.scratch = scratch->mine();
      if (i + 1 < heads) task.next_qkv = head_of(qkv, e, next, 3 * e.channels, size);
      task.dropout = dropout_of(common.dropout, s, e, at);
      kernel(task);
    });
  };
}

Kernel bind_attention_backward(const Binding& b) {
  Extents e = extents_of(b, b.input_shape(1));
  DType type = b.graph.value(b.node.inputs[0]).type.dtype;
  auto common = task_of<AttentionBackwardTask>(b, e, type);
  bool split = on_matrix_units(b, e);
  auto scratch =
      std::make_shared<Scratch>(b.threads, split ? split::attention_backward_scratch(e.length, e.head_size())
                                                 : attention_backward_scratch(e.length, e.head_size()));
  auto kernel = split ? split::attention_backward : b.kernels.attention_backward;
  return [=, dy = b.input(0), qkv = b.input(1), y = b.input(2), logsumexp = b.input(3), dqkv = b.output(0),
          size = size_of(type), threads = b.threads](const StepScalars& s) {
    int64_t heads = e.samples * e.heads;
    for_each_index(threads, heads, [&](int64_t i) {
      HeadNumber at(e, i), next(e, i + 1);
      AttentionBackwardTask task = common;
      task.dy = head_of(dy, e, at, e.channels, size);
      task.qkv = head_of(qkv, e, at, 3 * e.channels, size);
      task.y = head_of(y, e, at, e.channels, size);
      task.logsumexp = read(logsumexp) + i * e.length;
      task.dqkv = head_of(dqkv, e, at, 3 * e.channels, size);
      task.scratch = scratch->mine();
      if (i + 1 < heads) {
        task.next_dy = head_of(dy, e, next, e.channels, size);
        task.next_qkv = head_of(qkv, e, next, 3 * e.channels, size);
        task.next_y = head_of(y, e, next, e.channels, size);
      }
      task.dropout = dropout_of(common.dropout, s, e, at);
      kernel(task);
    });
  };
}

}  // namespace trireme::cpu
