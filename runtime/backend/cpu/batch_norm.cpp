// Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167) over rows of channels by our own kernels. Sums
// are made in float32 over parts of a few hundred rows and added up in float64 in a fixed order, so that bits
// do not depend on the number of threads.
#include <cmath>
#include <vector>

#include "backend/cpu/binder.h"
#include "backend/cpu/parallel.h"

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
    for (int64_t c = 0; c < extents.channels; ++c) {
      double a = 0;
      double b = 0;
      for (int64_t i = 0; i < extents.parts; ++i) {
        a += part(i, 0)[c];
        b += part(i, 1)[c];
      }
      first[static_cast<size_t>(c)] = a;
      second[static_cast<size_t>(c)] = b;
    }
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

}  // namespace

Kernel bind_batch_norm(const Binding& b) {
  Extents e = extents_of(b.input_shape(0));
  auto sums = std::make_shared<Sums>(e);
  auto affine = std::make_shared<Affine>(e.channels);
  bool running = b.has_output(3);
  auto first_row = std::make_shared<std::vector<float>>(static_cast<size_t>(e.channels));
  return [=, k = &b.kernels, threads = b.threads, x = b.input(0), gamma = b.input(1), beta = b.input(2),
          y = b.output(0), saved_mean = b.output(1), saved_inv_std = b.output(2),
          batch_mean = running ? b.output(3) : nullptr, batch_variance = running ? b.output(4) : nullptr,
          epsilon = b.real("epsilon"), relu = b.integer("relu") != 0, samples = b.input_shape(0)[0],
          type = b.type()](const StepScalars& scalars) {
    float* shift = first_row->data();  // the first row: close to the mean, so that squares do not cancel
    k->widen(type, *x, shift, e.channels);
    for_row_parts(threads, e, [&](int64_t i, int64_t row, int64_t rows) {
      k->norm_sums(type, read_at(x, type, row * e.channels), rows, e.channels, shift, sums->part(i, 0),
                   sums->part(i, 1));
    });
    sums->add_up();
    auto n = static_cast<double>(e.rows);
    double share = static_cast<double>(samples) * scalars.sample_weight;
    for (int64_t c = 0; c < e.channels; ++c) {
      double shifted = sums->first[static_cast<size_t>(c)] / n;
      double variance = sums->second[static_cast<size_t>(c)] / n - shifted * shifted;
      if (variance < 0) variance = 0;
      double mean = shift[c] + shifted;
      write(saved_mean)[c] = static_cast<float>(mean);
      write(saved_inv_std)[c] = static_cast<float>(1.0 / std::sqrt(variance + epsilon));
      if (!running) continue;
      write(batch_mean)[c] = static_cast<float>(mean * share);
      write(batch_variance)[c] = static_cast<float>((e.rows > 1 ? variance * n / (n - 1) : variance) * share);
    }
    affine->set(read(gamma), read(beta), read(saved_mean), read(saved_inv_std));
    for_row_parts(threads, e, [&](int64_t, int64_t row, int64_t rows) {
      k->norm_apply(type, read_at(x, type, row * e.channels), rows, e.channels, affine->scale.data(),
                    affine->offset.data(), relu, write_at(y, type, row * e.channels));
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

// With h = (x - mean) * inv_std and m = rows:
//   dbeta = sum dz, dgamma = sum dz * h, dx = gamma * inv_std * (dz - dbeta / m - h * dgamma / m)
Kernel bind_batch_norm_backward(const Binding& b) {
  Extents e = extents_of(b.input_shape(1));
  auto sums = std::make_shared<Sums>(e);
  auto affine = std::make_shared<Affine>(e.channels);
  auto factors = std::make_shared<std::vector<float>>(static_cast<size_t>(3 * e.channels));
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
    float* a = factors->data();
    float* slope = a + e.channels;
    float* constant = slope + e.channels;
    auto n = static_cast<double>(e.rows);
    for (int64_t c = 0; c < e.channels; ++c) {
      double inv_std = read(saved_inv_std)[c];
      double sum_dz = sums->first[static_cast<size_t>(c)];
      double sum_dz_h = sums->second[static_cast<size_t>(c)] * inv_std;
      double factor = read(gamma)[c] * inv_std;
      write(dbeta)[c] = static_cast<float>(sum_dz);
      write(dgamma)[c] = static_cast<float>(sum_dz_h);
      a[c] = static_cast<float>(factor);
      slope[c] = static_cast<float>(-factor * inv_std * sum_dz_h / n);
      constant[c] = static_cast<float>(-factor * sum_dz / n);
    }
    for_row_parts(threads, e, [&](int64_t, int64_t row, int64_t rows) {
      k->norm_backward_apply(type, read_at(dy, type, row * e.channels), read_at(x, type, row * e.channels),
                             rows, e.channels, mean, scale, offset, relu, a, slope, constant,
                             write_at(dx, type, row * e.channels));
    });
  };
}

}  // namespace trireme::cpu
