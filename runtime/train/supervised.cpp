// One net that learns targets from what data sets give: classification, regression, language models.
#include <array>
#include <cmath>
#include <cstddef>

#include "data/dataset.h"
#include "train/learner.h"

namespace trireme {
namespace {

class SupervisedLearner : public Learner {
 public:
  explicit SupervisedLearner(const LearnerSetting& setting) : Learner(setting) {
    NetGraphs graphs = net_graphs(config_, sample_).front();
    nets_.push_back(std::make_unique<Net>(config_, graphs, setting.sizes, setting.communicator, *exchanger_,
                                          setting.threads));
    bind_nets({});
  }

  void evaluate(const Batch& batch, ValidationSums& sums) override {
    Executor& executor = nets_.front()->evaluation(batch.count);
    StepScalars scalars = scalars_of(batch, 0);
    scalars.sample_weight = 1;  // sums, not means
    std::array<const void*, 2> inputs{batch.features, batch.targets};
    executor.step(inputs, scalars);
    sums[0] += scalar_result(executor, 0);
    if (has_accuracy()) sums[1] += scalar_result(executor, 1);
  }

  ValidationRecord validation_record(const ValidationSums& sums, double samples) const override {
    ValidationRecord record;
    record.loss = sums[0] / samples;
    if (has_accuracy()) record.accuracy = sums[1] / samples;
    if (sample_.kind == SampleKind::text) record.perplexity = std::exp(record.loss);
    return record;
  }

 private:
  // All but regression choose among classes or tokens.
  bool has_accuracy() const { return sample_.kind == SampleKind::text || sample_.classes > 0; }

  void compute(const Batch& batch, const StepScalars& scalars) override {
    Net& net = *nets_.front();
    if (batch.count == 0) net.run_nothing({});
    Pieces pieces(batch.global_count, sharing_);
    const auto* features = static_cast<const std::byte*>(batch.features);
    const auto* targets = static_cast<const std::byte*>(batch.targets);
    for (int64_t i = 0; i < pieces.count(); ++i) {
      MicroBatch piece = pieces[i];
      if (piece.count == 0) {
        net.run_nothing(piece);
        continue;
      }
      std::array<const void*, 2> inputs{features + piece.first * features_bytes(sample_),
                                        targets + piece.first * targets_bytes(sample_)};
      net.run(inputs, piece, scalars_of_piece(scalars, piece));
    }
  }
};

}  // namespace

std::unique_ptr<Learner> make_supervised_learner(const LearnerSetting& setting) {
  return std::make_unique<SupervisedLearner>(setting);
}

}  // namespace trireme
