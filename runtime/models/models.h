// Builders: a model's config becomes a forward graph. Presets (mlp, lenet, cnn) expand to a list of layers,
// and one builder turns layers into nodes, so that a preset and the same list by hand build the same graph.
#pragma once

#include <cstdint>
#include <vector>

#include "base/sample_shape.h"
#include "config/config.h"
#include "graph/graph.h"

namespace trireme {

enum class GraphMode {
  training,    // dropout, batch statistics; result "loss" (statistic)
  evaluation,  // running statistics; results "loss" and "correct": sums over the batch weighted by
               // sample_weight
};

// The preset's layers; for kind = "layers" the config's own. The classifier (a linear layer of `classes`
// units without activation) is part of the list. Throws ConfigError for a list that cannot be a classifier.
std::vector<LayerConfig> expand_layers(const ModelConfig& model, int64_t classes);

// Graph inputs: images float32 [batch, height, width, channels], labels int32 [batch]. Value names: "images",
// "labels", "logits", "loss", "correct"; parameters "<kind><n>.weight" and so on, n counted from 1 per kind.
// Throws ConfigError naming the layer when shapes do not fit.
Graph build_classifier(const ModelConfig& model, const SampleShape& sample, int64_t batch, GraphMode mode,
                       double label_smoothing = 0.0);

// The same for a run's config; its errors begin with the place of the key, "FILE:LINE:COLUMN".
Graph build_classifier(const Config& config, const SampleShape& sample, int64_t batch, GraphMode mode);

}  // namespace trireme
