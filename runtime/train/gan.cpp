// A generator and a discriminator that learn against each other (Goodfellow et al., "Generative adversarial
// nets", 2014; as a DCGAN, Radford et al., 2016). A step, with the discriminator as it was before:
//
// 1. The generator's program makes images from noise and is told by the frozen discriminator how real they
// look.
// 2. Those images are the fakes of the discriminator's program, beside the real batch.
// 3. Both exchange; where both losses are numbers both nets are updated, each by its own optimizer.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"
#include "train/learner.h"
#include "train/noise.h"

namespace trireme {
namespace {

class GanLearner : public Learner {
 public:
  explicit GanLearner(const LearnerSetting& setting) : Learner(setting) {
    for (const NetGraphs& graphs : net_graphs(config_, sample_)) {
      nets_.push_back(std::make_unique<Net>(config_, graphs, setting.sizes, setting.communicator, *exchanger_,
                                            setting.threads));
    }
    std::array<const Arenas*, 2> frozen{&discriminator().arenas(), nullptr};
    bind_nets(frozen);
    int64_t largest = 0;
    for (const auto* sizes : {&setting.sizes.training, &setting.sizes.evaluation}) {
      if (!sizes->empty()) largest = std::max(largest, *sizes->rbegin());
    }
    noise_ = Buffer(static_cast<size_t>(largest * config_.model.latent) * sizeof(float));
    fakes_ = Buffer(static_cast<size_t>(std::max(largest, setting.sizes.largest_share)) * image_bytes());
  }

  void evaluate(const Batch& batch, ValidationSums& sums) override {
    StepScalars scalars = scalars_of(batch, validation_noise);
    scalars.sample_weight = 1;  // sums, not means
    draw(scalars, batch.count);
    std::array<const void*, 1> noise{noise_.data()};
    Executor& generator_program = generator().evaluation(batch.count);
    generator_program.step(noise, scalars);
    sums[0] += scalar_result(generator_program, 0);
    keep_fakes(generator_program, 0, batch.count);
    std::array<const void*, 2> images{batch.features, fakes_.data()};
    Executor& discriminator_program = discriminator().evaluation(batch.count);
    discriminator_program.step(images, scalars);
    sums[1] += scalar_result(discriminator_program, 0) + scalar_result(discriminator_program, 1);
  }

  ValidationRecord validation_record(const ValidationSums& sums, double samples) const override {
    ValidationRecord record;
    record.loss = sums[0] / samples;
    record.generator_loss = record.loss;
    record.discriminator_loss = sums[1] / samples;
    return record;
  }

 private:
  Net& generator() { return *nets_[0]; }
  Net& discriminator() { return *nets_[1]; }
  const Net& discriminator() const { return *nets_[1]; }
  size_t image_bytes() const {
    return static_cast<size_t>(sample_.height * sample_.width * sample_.channels) * sizeof(float);
  }

  void compute(const Batch& batch, const StepScalars& scalars) override {
    if (batch.count == 0) {
      for (const auto& net : nets_) net->run_nothing({});
      return;
    }
    Pieces pieces(batch.global_count, sharing_);
    for (int64_t i = 0; i < pieces.count(); ++i) {
      MicroBatch piece = pieces[i];
      if (piece.count == 0) {
        generator().run_nothing(piece);
        continue;
      }
      StepScalars own = scalars_of_piece(scalars, piece);
      draw(own, piece.count);
      std::array<const void*, 1> noise{noise_.data()};
      keep_fakes(generator().run(noise, piece, own), piece.first, piece.count);
    }
    for (int64_t i = 0; i < pieces.count(); ++i) {
      MicroBatch piece = pieces[i];
      if (piece.count == 0) {
        discriminator().run_nothing(piece);
        continue;
      }
      auto offset = static_cast<size_t>(piece.first) * image_bytes();
      std::array<const void*, 2> images{static_cast<const std::byte*>(batch.features) + offset,
                                        fakes_.data() + offset};
      discriminator().run(images, piece, scalars_of_piece(scalars, piece));
    }
  }

  void fill_losses(StepOutcome& outcome) const override {
    outcome.generator_loss = outcome.loss;
    outcome.discriminator_loss = discriminator().loss();
  }

  void draw(const StepScalars& scalars, int64_t count) {
    draw_noise(scalars.seed, scalars.step, scalars.first_sample, count, config_.model.latent,
               noise_.as<float>());
  }

  // The program's images are gone with the next program in the workspace.
  void keep_fakes(const Executor& executor, int64_t first, int64_t count) {
    ValueId result = executor.program().graph.results.at(1);
    const void* images = executor.address(result);
    DType type = executor.program().graph.value(result).type.dtype;
    if (type != DType::float32)
      throw GraphError("a generator's images must be float32, not {}", name_of(type));
    std::memcpy(fakes_.data() + static_cast<size_t>(first) * image_bytes(), images,
                static_cast<size_t>(count) * image_bytes());
  }

  Buffer noise_;  // of one piece
  Buffer fakes_;  // of this rank's share
};

}  // namespace

std::unique_ptr<Learner> make_gan_learner(const LearnerSetting& setting) {
  return std::make_unique<GanLearner>(setting);
}

}  // namespace trireme
