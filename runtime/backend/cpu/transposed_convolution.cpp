// Transposed convolution: the library's gradient of a convolution's data, and a bias behind it.
#include <algorithm>
#include <memory>
#include <vector>

#include "backend/cpu/binder.h"
#include "base/parallel.h"

namespace trireme::cpu {
namespace {

constexpr int64_t rows_per_part = 256;

}  // namespace

Kernel bind_transposed_convolution(const Binding& b) {
  Kernel product = bind_convolution_backward_data(b);
  if (!b.has_input(2)) return product;
  int64_t channels = b.output_shape(0).back();
  auto ones = std::make_shared<std::vector<float>>(static_cast<size_t>(channels), 1.0f);
  return [=, k = &b.kernels, threads = b.threads, bias = b.input(2), y = b.output(0), type = b.type(),
          rows = b.output_shape(0).elements() / channels](const StepScalars& scalars) {
    product(scalars);
    for_each_part(threads, rows, rows_per_part, [&](int64_t row, int64_t end) {
      void* at = write_at(y, type, row * channels);
      k->norm_apply(type, at, end - row, channels, ones->data(), read(bias), false, at);
    });
  };
}

// Sums in float32 over parts of rows, added up in float64 in the order of the parts.
Kernel bind_bias_backward(const Binding& b) {
  int64_t channels = b.output_shape(0)[0], rows = b.input_shape(0).elements() / channels;
  int64_t parts = (rows + rows_per_part - 1) / rows_per_part;
  // norm_sums from zero; its sums of squares go unused.
  auto zeros = std::make_shared<std::vector<float>>(static_cast<size_t>(channels));
  auto sums = std::make_shared<std::vector<float>>(static_cast<size_t>(2 * parts * channels));
  return [=, k = &b.kernels, threads = b.threads, dy = b.input(0), db = b.output(0),
          type = b.type()](const StepScalars&) {
    for_each_index(threads, parts, [&](int64_t i) {
      float* sum = sums->data() + 2 * i * channels;
      k->norm_sums(type, read_at(dy, type, i * rows_per_part * channels),
                   std::min(rows_per_part, rows - i * rows_per_part), channels, zeros->data(), sum,
                   sum + channels);
    });
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < parts; ++i) sum += (*sums)[static_cast<size_t>(2 * i * channels + c)];
      write(db)[c] = static_cast<float>(sum);
    }
  };
}

}  // namespace trireme::cpu
