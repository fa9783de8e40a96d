// The builders that model.cpp chooses from. Each appends to the writer's graph, from the sample's data to the
// logits (or prediction), and throws MisfitError, or GraphError for what an op's shape rule refuses.
#pragma once

#include "models/net_writer.h"

namespace trireme {

// A chain of layers; `key` of a misfit is "model.layer[i]".
ValueId write_layers(NetWriter& net, ValueId input, const std::vector<LayerConfig>& layers);
ValueId write_resnet(NetWriter& net, ValueId images, const ModelConfig& model, int64_t classes);

}  // namespace trireme
