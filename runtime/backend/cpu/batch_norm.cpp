// Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167) over rows of channels by our own kernels. Sums
// are made in float32 over parts of a few hundred rows and added up in float64 in a fixed order, so that bits
// do not depend on the number of threads.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "backend/cpu/binder.h"
#include "backend/cpu/pooling.h"
#include "backend/cpu/sums.h"
#include "base/buffer.h"
#include "base/parallel.h"

namespace trireme::cpu {
namespace {

constexpr int64_t rows_per_part = 256;

struct Extents {
  int64_t rows, channels, parts;
};

Extents extents_of(const Shape& shape) {
  int64_t channels = shape.back();
  int64_t rows = shape.elements() / channels;
  return {rows, channels, (rows + rows_per_part - 1) / rows_per_part};
}

// Two sums per channel: parts in float32, totals in float64.
struct Sums {
  explicit Sums(const Extents& e) : extents(e), parts(static_cast<size_t>(2 * e.parts * e.channels)) {
    first.resize(static_cast<size_t>(e.channels));
    second.resize(static_cast<size_t>(e.channels));
  }
  float* part(int64_t index, int which) { return parts.data() + (2 * index + which) * extents.channels; }
  void add_up() {
    add_vectors(extents.parts, extents.channels, part(0, 0), 2 * extents.channels, first.data());
    add_vectors(extents.parts, extents.channels, part(0, 1), 2 * extents.channels, second.data());
  }
  Extents extents;
  std::vector<float> parts;
  std::vector<double> first, second;
};

template <class Body>
void for_row_parts(int threads, const Extents& e, const Body& body) {
  for_each_index(threads, e.parts, [&](int64_t i) {
    int64_t begin = i * rows_per_part;
    int64_t end = begin + rows_per_part < e.rows ? begin + rows_per_part : e.rows;
    body(i, begin, end - begin);
  });
}

// y = x * scale + offset, per channel.
struct Affine {
  explicit Affine(int64_t channels)
      : scale(static_cast<size_t>(channels)), offset(static_cast<size_t>(channels)) {}
  std::vector<float> scale, offset;
  void set(const float* gamma, const float* beta, const float* mean, const float* inv_std) {
    for (size_t c = 0; c < scale.size(); ++c) {
      scale[c] = gamma[c] * inv_std[c];
      offset[c] = beta[c] - mean[c] * scale[c];
    }
  }
};

inline void* element_at(void* first, ElementType type, int64_t index) {
  return static_cast<std::byte*>(first) + index * (type == ElementType::float32 ? 4 : 2);
}

// Room for `elements` floats of each thread's own.
class ImageScratch {
 public:
  ImageScratch(int threads, int64_t elements)
      : bytes_((static_cast<size_t>(elements) * sizeof(float) + Buffer::alignment - 1) / Buffer::alignment *
               Buffer::alignment),
        memory_(bytes_ * static_cast<size_t>(threads)) {}
  void* of_this_thread() { return memory_.data() + bytes_ * static_cast<size_t>(this_thread()); }

 private:
  size_t bytes_;
  Buffer memory_;
};

// The batch's statistics and the map that follows from them, of a node whose outputs from `first_output` on
// are saved mean, saved inverse deviation and, with running ones, what moves them.
class Statistics {
 public:
  Statistics(const Binding& b, size_t first_output)
      : extents_(extents_of(b.input_shape(0))),
        sums_(extents_),
        affine_(extents_.channels),
        shift_(static_cast<size_t>(extents_.channels)),
        kernels_(b.kernels),
        threads_(b.threads),
        type_(b.type()),
        samples_(static_cast<double>(b.input_shape(0)[0])),
        epsilon_(b.real("epsilon")),
        x_(b.input(0)),
        gamma_(b.input(1)),
        beta_(b.input(2)),
        saved_mean_(b.output(first_output)),
        saved_inv_std_(b.output(first_output + 1)) {
    if (!b.has_output(first_output + 2)) return;
    batch_mean_ = b.output(first_output + 2);
    batch_variance_ = b.output(first_output + 3);
  }

