// What a run learns: one net or several, trained together step by step. The loop, checkpoints and the run's
// end see this alone, so that a classifier and a GAN are two cases of one loop.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/sample_shape.h"
#include "comm/communicator.h"
#include "config/config.h"
#include "data/loader.h"
#include "optim/schedule.h"
#include "telemetry/metrics.h"
#include "train/loss_scale.h"
#include "train/net.h"

namespace trireme {

// What a learner is made for. References outlive it.
struct LearnerSetting {
  const Config& config;
  SampleShape sample;
  BatchSizes sizes;
  RunLength length;
  int threads = 1;  // of the backend, and of what works on the arenas
  Communicator& communicator;
  bool overlap = false;  // a communication thread: overlaps_exchange()
  // Losses, gradients and statistics are means over this rank's own samples, not its share of the global
  // mean: for steps that are not shared (easgd).
  bool own_means = false;
};

struct StepRequest {
  int64_t step = 0;                 // counted from 0 over the whole run
  int64_t updates = 0;              // applied so far: `step`, but for those left out
  double learning_rate_factor = 1;  // on top of the schedule
  bool stop_vote = false;           // this rank was asked to stop
};

// The same on all ranks, but for seconds.
struct StepOutcome {
  double loss = 0;                   // mean over the global batch; a GAN's is its generator's
  double learning_rate = 0;          // of the first net
  double gradient_norm = 0;          // where it was taken: the largest over nets
  ExchangeSeconds exchange;          // of all nets
  bool stop_voted = false;           // some rank was asked to stop
  std::optional<double> loss_scale;  // after the step; float16
  bool finite = true;                // losses and norms are numbers; false: nothing was updated
  bool applied = true;               // parameters were updated; false too where float16 gradients overflowed
  std::optional<double> generator_loss;
  std::optional<double> discriminator_loss;
};

// A place in one of a learner's nets.
struct LocatedNonFinite {
  size_t net = 0;
  NonFinite tensor;
};

// Sums over validation samples, added over ranks; what each means is the learner's own.
using ValidationSums = std::array<double, 4>;

class Learner {
 public:
  virtual ~Learner() = default;

  // In the order in which the hash and checkpoints take them; at least one.
  std::span<const std::unique_ptr<Net>> nets() const { return nets_; }

  // One step over this rank's share of `batch`: gradients of all nets, their exchange, a look at losses and
  // norms, and, where these are finite, the updates: of all nets or of none. Collective. Throws DataError,
  // CommError.
  StepOutcome step(const Batch& batch, const StepRequest& request);

  // The next steps compute piece `piece` of sizes.sharing.ranks of their batches: what a batch of
  // Loader::on_demand for that piece holds. Throws GraphError where there is no such piece, or where shards
  // of virtual ranks are cut.
  void set_piece(int64_t piece);

  // Between steps: tells `timeline` what the following ones do; null: nobody. It stays until the last of
  // them.
  void observe(StepTimeline* timeline);

  // Computes a step's gradients again without exchanging or updating anything, looking at every tensor of
  // this rank.
  std::optional<LocatedNonFinite> find_first_non_finite(const Batch& batch, int64_t step);
  // The first gradient that is not finite as it lies in the arenas, "gradient of 'conv1.weight'", or "".
  std::string first_non_finite_gradient() const;

  // Adds this rank's `batch` of a validation pass to `sums`. batch.count >= 1.
  virtual void evaluate(const Batch& batch, ValidationSums& sums) = 0;
  // The record of sums over `samples` samples; step and epoch are the caller's.
  virtual ValidationRecord validation_record(const ValidationSums& sums, double samples) const = 0;

  // Collective, after a step that was not applied: see Strategy::collect_gradients.
  void collect_gradients();

  // Must be called when parameters changed outside of step().
  void parameters_changed() { backend_->parameters_changed(); }
  // Back to how the run began.
  void restart();
  // Nets' parameters and their moving averages change places, where there are such; see AveragesInPlace.
  void swap_averages();
  // SHA-256 over all nets' parameters in arena order, without the padding.
  std::string parameters_sha256() const;
  // Fingerprint of all parameters, for comparing ranks.
  uint64_t parameters_fingerprint() const;
  bool parameters_are_finite() const;
  // The factor of float16's gradients, one for all nets, which a checkpoint must hold; nothing in other
  // precisions.
  std::optional<LossScale>& loss_scale() { return loss_scale_; }
  // Learned values of all nets.
  int64_t parameter_count() const;

 protected:
  // Derived classes make their nets and call bind_nets().
  explicit Learner(const LearnerSetting& setting);
  // Makes the common workspace; net i sees the parameters of frozen[i] as frozen (null: of none).
  void bind_nets(std::span<const Arenas* const> frozen);
  // Runs all nets over this rank's share of the batch; each net's strategy has got all ranges when it
  // returns.
  virtual void compute(const Batch& batch, const StepScalars& scalars) = 0;
  // Puts what a record has beside the loss; outcome.loss is the first net's.
  virtual void fill_losses(StepOutcome&) const {}
  // Seed, step and loss scale; first_sample and sample_weight as of the batch.
  StepScalars scalars_of(const Batch& batch, int64_t step) const;
  static StepScalars scalars_of_piece(StepScalars scalars, const MicroBatch& piece) {
    scalars.first_sample += piece.first;
    return scalars;
  }

  const Config& config_;
  SampleShape sample_;
  RunLength length_;
  Sharing sharing_;
  bool own_means_;
  std::unique_ptr<Backend> backend_;
  Buffer workspace_;
  std::unique_ptr<Exchanger> exchanger_;
  std::vector<std::unique_ptr<Net>> nets_;

 private:
  void enter(StepPart part) const {
    if (timeline_ != nullptr) timeline_->enter(part);
  }
  // What a step's losses and gradients come to: whether it may be applied, and what the loss scale makes of
  // it.
  void judge(bool losses_finite, bool gradients_finite, StepOutcome& outcome);

  std::optional<LossScale> loss_scale_;
  StepTimeline* timeline_ = nullptr;
};

// As long as it lives, nets compute with their parameters' moving averages; where a run keeps none it does
// nothing.
class AveragesInPlace {
 public:
  explicit AveragesInPlace(Learner& learner) : learner_(learner) { learner_.swap_averages(); }
  ~AveragesInPlace() { learner_.swap_averages(); }
  AveragesInPlace(const AveragesInPlace&) = delete;
  AveragesInPlace& operator=(const AveragesInPlace&) = delete;

 private:
  Learner& learner_;
};

// The learner that model.kind needs. Throws ConfigError when the model does not fit the samples.
std::unique_ptr<Learner> make_learner(const LearnerSetting& setting);

// The learners there are, one file each.
std::unique_ptr<Learner> make_supervised_learner(const LearnerSetting& setting);
std::unique_ptr<Learner> make_gan_learner(const LearnerSetting& setting);

}  // namespace trireme
