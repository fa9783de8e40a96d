// The nets that the benches measure: the shipped presets on Fashion-MNIST's shape, or on 128 of 96
// characters; "cnn4" is the cnn of 32-32-64-64 channels.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "models/models.h"

namespace trireme::bench {

inline constexpr SampleShape fashion{28, 28, 1, 10};

inline SampleShape sample_of(const std::string& kind) {
  if (kind != "gpt" && kind != "lstm" && kind != "rnn") return fashion;
  SampleShape text;
  text.kind = SampleKind::text;
  text.length = 128;
  text.vocabulary = 96;
  return text;
}

inline Graph net_graph(const std::string& kind, int64_t batch, GraphMode mode) {
  ModelConfig model;
  model.kind = kind;
  if (kind == "cnn4") {
    model.kind = "cnn";
    model.channels = {32, 32, 64, 64};
  }
  return build_model(model, sample_of(kind), batch, mode);
}
inline Graph training_graph(const std::string& kind, int64_t batch) {
  return net_graph(kind, batch, GraphMode::training);
}

// Memory for a graph's inputs: floats in [0, 1), classes and tokens below 10.
struct Inputs {
  explicit Inputs(const Graph& graph) {
    for (ValueId id : graph.inputs) {
      const TensorType& type = graph.value(id).type;
      memory.emplace_back(type.bytes());
      addresses.push_back(memory.back().data());
      for (size_t i = 0; i < static_cast<size_t>(type.shape.elements()); ++i) {
        if (type.dtype == DType::int32) {
          memory.back().as<int32_t>()[i] = static_cast<int32_t>(i * i % 10);
        } else {
          memory.back().as<float>()[i] = static_cast<float>(i % 255) / 255.0f;
        }
      }
    }
  }
  std::deque<Buffer> memory;
  std::vector<const void*> addresses;
};

}  // namespace trireme::bench
