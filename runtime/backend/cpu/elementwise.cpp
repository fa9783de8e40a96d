// Element-wise ops and pooling by our own kernels, and the ops whose plain loops are fast enough.
#include "backend/cpu/binder.h"
#include "backend/cpu/pooling.h"
#include "base/parallel.h"
#include "base/rng.h"

namespace trireme::cpu {
namespace {

constexpr int64_t elements_per_part = 1 << 14;  // 64 KiB, a part of the second-level cache

// Both directions: the values at x, or slope times them where those at `sign` are not positive.
Kernel leaky_relu_kernel(const Binding& b, void* const* x, void* const* sign) {
  return [=, y = b.output(0), n = b.input_shape(0).elements(), k = &b.kernels, threads = b.threads,
          type = b.type(), slope = static_cast<float>(b.real("slope"))](const StepScalars&) {
    for_each_part(threads, n, elements_per_part, [&](int64_t i, int64_t end) {
      k->leaky_relu(type, read_at(x, type, i), read_at(sign, type, i), slope, write_at(y, type, i), end - i);
    });
  };
}

using Forward = void (*)(ElementType, const void*, void*, int64_t);
using Backward = void (*)(ElementType, const void*, const void*, void*, int64_t);

Kernel activation_kernel(const Binding& b, Forward run) {
  return [=, x = b.input(0), y = b.output(0), n = b.input_shape(0).elements(), threads = b.threads,
          type = b.type()](const StepScalars&) {
    for_each_part(threads, n, elements_per_part, [&](int64_t i, int64_t end) {
      run(type, read_at(x, type, i), write_at(y, type, i), end - i);
    });
  };
}

Kernel activation_backward_kernel(const Binding& b, Backward run) {
  return [=, dy = b.input(0), y = b.input(1), dx = b.output(0), n = b.input_shape(0).elements(),
          threads = b.threads, type = b.type()](const StepScalars&) {
    for_each_part(threads, n, elements_per_part, [&](int64_t i, int64_t end) {
      run(type, read_at(dy, type, i), read_at(y, type, i), write_at(dx, type, i), end - i);
    });
  };
}

}  // namespace

Kernel bind_tanh(const Binding& b) { return activation_kernel(b, b.kernels.tanh); }
Kernel bind_tanh_backward(const Binding& b) { return activation_backward_kernel(b, b.kernels.tanh_backward); }
Kernel bind_sigmoid(const Binding& b) { return activation_kernel(b, b.kernels.sigmoid); }
Kernel bind_sigmoid_backward(const Binding& b) {
  return activation_backward_kernel(b, b.kernels.sigmoid_backward);
}

Kernel bind_relu(const Binding& b) { return activation_kernel(b, b.kernels.relu); }
Kernel bind_relu_backward(const Binding& b) { return activation_backward_kernel(b, b.kernels.relu_backward); }

Kernel bind_leaky_relu(const Binding& b) { return leaky_relu_kernel(b, b.input(0), b.input(0)); }

Kernel bind_leaky_relu_backward(const Binding& b) { return leaky_relu_kernel(b, b.input(0), b.input(1)); }

Kernel bind_add(const Binding& b) {
  return [x = b.input(0), z = b.input(1), y = b.output(0), n = b.input_shape(0).elements(), k = &b.kernels,
          threads = b.threads, type = b.type()](const StepScalars&) {
    for_each_part(threads, n, elements_per_part, [&](int64_t i, int64_t end) {
      k->add(type, read_at(x, type, i), read_at(z, type, i), write_at(y, type, i), end - i);
    });
  };
}

// Forward and backward alike: the draw is made again, no mask is kept.
Kernel bind_dropout(const Binding& b) {
  const Shape& shape = b.input_shape(0);
  auto layer = static_cast<uint32_t>(b.integer("layer"));
  auto rate = static_cast<float>(b.real("rate"));
  return [x = b.input(0), y = b.output(0), rows = shape[0], n = elements_per_image(shape), layer, rate,
          k = &b.kernels, threads = b.threads, type = b.type()](const StepScalars& s) {
    auto key0 = static_cast<uint32_t>(s.seed);
    auto key1 = static_cast<uint32_t>(s.seed >> 32) ^ (static_cast<uint32_t>(Purpose::dropout) << 24);
    for_each_index(threads, rows, [&](int64_t row) {
      k->dropout(type, read_at(x, type, row * n), write_at(y, type, row * n), s.first_sample + row, 1, n,
                 key0, key1, static_cast<uint32_t>(s.step), layer, rate);
    });
  };
}

Kernel bind_max_pool(const Binding& b) {
  const Shape& in = b.input_shape(0);
  const Shape& out = b.output_shape(0);
  auto geometry = pool_geometry<MaxPoolTask>(b, in, out);
  return [geometry, x = b.input(0), y = b.output(0), argmax = b.output(1), images = in[0],
          in_size = elements_per_image(in), out_size = elements_per_image(out), k = &b.kernels,
          threads = b.threads](const StepScalars&) {
    for_each_index(threads, images, [&](int64_t i) {
      MaxPoolTask task = geometry;
      task.x = read_at(x, task.type, i * in_size);
      task.y = write_at(y, task.type, i * out_size);
      task.argmax = static_cast<uint8_t*>(*argmax) + i * out_size;
      k->max_pool(task);
    });
  };
}

Kernel bind_max_pool_backward(const Binding& b) {
  // Windows that overlap add up in dx, which 16 bits would round at every window.
  bool overlap = b.integer("stride") < b.integer("kernel");
  if (overlap && b.type() != ElementType::float32) return bind_through_float(b, bind_max_pool_backward);
  const Shape& in = b.output_shape(0);
  const Shape& out = b.input_shape(0);
  auto geometry = pool_geometry<MaxPoolBackwardTask>(b, in, out);
  return [geometry, dy = b.input(0), argmax = b.input(1), dx = b.output(0), images = in[0],
          in_size = elements_per_image(in), out_size = elements_per_image(out), k = &b.kernels,
          threads = b.threads](const StepScalars&) {
    for_each_index(threads, images, [&](int64_t i) {
      MaxPoolBackwardTask task = geometry;
      task.dy = read_at(dy, task.type, i * out_size);
      task.argmax = static_cast<const uint8_t*>(*argmax) + i * out_size;
      task.dx = write_at(dx, task.type, i * in_size);
      k->max_pool_backward(task);
    });
  };
}

Kernel bind_cast(const Binding& b) {
  DType from = kernel_type(b.graph, b.node);
  DType to = b.graph.value(b.node.outputs[0]).type.dtype;
  if (from != DType::float32 && to != DType::float32)
    return bind_plain(b);  // from one 16-bit type to the other
  bool widens = to == DType::float32;
  ElementType type = element_type(widens ? from : to);
  return [x = b.input(0), y = b.output(0), n = b.input_shape(0).elements(), k = &b.kernels,
          threads = b.threads, type, widens](const StepScalars&) {
    for_each_part(threads, n, elements_per_part, [&](int64_t i, int64_t end) {
      if (widens) {
        k->widen(type, read_at(x, type, i), write(y) + i, end - i);
      } else {
        k->narrow(type, read(x) + i, write_at(y, type, i), end - i);
      }
    });
  };
}

}  // namespace trireme::cpu
