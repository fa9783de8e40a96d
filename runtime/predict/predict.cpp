#include "predict/predict.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <future>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/dataset.h"
#include "predict/network.h"
#include "predict/prediction_file.h"

namespace trireme {
namespace {

// What is predicted for, and the training data, by which it is read.
Datasets open_data(const Config& config, const PredictOptions& options) {
  Datasets data = open_datasets(config.data);
  if (!options.data.empty()) {
    data.validation = open_dataset(options.data, config.data, data.training.get());
  }
  if (!data.validation) {
    throw UsageError(
        "the config names no validation data (data.validation, data.validation_fraction); name a data "
        "set with --data");
  }
  if (data.validation->sample_shape() != data.training->sample_shape()) {
    throw DataError("{}: its samples ({}) are not of the shape that the model was trained on ({}: {})",
                    data.validation->path().string(), data.validation->description(),
                    data.training->path().string(), data.training->description());
  }
  return data;
}

struct Block {
  int64_t first = 0, count = 0;
  std::vector<std::byte> features, targets;
};

// Reads block after block in a thread of its own, one ahead.
class BlockReader {
 public:
  BlockReader(const Dataset& dataset, int64_t block_size, int64_t first_block, int64_t stride)
      : dataset_(dataset), block_size_(block_size), stride_(stride), next_(first_block) {
    ahead_ = begin();
  }
  // A block of no samples past the end.
  Block next() {
    Block block = ahead_.get();
    next_ += stride_;
    ahead_ = begin();
    return block;
  }

 private:
  std::future<Block> begin() const {
    return std::async(std::launch::async, [&dataset = dataset_, size = block_size_, number = next_] {
      Block block;
      block.first = std::min(number * size, dataset.size());
      block.count = std::min(size, dataset.size() - block.first);
      std::vector<int64_t> samples(static_cast<size_t>(block.count));
      std::iota(samples.begin(), samples.end(), block.first);
      block.features.resize(static_cast<size_t>(block.count * features_bytes(dataset.sample_shape())));
      block.targets.resize(static_cast<size_t>(block.count * targets_bytes(dataset.sample_shape())));
      if (block.count > 0) dataset.write({}, samples, block.features.data(), block.targets.data());
      return block;
    });
  }

  const Dataset& dataset_;
  int64_t block_size_, stride_, next_;
  std::future<Block> ahead_;
};

// log(sum of exp) of `count` values, in double.
double log_sum_exp(const float* values, int64_t count) {
  double largest = *std::max_element(values, values + count), sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(static_cast<double>(values[i]) - largest);
  return largest + std::log(sum);
}

// From the model's last result to what is stored of each sample.
void fill_rows(const SampleShape& sample, const Block& block, const std::vector<float>& result,
               std::vector<float>& rows) {
  if (sample.kind == SampleKind::text) {
    const auto* targets = reinterpret_cast<const int32_t*>(block.targets.data());
    for (int64_t i = 0; i < block.count; ++i) {
      double sum = 0;
      for (int64_t t = i * sample.length; t < (i + 1) * sample.length; ++t) {
        const float* logits = result.data() + t * sample.vocabulary;
        sum += log_sum_exp(logits, sample.vocabulary) - logits[targets[t]];
      }
      rows[static_cast<size_t>(i)] = static_cast<float>(sum / static_cast<double>(sample.length));
    }
    return;
  }
  if (sample.classes == 0) {
    std::copy(result.begin(), result.end(), rows.begin());
    return;
  }
  for (int64_t i = 0; i < block.count; ++i) {
    const float* logits = result.data() + i * sample.classes;
    double total = log_sum_exp(logits, sample.classes);
    for (int64_t c = 0; c < sample.classes; ++c) {
      rows[static_cast<size_t>(i * sample.classes + c)] = static_cast<float>(std::exp(logits[c] - total));
    }
  }
}

// What a rank tells of its block beside the rows.
using BlockSums = std::array<double, 3>;  // samples, loss, correct

class Prediction {
 public:
  Prediction(const Config& config, Communicator& communicator, const PredictOptions& options)
      : config_(config),
        communicator_(communicator),
        data_(open_data(config, options)),
        sample_(data_.training->sample_shape()),
        network_(config, sample_, options.run_directory, communicator),
        options_(options) {}

