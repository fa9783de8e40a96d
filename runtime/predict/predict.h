// Predictions for a data set, by all ranks: scores, and what was predicted in an HDF5 file.
//
// The data set is cut into blocks of data.validation_batch samples; rank r takes blocks r, r + ranks, ... and
// after each round rank 0 writes what all have found. So a sample is always computed in the same company, and
// the file does not depend on the number of ranks (given the same train.threads).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "config/config.h"

namespace trireme {

struct PredictOptions {
  std::filesystem::path run_directory;
  std::filesystem::path data;                         // empty: the run's validation data
  std::filesystem::path output;                       // HDF5, replaced when whole
  std::function<void(const std::string&)> warn = {};  // rank 0
};

// The same on all ranks, but for times.
struct PredictScores {
  int64_t samples = 0;
  int64_t step = 0;                  // of the checkpoint
  double loss = 0;                   // mean over samples
  std::optional<double> accuracy;    // classes; text: of the next token
  std::optional<double> perplexity;  // text
  double seconds = 0;                // of everything: reading, predicting, writing the file
  // How fast this rank's forward passes were, with their results turned into rows; making the programs,
  // waiting for data and for other ranks, and writing are left out. 0 where the rank had no block.
  double forward_samples_per_second = 0;
  std::string data;  // the file
};

// Writes, by what is learned, one row a sample:
//   classes     /predictions int32 (N), /probabilities float32 (N, classes); attribute class_names where the
//   data name them regression  /predictions float32 (N, K) text        /loss and /perplexity float32 (N): a
//   sample is sequence_length tokens, the loss their mean, in nats
// and on the root the attributes data, checkpoint_step, loss and accuracy or perplexity. Collective.
// Throws like Network and open_datasets; UsageError when there is no data to predict for, or the model is a
// gan; IoError.
PredictScores predict(const Config& config, Communicator& communicator, const PredictOptions& options);

}  // namespace trireme