  void take(const StepScalars& scalars) {
    const Extents& e = extents_;
    float* shift = shift_.data();  // the first row: close to the mean, so that squares do not cancel
    kernels_.widen(type_, *x_, shift, e.channels);
    for_row_parts(threads_, e, [&](int64_t i, int64_t row, int64_t rows) {
      kernels_.norm_sums(type_, read_at(x_, type_, row * e.channels), rows, e.channels, shift,
                         sums_.part(i, 0), sums_.part(i, 1));
    });
    sums_.add_up();
    auto n = static_cast<double>(e.rows);
    double share = samples_ * scalars.sample_weight;
    for (int64_t c = 0; c < e.channels; ++c) {
      double shifted = sums_.first[static_cast<size_t>(c)] / n;
      double variance = sums_.second[static_cast<size_t>(c)] / n - shifted * shifted;
      if (variance < 0) variance = 0;
      double mean = shift[c] + shifted;
      write(saved_mean_)[c] = static_cast<float>(mean);
      write(saved_inv_std_)[c] = static_cast<float>(1.0 / std::sqrt(variance + epsilon_));
      if (batch_mean_ == nullptr) continue;
      write(batch_mean_)[c] = static_cast<float>(mean * share);
      write(batch_variance_)[c] =
          static_cast<float>((e.rows > 1 ? variance * n / (n - 1) : variance) * share);
    }
    affine_.set(read(gamma_), read(beta_), read(saved_mean_), read(saved_inv_std_));
  }

  const Extents& extents() const { return extents_; }
  const float* scale() const { return affine_.scale.data(); }
  const float* offset() const { return affine_.offset.data(); }

