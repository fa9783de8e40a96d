// The nets that the benches measure: the shipped presets on Fashion-MNIST's shape.
#pragma once

#include <string>

#include "models/models.h"

namespace trireme::bench {

inline constexpr SampleShape fashion{28, 28, 1, 10};

inline Graph training_graph(const std::string& kind, int64_t batch) {
  ModelConfig model;
  model.kind = kind;
  return build_model(model, fashion, batch, GraphMode::training);
}

}  // namespace trireme::bench
