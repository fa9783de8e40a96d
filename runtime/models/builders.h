// The builders that model.cpp chooses from. Each appends to the writer's graph, from the sample's data to the
// logits (or prediction), and throws MisfitError, or GraphError for what an op's shape rule refuses.
#pragma once

#include <string>
#include <vector>

#include "models/net_writer.h"

namespace trireme {

// "images of 28 x 28 x 1 in 10 classes", for messages.
std::string describe(const SampleShape& sample);

// A chain of layers; `key` of a misfit is "model.layer[i]".
ValueId write_layers(NetWriter& net, ValueId input, const std::vector<LayerConfig>& layers,
                     const SampleShape& sample);
ValueId write_gpt(NetWriter& net, ValueId tokens, const ModelConfig& model, const SampleShape& sample);
ValueId write_resnet(NetWriter& net, ValueId images, const ModelConfig& model, int64_t classes);

}  // namespace trireme