 private:
  Extents extents_;
  Sums sums_;
  Affine affine_;
  std::vector<float> shift_;
  const KernelSet& kernels_;
  int threads_;
  ElementType type_;
  double samples_, epsilon_;
  void *const *x_, *const *gamma_, *const *beta_, *const *saved_mean_, *const *saved_inv_std_;
  void* const* batch_mean_ = nullptr;
  void* const* batch_variance_ = nullptr;
};

// With h = (x - mean) * inv_std and m = rows:
//   dbeta = sum dz, dgamma = sum dz * h, dx = gamma * inv_std * (dz - dbeta / m - h * dgamma / m)
// The sums are of dz and dz * (x - mean); dx = a dz + slope (x - mean) + constant.
struct BackwardFactors {
  explicit BackwardFactors(int64_t channels)
      : a(static_cast<size_t>(channels)), slope(a.size()), constant(a.size()) {}
  void set(const Sums& sums, const float* gamma, const float* inv_stds, float* dgamma, float* dbeta) {
    auto n = static_cast<double>(sums.extents.rows);
    for (size_t c = 0; c < a.size(); ++c) {
      double inv_std = inv_stds[c];
      double sum_dz = sums.first[c];
      double sum_dz_h = sums.second[c] * inv_std;
      double factor = gamma[c] * inv_std;
      dbeta[c] = static_cast<float>(sum_dz);
      dgamma[c] = static_cast<float>(sum_dz_h);
      a[c] = static_cast<float>(factor);
      slope[c] = static_cast<float>(-factor * inv_std * sum_dz_h / n);
      constant[c] = static_cast<float>(-factor * sum_dz / n);
    }
  }
  std::vector<float> a, slope, constant;
};

}  // namespace

Kernel bind_batch_norm(const Binding& b) {
  auto statistics = std::make_shared<Statistics>(b, 1);
  return [=, k = &b.kernels, threads = b.threads, x = b.input(0), y = b.output(0),
          relu = b.integer("relu") != 0, type = b.type()](const StepScalars& scalars) {
    statistics->take(scalars);
    const Extents& e = statistics->extents();
    for_row_parts(threads, e, [&](int64_t, int64_t row, int64_t rows) {
      k->norm_apply(type, read_at(x, type, row * e.channels), rows, e.channels, statistics->scale(),
                    statistics->offset(), relu, write_at(y, type, row * e.channels));
    });
  };
}

Kernel bind_batch_norm_inference(const Binding& b) {
  Extents e = extents_of(b.input_shape(0));
  auto affine = std::make_shared<Affine>(e.channels);
  auto inv_std = std::make_shared<std::vector<float>>(static_cast<size_t>(e.channels));
  return [=, k = &b.kernels, threads = b.threads, x = b.input(0), gamma = b.input(1), beta = b.input(2),
          mean = b.input(3), variance = b.input(4), y = b.output(0), epsilon = b.real("epsilon"),
          relu = b.integer("relu") != 0, type = b.type()](const StepScalars&) {
    for (size_t c = 0; c < inv_std->size(); ++c) {
      (*inv_std)[c] = static_cast<float>(1.0 / std::sqrt(read(variance)[c] + epsilon));
    }
    affine->set(read(gamma), read(beta), read(mean), inv_std->data());
    for_row_parts(threads, e, [&](int64_t, int64_t row, int64_t rows) {
      k->norm_apply(type, read_at(x, type, row * e.channels), rows, e.channels, affine->scale.data(),
                    affine->offset.data(), relu, write_at(y, type, row * e.channels));
    });
  };
}

Kernel bind_batch_norm_backward(const Binding& b) {
  Extents e = extents_of(b.input_shape(1));
  auto sums = std::make_shared<Sums>(e);
  auto affine = std::make_shared<Affine>(e.channels);
  auto factors = std::make_shared<BackwardFactors>(e.channels);
  return [=, k = &b.kernels, threads = b.threads, dy = b.input(0), x = b.input(1), gamma = b.input(2),
          beta = b.input(3), saved_mean = b.input(4), saved_inv_std = b.input(5), dx = b.output(0),
          dgamma = b.output(1), dbeta = b.output(2), relu = b.integer("relu") != 0,
          type = b.type()](const StepScalars&) {
    const float* mean = read(saved_mean);
    affine->set(read(gamma), read(beta), mean, read(saved_inv_std));
    const float* scale = affine->scale.data();
    const float* offset = affine->offset.data();
    for_row_parts(threads, e, [&](int64_t i, int64_t row, int64_t rows) {
      k->norm_backward_sums(type, read_at(dy, type, row * e.channels), read_at(x, type, row * e.channels),
                            rows, e.channels, mean, scale, offset, relu, sums->part(i, 0), sums->part(i, 1));
    });
    sums->add_up();
    factors->set(*sums, read(gamma), read(saved_inv_std), write(dgamma), write(dbeta));
    for_row_parts(threads, e, [&](int64_t, int64_t row, int64_t rows) {
      k->norm_backward_apply(type, read_at(dy, type, row * e.channels), read_at(x, type, row * e.channels),
                             rows, e.channels, mean, scale, offset, relu, factors->a.data(),
                             factors->slope.data(), factors->constant.data(),
                             write_at(dx, type, row * e.channels));
    });
  };
}

// An image at a time: it is normalised into a thread's scratch, which its caches hold, and pooled from there.
Kernel bind_batch_norm_max_pool(const Binding& b) {
  const Shape& in = b.input_shape(0);
  const Shape& out = b.output_shape(0);
  auto geometry = pool_geometry<MaxPoolTask>(b, in, out);
  auto statistics = std::make_shared<Statistics>(b, 2);
  int64_t size = elements_per_image(in), pooled = elements_per_image(out);
  auto scratch = std::make_shared<ImageScratch>(b.threads, size);
  return [=, k = &b.kernels, threads = b.threads, x = b.input(0), y = b.output(0), argmax = b.output(1),
          images = in[0], type = b.type()](const StepScalars& scalars) {
    statistics->take(scalars);
    int64_t channels = geometry.channels;
    for_each_index(threads, images, [&](int64_t i) {
      void* image = scratch->of_this_thread();
      k->norm_apply(type, read_at(x, type, i * size), size / channels, channels, statistics->scale(),
                    statistics->offset(), false, image);
      MaxPoolTask task = geometry;
      task.x = image;
      task.y = write_at(y, type, i * pooled);
      task.argmax = static_cast<uint8_t*>(*argmax) + i * pooled;
      k->max_pool(task);
      k->relu(type, task.y, task.y, pooled);
    });
  };
}

namespace {

// 2x2 windows that cover the image, the common case: by kernels that hold the gradient before pooling in
// registers.
bool halves_whole_images(const Binding& b, const Shape& in, const Shape& out) {
  return b.integer("kernel") == 2 && b.integer("stride") == 2 && b.integer("padding") == 0 &&
         in[1] == 2 * out[1] && in[2] == 2 * out[2];
}

Kernel bind_halving_backward(const Binding& b) {
  const Shape& in = b.input_shape(3);
  const Shape& out = b.input_shape(0);
  int64_t size = elements_per_image(in), pooled = elements_per_image(out), channels = in[3];
  auto sums = std::make_shared<Sums>(Extents{in.elements() / channels, channels, in[0]});
  auto factors = std::make_shared<BackwardFactors>(channels);
  return [=, k = &b.kernels, threads = b.threads, dy = b.input(0), y = b.input(1), argmax = b.input(2),
          x = b.input(3), gamma = b.input(4), saved_mean = b.input(5), saved_inv_std = b.input(6),
          dx = b.output(0), dgamma = b.output(1), dbeta = b.output(2), images = in[0], out_height = out[1],
          out_width = out[2], type = b.type()](const StepScalars&) {
    auto task_of = [&](int64_t i) {
      NormPoolBackwardTask task{};
      task.dy = read_at(dy, type, i * pooled);
      task.y = read_at(y, type, i * pooled);
      task.argmax = static_cast<const uint8_t*>(*argmax) + i * pooled;
      task.x = read_at(x, type, i * size);
      task.dx = write_at(dx, type, i * size);
      task.out_height = out_height;
      task.out_width = out_width;
      task.channels = channels;
      task.type = type;
      task.mean = read(saved_mean);
      task.a = factors->a.data();
      task.slope = factors->slope.data();
      task.constant = factors->constant.data();
      task.sum_dz = sums->part(i, 0);
      task.sum_dz_x = sums->part(i, 1);
      return task;
    };
    for_each_index(threads, images, [&](int64_t i) { k->norm_pool_backward_sums(task_of(i)); });
    sums->add_up();
    factors->set(*sums, read(gamma), read(saved_inv_std), write(dgamma), write(dbeta));
    for_each_index(threads, images, [&](int64_t i) { k->norm_pool_backward_apply(task_of(i)); });
  };
}

}  // namespace

// The gradient of an image before pooling is made in scratch, twice: for the sums, and for dx.
Kernel bind_batch_norm_max_pool_backward(const Binding& b) {
  // Windows that overlap add up, which 16 bits would round at every window.
  bool overlap = b.integer("stride") < b.integer("kernel");
  if (overlap && b.type() != ElementType::float32) {
    return bind_through_float(b, bind_batch_norm_max_pool_backward);
  }
  const Shape& in = b.input_shape(3);
  const Shape& out = b.input_shape(0);
  if (halves_whole_images(b, in, out)) return bind_halving_backward(b);
  auto geometry = pool_geometry<MaxPoolBackwardTask>(b, in, out);
  int64_t size = elements_per_image(in), pooled = elements_per_image(out), channels = in[3];
  int64_t pixels = size / channels, image_parts = (pixels + rows_per_part - 1) / rows_per_part;
  auto sums = std::make_shared<Sums>(Extents{in[0] * pixels, channels, in[0] * image_parts});
  auto factors = std::make_shared<BackwardFactors>(channels);
  auto scratch = std::make_shared<ImageScratch>(b.threads, size + pooled);
  return [=, k = &b.kernels, threads = b.threads, dy = b.input(0), y = b.input(1), argmax = b.input(2),
          x = b.input(3), gamma = b.input(4), saved_mean = b.input(5), saved_inv_std = b.input(6),
          dx = b.output(0), dgamma = b.output(1), dbeta = b.output(2), images = in[0],
          type = b.type()](const StepScalars&) {
    auto unpooled = [&](int64_t i) {
      void* image = scratch->of_this_thread();
      MaxPoolBackwardTask task = geometry;
      void* masked = element_at(image, type, size);
      k->relu_backward(type, read_at(dy, type, i * pooled), read_at(y, type, i * pooled), masked, pooled);
      task.dy = masked;
      task.argmax = static_cast<const uint8_t*>(*argmax) + i * pooled;
      task.dx = image;
      k->max_pool_backward(task);
      return image;
    };
    const float* mean = read(saved_mean);  // without a relu of batch norm's own no scale and offset are read
    for_each_index(threads, images, [&](int64_t i) {
      void* dz = unpooled(i);
      for (int64_t part = 0; part < image_parts; ++part) {
        int64_t row = part * rows_per_part, rows = std::min(rows_per_part, pixels - row);
        int64_t index = i * image_parts + part;
        k->norm_backward_sums(type, element_at(dz, type, row * channels),
                              read_at(x, type, i * size + row * channels), rows, channels, mean, mean, mean,
                              false, sums->part(index, 0), sums->part(index, 1));
      }
    });
    sums->add_up();
    factors->set(*sums, read(gamma), read(saved_inv_std), write(dgamma), write(dbeta));
    for_each_index(threads, images, [&](int64_t i) {
      k->norm_backward_apply(type, unpooled(i), read_at(x, type, i * size), pixels, channels, mean, mean,
                             mean, false, factors->a.data(), factors->slope.data(), factors->constant.data(),
                             write_at(dx, type, i * size));
    });
  };
}

}  // namespace trireme::cpu
