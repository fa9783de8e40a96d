#include "train/session.h"

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"
#include "data/sampler.h"

namespace trireme {
namespace {

std::span<const std::byte> bytes_of(const void* data, size_t bytes) {
  return {static_cast<const std::byte*>(data), bytes};
}

std::string identity_of(const ImageDataset& dataset) {
  std::string head =
      fmt::format("{} {} {} {} {}", dataset.size(), dataset.image_shape().to_string(), dataset.classes(),
                  fmt::join(dataset.mean(), " "), fmt::join(dataset.standard_deviation(), " "));
  Sha256 hash;
  hash.update(bytes_of(head.data(), head.size()));
  hash.update(bytes_of(dataset.labels().data(), dataset.labels().size_bytes()));
  return hash.hex();
}

// The validation set must look like the training set.
void check_same_kind(const ImageDataset& training, const ImageDataset& validation) {
  if (validation.size() == 0) {
    throw DataError("{}: holds no samples; leave data.validation out to train without",
                    validation.path().string());
  }
  if (training.image_shape() != validation.image_shape() || training.classes() != validation.classes()) {
    throw DataError(
        "{}: images {} of {} classes, but the training data ({}) has {} of {}: validate on data of the "
        "same shape and classes",
        validation.path().string(), validation.image_shape().to_string(), validation.classes(),
        training.path().string(), training.image_shape().to_string(), training.classes());
  }
}

uint64_t fingerprint_of_layouts(const Learner& learner) {
  std::string text;
  for (const auto& net : learner.nets()) {
    const ArenaLayout& layout = net->arenas().layout;
    for (const auto* tensors : {&layout.parameters, &layout.states, &layout.statistics}) {
      for (const ArenaTensor& tensor : *tensors) {
        text += fmt::format("{} {} {}\n", tensor.name, tensor.shape.to_string(), tensor.offset);
      }
    }
  }
  return fingerprint(text.data(), text.size());
}

}  // namespace

RunLength run_length(const Config& config, int64_t samples) {
  RunLength length;
  length.steps_per_epoch = steps_per_epoch(samples, config.data.batch);
  length.total_steps = config.train.epochs * length.steps_per_epoch;
  if (config.train.steps > 0) length.total_steps = std::min(length.total_steps, config.train.steps);
  return length;
}

SampleShape sample_shape(const ImageDataset& dataset) {
  const Shape& image = dataset.image_shape();
  return {image[0], image[1], image[2], dataset.classes()};
}

Session::Session(const Config& session_config, Communicator& session_communicator)
    : config(session_config),
      communicator(session_communicator),
      placement(place_ranks(communicator)),
      training(config.data.train, config.data.cache_bytes),
      threads(config.train.threads > 0 ? static_cast<int>(config.train.threads) : placement.threads()) {
  if (training.size() == 0) throw DataError("{}: holds no samples", training.path().string());
  if (!config.data.validation.empty()) {
    validation.emplace(config.data.validation, config.data.cache_bytes);
    check_same_kind(training, *validation);
  }
  length = run_length(config, training.size());
  dataset_identity = identity_of(training);

  std::string text = dump_config(config);
  require_agreement(communicator, "the configs", fingerprint(text.data(), text.size()));
  require_agreement(communicator, "the training data",
                    fingerprint(dataset_identity.data(), dataset_identity.size()));
  BatchSizes sizes =
      batch_sizes(config.data, config.train.micro_batches, training.size(),
                  validation ? validation->size() : 0, communicator.rank(), communicator.size());
  learner = make_learner({config, sample_shape(training), sizes, length, threads, communicator});
  require_agreement(communicator, "the arena layouts", fingerprint_of_layouts(*learner));
  require_agreement(communicator, "the starting parameters", learner->parameters_fingerprint());
}

}  // namespace trireme
