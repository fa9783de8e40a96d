// What a checkpoint holds.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/shape.h"

namespace trireme {

// A named view of float32 memory to be saved: shape.elements() == values.size(). Names may hold '/' (HDF5
// groups).
struct NamedTensor {
  std::string name;
  Shape shape;
  std::span<const float> values;
};

// The same, to be loaded into.
struct MutableTensor {
  std::string name;
  Shape shape;
  std::span<float> values;
};

// One optimizer slot ("momentum", "first_moment"), a tensor for each parameter it goes with.
struct OptimizerSlot {
  std::string name;
  std::vector<NamedTensor> tensors;
  bool later = false;  // tensors have no values yet: they come by Saver::place()
};

struct CheckpointValidation {
  int64_t step = 0;
  int64_t epoch = 0;
  double loss = 0;
  std::optional<double> accuracy = {};  // absent where the model has no such figure, like all that follow
  std::optional<double> perplexity = {};
  std::optional<double> generator_loss = {};
  std::optional<double> discriminator_loss = {};
};

// The figures that are there, loss first: {"loss", 0.41}, {"accuracy", 0.85}, ...
std::vector<std::pair<std::string, double>> validation_figures(const CheckpointValidation& validation);
// Sets one of them by name; false for a name that is none of them.
bool set_validation_figure(CheckpointValidation& validation, const std::string& name, double value);

// Where the run was and what it was made of.
struct CheckpointRun {
  int64_t step = 0;     // steps done
  int64_t epoch = 0;    // whole epochs done
  int64_t samples = 0;  // seen, over all ranks
  uint64_t seed = 0;
  int world_size = 1;
  std::string config;                              // the resolved TOML
  std::string version;                             // of trireme
  std::string dataset_identity;                    // a hash that names the training data
  std::optional<CheckpointValidation> validation;  // the last one before
  double train_seconds = 0;                        // spent in training so far, over all starts
  std::map<std::string, double> numbers;           // further state of the run by name, for whoever saved it
};

// /parameters/<name>, /optimizer/<slot>/<name>, /state/<name> (running statistics and the like), and the run.
struct CheckpointContent {
  std::vector<NamedTensor> parameters;
  std::vector<OptimizerSlot> slots;
  std::vector<NamedTensor> states;
  CheckpointRun run;
};

}  // namespace trireme
