// Small models, batches and comparisons for tests of the passes, the executor and the backends.
#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "config/config.h"
#include "exec/compile.h"
#include "exec/executor.h"
#include "exec/initialize.h"
#include "models/models.h"

namespace trireme::test {

inline constexpr SampleShape small_sample{12, 12, 2, 5};

// A net of every kind of layer, small enough for the reference backend.
inline ModelConfig every_layer_model() {
  ModelConfig model;
  model.kind = "layers";
  auto layer = [&](std::string kind) -> LayerConfig& {
    model.layer.emplace_back();
    model.layer.back().kind = std::move(kind);
    return model.layer.back();
  };
  auto convolution = [&](int64_t channels, int64_t kernel, int64_t padding, bool bias) {
    LayerConfig& c = layer("convolution");
    c.channels = channels;
    c.kernel = kernel;
    c.stride = 1;
    c.padding = padding;
    c.bias = bias;
  };
  convolution(5, 3, 1, false);
  layer("batch_norm");
  layer("relu");
  layer("max_pool").kernel = 2;
  convolution(7, 3, 0, true);
  layer("tanh");
  layer("dropout").rate = 0.25;
  LayerConfig& pool = layer("average_pool");
  pool.kernel = 2;
  pool.stride = 2;
  layer("linear").units = 11;
  layer("sigmoid");
  layer("linear").units = small_sample.classes;
  return model;
}

inline ModelConfig preset(std::string kind) {
  ModelConfig model;
  model.kind = std::move(kind);
  model.hidden = {9, 8};
  model.channels = {4, 6};
  model.dense = 10;
  model.dropout = 0.25;
  return model;
}

// Every float32 value becomes float64: for the oracle.
inline void to_float64(Graph& graph) {
  for (Value& value : graph.values) {
    if (value.type.dtype == DType::float32) value.type.dtype = DType::float64;
  }
}

template <class T>
struct BatchOf {
  std::vector<T> images;
  std::vector<int32_t> labels;
};

template <class T>
BatchOf<T> random_batch(int64_t batch, const SampleShape& sample, uint64_t seed) {
  BatchOf<T> result;
  RandomStream stream(seed, Purpose::test);
  result.images.resize(static_cast<size_t>(batch * sample.height * sample.width * sample.channels));
  for (T& pixel : result.images) pixel = static_cast<T>(stream.normal());
  for (int64_t i = 0; i < batch; ++i) {
    result.labels.push_back(static_cast<int32_t>(stream.below(static_cast<uint32_t>(sample.classes))));
  }
  return result;
}

// A bound training program with all that it needs.
template <class T>
struct Trainer {
  Trainer(Graph forward, std::unique_ptr<Backend> chosen, uint64_t seed, const CompileOptions& options = {})
      : Trainer(compile_training(std::move(forward), options), std::move(chosen), seed) {}
  Trainer(Program program, std::unique_ptr<Backend> chosen, uint64_t seed)
      : backend(std::move(chosen)),
        arenas(program.layout, dtype_of<T>()),
        workspace(program.plan.bytes),
        executor((initialize_arenas(program.graph, seed, arenas), program), *backend, arenas, workspace) {}

  void step(const BatchOf<T>& batch, int64_t number = 0, const Executor::RangeReady& ready = {}) {
    const void* inputs[] = {batch.images.data(), batch.labels.data()};
    backend->parameters_changed();
    executor.step(inputs, {1, number, 0, 1.0 / static_cast<double>(batch.labels.size())}, ready);
  }
  T loss() const { return arenas.gradients.template as<T>()[arenas.layout.statistic("loss").offset]; }
  std::vector<T> gradients() const {
    auto all = arenas.gradients.template span<T>();
    return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(arenas.layout.gradient_elements)};
  }

  std::unique_ptr<Backend> backend;
  Arenas arenas;
  Buffer workspace;
  Executor executor;
};

// Largest difference relative to the largest magnitude of `expected`.
template <class A, class B>
double relative_difference(const A& actual, const B& expected) {
  double difference = 0;
  double scale = 1e-30;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference =
        std::max(difference, std::abs(static_cast<double>(actual[i]) - static_cast<double>(expected[i])));
    scale = std::max(scale, std::abs(static_cast<double>(expected[i])));
  }
  return difference / scale;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace trireme::test
