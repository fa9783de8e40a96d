// Group normalisation (Wu and He, arXiv 1803.08494) by batch norm's kernels: sums by channel over one
// sample's positions, which are put together to the groups' sums in float64; then an affine map by channel.
// Samples are shared out among threads; what is summed over samples is summed in their order.
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "backend/cpu/binder.h"
#include "base/parallel.h"

namespace trireme::cpu {
namespace {

constexpr int64_t positions_per_part = 256;

struct Extents {
  int64_t samples, positions, channels, groups;
  int64_t width() const { return channels / groups; }
  double count() const { return static_cast<double>(positions * width()); }
  int64_t sample_elements() const { return positions * channels; }
};

Extents extents_of(const Binding& b) {
  const Shape& x = b.input_shape(0);
  return {x[0], x.elements() / x[0] / x.back(), x.back(), b.integer("groups")};
}

// By sample, `vectors` of floats by channel, and two sums by channel in float64.
struct Scratch {
  Scratch(const Extents& e, int64_t vectors)
      : channels(e.channels),
        each(vectors),
        floats(static_cast<size_t>(e.samples * vectors * e.channels)),
        sums(static_cast<size_t>(e.samples * 2 * e.channels)) {}
  float* vector(int64_t sample, int64_t which) { return floats.data() + (sample * each + which) * channels; }
  double* sum(int64_t sample, int64_t which) { return sums.data() + (sample * 2 + which) * channels; }
  int64_t channels, each;
  std::vector<float> floats;
  std::vector<double> sums;
};

// Adds up what sum_part(first position, positions, first sum, second sum) finds in float32 over parts of a
// sample.
template <class Body>
void sum_positions(const Extents& e, Scratch& scratch, int64_t sample, float* first, float* second,
                   const Body& sum_part) {
  double* a = scratch.sum(sample, 0);
  double* b = scratch.sum(sample, 1);
  std::fill(a, a + e.channels, 0.0);
  std::fill(b, b + e.channels, 0.0);
  for (int64_t p = 0; p < e.positions; p += positions_per_part) {
    sum_part(p, std::min(positions_per_part, e.positions - p), first, second);
    for (int64_t c = 0; c < e.channels; ++c) {
      a[c] += first[c];
      b[c] += second[c];
    }
  }
}

}  // namespace

Kernel bind_group_norm(const Binding& b) {
  Extents e = extents_of(b);
  auto scratch = std::make_shared<Scratch>(e, 5);
  return [=, k = &b.kernels, threads = b.threads, type = b.type(), x = b.input(0), gamma = b.input(1),
          beta = b.input(2), y = b.output(0), saved_mean = b.output(1), saved_inv_std = b.output(2),
          epsilon = b.real("epsilon")](const StepScalars&) {
    for_each_index(threads, e.samples, [&](int64_t s) {
      int64_t begin = s * e.sample_elements();
      // The first position's values lie close to the means, so that squares do not cancel.
      float* shift = scratch->vector(s, 2);
      k->widen(type, read_at(x, type, begin), shift, e.channels);
      sum_positions(e, *scratch, s, scratch->vector(s, 0), scratch->vector(s, 1),
                    [&](int64_t p, int64_t positions, float* sum, float* square) {
                      k->norm_sums(type, read_at(x, type, begin + p * e.channels), positions, e.channels,
                                   shift, sum, square);
                    });
      float* scale = scratch->vector(s, 3);
      float* offset = scratch->vector(s, 4);
      auto positions = static_cast<double>(e.positions);
      for (int64_t g = 0; g < e.groups; ++g) {
        double sum = 0, squares = 0;
        int64_t first = g * e.width(), end = first + e.width();
        for (int64_t c = first; c < end; ++c) sum += scratch->sum(s, 0)[c] + positions * double{shift[c]};
        double mean = sum / e.count();
        for (int64_t c = first; c < end; ++c) {
          double away = mean - double{shift[c]};
          squares += scratch->sum(s, 1)[c] - 2 * away * scratch->sum(s, 0)[c] + positions * away * away;
        }
        double inv_std = 1 / std::sqrt(std::max(squares, 0.0) / e.count() + epsilon);
        write(saved_mean)[s * e.groups + g] = static_cast<float>(mean);
        write(saved_inv_std)[s * e.groups + g] = static_cast<float>(inv_std);
        for (int64_t c = first; c < end; ++c) {
          scale[c] = static_cast<float>(double{read(gamma)[c]} * inv_std);
          offset[c] = static_cast<float>(double{read(beta)[c]} - mean * double{read(gamma)[c]} * inv_std);
        }
      }
      k->norm_apply(type, read_at(x, type, begin), e.positions, e.channels, scale, offset, false,
                    write_at(y, type, begin));
    });
  };
}

// With m values a group, s = sum of dy and q = sum of dy (x - mean) by channel, S and Q their sums over the
// group weighted by gamma: dx = dy gamma inv_std - (x - mean) inv_std^3 Q / m - inv_std S / m.
Kernel bind_group_norm_backward(const Binding& b) {
  Extents e = extents_of(b);
  auto scratch = std::make_shared<Scratch>(e, 6);
  return [=, k = &b.kernels, threads = b.threads, type = b.type(), dy = b.input(0), x = b.input(1),
          gamma = b.input(2), saved_mean = b.input(3), saved_inv_std = b.input(4), dx = b.output(0),
          dgamma = b.output(1), dbeta = b.output(2)](const StepScalars&) {
    for_each_index(threads, e.samples, [&](int64_t s) {
      int64_t begin = s * e.sample_elements();
      float* mean = scratch->vector(s, 2);
      float* of_dy = scratch->vector(s, 3);
      float* of_x = scratch->vector(s, 4);
      float* constant = scratch->vector(s, 5);
      for (int64_t c = 0; c < e.channels; ++c) mean[c] = read(saved_mean)[s * e.groups + c / e.width()];
      // Without relu the sums need no scale and offset of the forward map.
      sum_positions(e, *scratch, s, scratch->vector(s, 0), scratch->vector(s, 1),
                    [&](int64_t p, int64_t positions, float* sum, float* product) {
                      int64_t at = begin + p * e.channels;
                      k->norm_backward_sums(type, read_at(dy, type, at), read_at(x, type, at), positions,
                                            e.channels, mean, mean, mean, false, sum, product);
                    });
      for (int64_t g = 0; g < e.groups; ++g) {
        double sum = 0, product = 0, inv_std = read(saved_inv_std)[s * e.groups + g];
        int64_t first = g * e.width(), end = first + e.width();
        for (int64_t c = first; c < end; ++c) {
          sum += double{read(gamma)[c]} * scratch->sum(s, 0)[c];
          product += double{read(gamma)[c]} * scratch->sum(s, 1)[c];
        }
        for (int64_t c = first; c < end; ++c) {
          of_dy[c] = static_cast<float>(double{read(gamma)[c]} * inv_std);
          of_x[c] = static_cast<float>(-inv_std * inv_std * inv_std * product / e.count());
          constant[c] = static_cast<float>(-inv_std * sum / e.count());
        }
      }
      k->norm_backward_apply(type, read_at(dy, type, begin), read_at(x, type, begin), e.positions, e.channels,
                             mean, mean, mean, false, of_dy, of_x, constant, write_at(dx, type, begin));
    });
    for (int64_t c = 0; c < e.channels; ++c) {
      double gamma_sum = 0, beta_sum = 0;
      for (int64_t s = 0; s < e.samples; ++s) {
        gamma_sum += scratch->sum(s, 1)[c] * double{read(saved_inv_std)[s * e.groups + c / e.width()]};
        beta_sum += scratch->sum(s, 0)[c];
      }
      write(dgamma)[c] = static_cast<float>(gamma_sum);
      write(dbeta)[c] = static_cast<float>(beta_sum);
    }
  };
}

}  // namespace trireme::cpu
