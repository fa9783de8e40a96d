// Embedding, layer norm, GELU and the loss over positions, by our own kernels.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "backend/cpu/binder.h"
#include "backend/cpu/sums.h"
#include "base/parallel.h"
#include "graph/index_checks.h"

namespace trireme::cpu {
namespace {

constexpr int64_t elements_per_part = 1 << 14;
constexpr int64_t rows_per_part = 128;
constexpr int64_t channels_per_group = 64;  // of an embedding's gradient

const int32_t* read_integers(void* const* slot) { return static_cast<const int32_t*>(*slot); }

// Where each token occurs, in the order of occurrence: a counting sort, made anew at every step.
struct Occurrences {
  Occurrences(int64_t tokens, int64_t vocabulary)
      : begin(static_cast<size_t>(vocabulary + 1)), next(begin.size()), places(static_cast<size_t>(tokens)) {}
  void sort(const int32_t* tokens) {
    auto vocabulary = static_cast<int32_t>(begin.size()) - 1;
    std::fill(begin.begin(), begin.end(), 0);
    auto known = [&](size_t i) { return tokens[i] >= 0 && tokens[i] < vocabulary; };
    for (size_t i = 0; i < places.size(); ++i) {
      if (known(i)) ++begin[static_cast<size_t>(tokens[i]) + 1];
    }
    for (size_t v = 1; v < begin.size(); ++v) begin[v] += begin[v - 1];
    next = begin;
    for (size_t i = 0; i < places.size(); ++i) {
      if (known(i)) places[next[static_cast<size_t>(tokens[i])]++] = i;
    }
  }
  std::vector<size_t> begin, next, places;  // places[begin[v] .. begin[v + 1]) are those of token v
};

}  // namespace

Kernel bind_embedding(const Binding& b) {
  bool positions = b.has_input(2);
  return
      [tokens = b.input(0), weight = b.input(1), position = positions ? b.input(2) : nullptr, y = b.output(0),
       length = b.input_shape(0)[1], rows = b.input_shape(0).elements(), vocabulary = b.input_shape(1)[0],
       channels = b.input_shape(1)[1], k = &b.kernels, threads = b.threads](const StepScalars& s) {
        const int32_t* token = read_integers(tokens);
        for (int64_t r = 0; r < rows; ++r) check_token(token[r], vocabulary, r / length, r % length, s);
        for_each_part(threads, rows, rows_per_part, [&](int64_t r, int64_t end) {
          for (; r < end; ++r) {
            const float* from = read(weight) + token[r] * channels;
            float* to = write(y) + r * channels;
            if (position != nullptr) {
              k->add(ElementType::float32, from, read(position) + r % length * channels, to, channels);
            } else {
              std::memcpy(to, from, static_cast<size_t>(channels) * sizeof(float));
            }
          }
        });
      };
}

Kernel bind_embedding_backward(const Binding& b) {
  const Shape& shape = b.input_shape(0);
  int64_t vocabulary = b.output_shape(0)[0];
  auto occurrences = std::make_shared<Occurrences>(shape[0] * shape[1], vocabulary);
  bool positions = b.has_output(1);
  return [=, dy = b.input(0), tokens = b.input(1), dweight = b.output(0),
          dposition = positions ? b.output(1) : nullptr, samples = shape[0], length = shape[1],
          channels = shape[2], groups = (shape[2] + channels_per_group - 1) / channels_per_group,
          extent = positions ? b.output_shape(1)[0] : 0, k = &b.kernels,
          threads = b.threads](const StepScalars&) {
    occurrences->sort(read_integers(tokens));
    auto bytes = static_cast<size_t>(channels) * sizeof(float);
    // By groups of channels and then by tokens: few tokens are most of a text, but each has all the channels.
    for_each_index(threads, groups * vocabulary, [&](int64_t i) {
      int64_t v = i % vocabulary, first = i / vocabulary * channels_per_group;
      int64_t count = std::min(channels_per_group, channels - first);
      float* to = write(dweight) + v * channels + first;
      std::memset(to, 0, static_cast<size_t>(count) * sizeof(float));
      auto token = static_cast<size_t>(v);
      for (size_t place = occurrences->begin[token]; place < occurrences->begin[token + 1]; ++place) {
        auto row = static_cast<int64_t>(occurrences->places[place]);
        k->add(ElementType::float32, to, read(dy) + row * channels + first, to, count);
      }
    });
    for_each_index(threads, extent, [&](int64_t p) {
      float* to = write(dposition) + p * channels;
      std::memset(to, 0, bytes);
      for (int64_t s = 0; p < length && s < samples; ++s) {
        k->add(ElementType::float32, to, read(dy) + (s * length + p) * channels, to, channels);
      }
    });
  };
}

Kernel bind_layer_norm(const Binding& b) {
  int64_t channels = b.input_shape(0).back();
  return [=, x = b.input(0), gamma = b.input(1), beta = b.input(2), y = b.output(0), mean = b.output(1),
          inv_std = b.output(2), rows = b.input_shape(0).elements() / channels,
          epsilon = static_cast<float>(b.real("epsilon")), k = &b.kernels,
          threads = b.threads](const StepScalars&) {
    for_each_part(threads, rows, rows_per_part, [&](int64_t r, int64_t end) {
      k->layer_norm(read(x) + r * channels, end - r, channels, read(gamma), read(beta), epsilon,
                    write(y) + r * channels, write(mean) + r, write(inv_std) + r);
    });
  };
}

// Sums over rows are made in float32 by parts and added up in float64 in a fixed order.
Kernel bind_layer_norm_backward(const Binding& b) {
  int64_t channels = b.input_shape(0).back(), rows = b.input_shape(0).elements() / channels;
  int64_t parts = (rows + rows_per_part - 1) / rows_per_part;
  auto sums = std::make_shared<std::vector<float>>(static_cast<size_t>(2 * parts * channels));
  auto totals = std::make_shared<std::vector<double>>(static_cast<size_t>(channels));
  return [=, dy = b.input(0), x = b.input(1), gamma = b.input(2), mean = b.input(3), inv_std = b.input(4),
          dx = b.output(0), dgamma = b.output(1), dbeta = b.output(2), k = &b.kernels,
          threads = b.threads](const StepScalars&) {
    for_each_part(threads, rows, rows_per_part, [&](int64_t r, int64_t end) {
      float* part = sums->data() + r / rows_per_part * 2 * channels;
      k->layer_norm_backward(read(dy) + r * channels, read(x) + r * channels, end - r, channels, read(gamma),
                             read(mean) + r, read(inv_std) + r, write(dx) + r * channels, part,
                             part + channels);
    });
    for (auto [which, to] : {std::pair{0, write(dgamma)}, std::pair{1, write(dbeta)}}) {
      add_vectors(parts, channels, sums->data() + which * channels, 2 * channels, totals->data());
      for (int64_t c = 0; c < channels; ++c) to[c] = static_cast<float>((*totals)[static_cast<size_t>(c)]);
    }
  };
}

Kernel bind_gelu(const Binding& b) {
  DType type = b.graph.value(b.node.inputs[0]).type.dtype;
  return [x = b.input(0), y = b.output(0), n = b.input_shape(0).elements(), element = element_type(type),
          size = static_cast<int64_t>(size_of(type)), by_tanh = b.integer("tanh") != 0, k = &b.kernels,
          threads = b.threads](const StepScalars&) {
    for_each_part(threads, n, elements_per_part, [&](int64_t i, int64_t end) {
      k->gelu(element, static_cast<const char*>(*x) + i * size, static_cast<char*>(*y) + i * size, end - i,
              by_tanh);
    });
  };
}

Kernel bind_gelu_backward(const Binding& b) {
  DType type = b.graph.value(b.node.inputs[0]).type.dtype;
  return [dy = b.input(0), x = b.input(1), dx = b.output(0), n = b.input_shape(0).elements(),
          element = element_type(type), size = static_cast<int64_t>(size_of(type)),
          by_tanh = b.integer("tanh") != 0, k = &b.kernels, threads = b.threads](const StepScalars&) {
    for_each_part(threads, n, elements_per_part, [&](int64_t i, int64_t end) {
      k->gelu_backward(element, static_cast<const char*>(*dy) + i * size,
                       static_cast<const char*>(*x) + i * size, static_cast<char*>(*dx) + i * size, end - i,
                       by_tanh);
    });
  };
}

Kernel bind_softmax_cross_entropy(const Binding& b) {
  const Shape& shape = b.input_shape(0);
  int64_t classes = shape.back(), rows = shape.elements() / classes;
  auto losses = std::make_shared<std::vector<double>>(static_cast<size_t>(rows));
  return [=, z = b.input(0), labels = b.input(1), loss = b.output(0), p = b.output(1),
          positions = rows / shape[0], smoothing = b.real("label_smoothing"), k = &b.kernels,
          threads = b.threads](const StepScalars& s) {
    const int32_t* label = read_integers(labels);
    for (int64_t r = 0; r < rows; ++r) check_label(label[r], classes, r / positions, s);
    for_each_part(threads, rows, rows_per_part, [&](int64_t r, int64_t end) {
      std::array<SoftmaxRow, rows_per_part> results;
      k->softmax(read(z) + r * classes, end - r, classes, write(p) + r * classes, results.data());
      for (const SoftmaxRow* row = results.data(); r < end; ++r, ++row) {
        double at_label = double{read(z)[r * classes + label[r]]} - double{row->largest};
        double mean = row->differences / static_cast<double>(classes);
        (*losses)[static_cast<size_t>(r)] =
            std::log(double{row->exponentials}) - (1 - smoothing) * at_label - smoothing * mean;
      }
    });
    double sum = 0;
    for (double of_row : *losses) sum += of_row;
    *write(loss) = static_cast<float>(sum * (s.sample_weight / static_cast<double>(positions)));
  };
}

Kernel bind_softmax_cross_entropy_backward(const Binding& b) {
  const Shape& shape = b.input_shape(0);
  int64_t classes = shape.back(), rows = shape.elements() / classes;
  return [=, p = b.input(0), labels = b.input(1), dz = b.output(0), positions = rows / shape[0],
          smoothing = b.real("label_smoothing"), k = &b.kernels, threads = b.threads](const StepScalars& s) {
    double weight = s.sample_weight / static_cast<double>(positions);
    double rest = smoothing / static_cast<double>(classes);
    const int32_t* label = read_integers(labels);
    for_each_part(threads, rows, rows_per_part, [&](int64_t r, int64_t end) {
      k->scale_and_shift(read(p) + r * classes, (end - r) * classes, static_cast<float>(weight),
                         static_cast<float>(-rest * weight), write(dz) + r * classes);
      for (; r < end; ++r) {
        int64_t at = r * classes + label[r];
        write(dz)[at] = static_cast<float>((double{read(p)[at]} - rest - (1 - smoothing)) * weight);
      }
    });
  };
}

}  // namespace trireme::cpu