  PredictScores go() {
    auto start = std::chrono::steady_clock::now();
    const Dataset& dataset = *data_.validation;
    const int64_t size = std::min(config_.data.validation_batch, dataset.size());
    const int64_t blocks = (dataset.size() + size - 1) / size, ranks = communicator_.size();
    const bool zero = communicator_.rank() == 0;
    if (zero && options_.warn) {
      for (const std::string& warning : network_.warnings()) options_.warn(warning);
    }
    std::unique_ptr<PredictionFile> file;
    if (zero) file = std::make_unique<PredictionFile>(options_.output, sample_, dataset.size());

    BlockReader reader(dataset, size, communicator_.rank(), ranks);
    const auto width = static_cast<size_t>(row_width(sample_));
    const size_t block_values = static_cast<size_t>(size) * width;
    std::vector<float> rows(block_values), all_rows(block_values * static_cast<size_t>(ranks));
    std::vector<BlockSums> all_sums(static_cast<size_t>(ranks));
    PredictScores scores;
    double loss = 0, correct = 0;
    for (int64_t round = 0; round * ranks < blocks; ++round) {
      BlockSums sums = run_block(reader.next(), rows);
      communicator_.all_gather(sums.data(), sums.size(), DType::float64, all_sums.data());
      communicator_.all_gather(rows.data(), rows.size(), DType::float32, all_rows.data());
      // In the order of the blocks: the same sums whatever the number of ranks.
      for (int64_t rank = 0; rank < ranks; ++rank) {
        const BlockSums& one = all_sums[static_cast<size_t>(rank)];
        auto count = static_cast<int64_t>(one[0]);
        if (file && count > 0) {
          file->write(scores.samples, count,
                      std::span(all_rows).subspan(static_cast<size_t>(rank) * block_values,
                                                  static_cast<size_t>(count) * width));
        }
        scores.samples += count;
        loss += one[1];
        correct += one[2];
      }
    }
    auto samples = static_cast<double>(scores.samples);
    scores.loss = loss / samples;
    if (has_classes()) scores.accuracy = correct / samples;
    if (sample_.kind == SampleKind::text) scores.perplexity = std::exp(scores.loss);
    scores.step = network_.run().step;
    scores.data = dataset.path().string();
    if (file) finish(*file, scores);
    if (forward_.count() > 0) {
      scores.forward_samples_per_second = static_cast<double>(forward_samples_) / forward_.count();
    }
    scores.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return scores;
  }

 private:
  bool has_classes() const { return sample_.kind == SampleKind::text || sample_.classes > 0; }

  BlockSums run_block(const Block& block, std::vector<float>& rows) {
    if (block.count == 0) return {};
    Executor& executor = network_.program(block.count);
    auto start = std::chrono::steady_clock::now();
    StepScalars scalars;
    scalars.seed = static_cast<uint64_t>(config_.run.seed);
    scalars.step = network_.run().step;
    scalars.first_sample = block.first;
    scalars.sample_weight = 1;  // sums, not means
    std::array<const void*, 2> inputs{block.features.data(), block.targets.data()};
    executor.step(inputs, scalars);
    read_result(executor, -1, result_);
    fill_rows(sample_, block, result_, rows);
    BlockSums sums{static_cast<double>(block.count), 0, 0};
    read_result(executor, 0, result_);
    sums[1] = result_[0];
    if (has_classes()) {
      read_result(executor, 1, result_);
      sums[2] = result_[0];
    }
    forward_ += std::chrono::steady_clock::now() - start;
    forward_samples_ += block.count;
    return sums;
  }

  void finish(PredictionFile& file, const PredictScores& scores) const {
    h5::write_attribute(file.file(), "data", scores.data);
    h5::write_attribute(file.file(), "checkpoint_step", scores.step);
    h5::write_attribute(file.file(), "loss", scores.loss);
    if (scores.accuracy) h5::write_attribute(file.file(), "accuracy", *scores.accuracy);
    if (scores.perplexity) h5::write_attribute(file.file(), "perplexity", *scores.perplexity);
    file.commit();
  }

  const Config& config_;
  Communicator& communicator_;
  Datasets data_;
  SampleShape sample_;
  Network network_;
  const PredictOptions& options_;
  std::vector<float> result_;
  std::chrono::duration<double> forward_{0};
  int64_t forward_samples_ = 0;
};

}  // namespace

PredictScores predict(const Config& config, Communicator& communicator, const PredictOptions& options) {
  if (config.model.kind == "gan") {
    throw UsageError("a gan predicts nothing of a data set; it makes images: --samples N --sheet FILE.png");
  }
  return Prediction(config, communicator, options).go();
}

}  // namespace trireme
