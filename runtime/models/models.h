// Builders: a run's config becomes a forward graph. Families that are a chain of layers (mlp, lenet, cnn,
// rnn, lstm) expand to a list, and one builder turns lists into nodes, so that a preset and the same list by
// hand build the same graph; families that branch (resnet, gpt, gan) have a builder each.
#pragma once

#include <cstdint>
#include <vector>

#include "base/sample_shape.h"
#include "config/config.h"
#include "graph/graph.h"

namespace trireme {

enum class GraphMode : uint8_t {
  training,    // dropout, batch statistics; result "loss" (statistic)
  evaluation,  // running statistics; the results below, sums over the batch weighted by sample_weight
};

// The forward graph of every kind of model but gan, for `batch` samples (of this rank).
//
// Inputs, in this order:
//   images  "images" float32 [N, H, W, C]  and "labels" int32 [N]
//   tables  "features" float32 [N, F]      and "labels" int32 [N], or "targets" float32 [N, K] for regression
//   text    "tokens" int32 [N, T]          and "labels" int32 [N, T], the token that follows each
// Results in training: "loss", the mean over samples (tables of regression: of the squared error, else of the
// cross entropy; over a sample's positions and values it is a mean too).
// Results in evaluation: "loss"; then, but for regression, "correct"; then "logits" ([N, classes] or
// [N, T, vocabulary]), for regression "prediction" [N, K].
//
// Parameters are named "<layer>.weight" and so on; Node::layer counts layers and blocks from the input on,
// the loss belongs to none. Throws ConfigError that begins with the key's place, "FILE:LINE:COLUMN": a kind
// that cannot learn from such data, layers that do not fit each other or the data.
Graph build_model(const Config& config, const SampleShape& sample, int64_t batch, GraphMode mode);

// The same without a file: errors begin with the key.
Graph build_model(const ModelConfig& model, const SampleShape& sample, int64_t batch, GraphMode mode,
                  double label_smoothing = 0.0);

// A gan (model.kind = "gan") has three graphs over two arenas, one for parameters "generator....", one for
// parameters "discriminator....". It is a DCGAN (Radford et al., arXiv 1511.06434) for square images whose
// side is a multiple of 4; a pixel is in [-1, 1] for both nets. Throw ConfigError as build_model does.

// Input "noise" float32 [N, latent], normal; result "images" float32 [N, H, W, C]. With running statistics:
// what makes samples once it is trained.
Graph build_generator(const Config& config, const SampleShape& sample, int64_t batch);

// What the generator learns by: input "noise", results "loss" (statistic; binary cross entropy of the
// discriminator's verdict against "real") and "images". The discriminator's parameters are of Role::frozen.
Graph build_generator_training(const Config& config, const SampleShape& sample, int64_t batch);

// What the discriminator learns by: inputs "images" (real ones, as the loader gives them) and "fakes" (the
// generator's), results "loss_real" and "loss_fake" (statistics), of which it minimises the sum.
Graph build_discriminator_training(const Config& config, const SampleShape& sample, int64_t batch);

// The layers of a model that is a chain: of kind "layers" the config's own, of mlp, lenet, cnn, rnn and lstm
// the preset's with the head (a linear layer without activation) at the end. Throws ConfigError for other
// kinds.
std::vector<LayerConfig> expand_layers(const ModelConfig& model, const SampleShape& sample);

// A linear layer's outputs that the data ask for: classes, values to predict, or distinct tokens.
int64_t head_units(const SampleShape& sample);

}  // namespace trireme
