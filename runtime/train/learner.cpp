#include "train/learner.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/hash.h"
#include "train/placement.h"

namespace trireme {
namespace {

// Not a number is larger than any.
double larger_norm(double a, double b) { return std::isnan(a) || a > b ? a : b; }

}  // namespace

Learner::Learner(const LearnerSetting& setting)
    : config_(setting.config),
      sample_(setting.sample),
      length_(setting.length),
      sharing_(setting.sizes.sharing),
      own_means_(setting.own_means),
      backend_(make_backend(setting.config.train, setting.threads)),
      exchanger_(std::make_unique<Exchanger>(setting.overlap)),
      loss_scale_(make_loss_scale(setting.config.train)) {}

void Learner::bind_nets(std::span<const Arenas* const> frozen) {
  size_t bytes = 0;
  for (const auto& net : nets_) bytes = std::max(bytes, net->workspace_bytes());
  workspace_ = Buffer(bytes);
  for (size_t i = 0; i < nets_.size(); ++i) {
    nets_[i]->bind(*backend_, workspace_, i < frozen.size() ? frozen[i] : nullptr);
  }
}

StepScalars Learner::scalars_of(const Batch& batch, int64_t step) const {
  StepScalars scalars;
  scalars.seed = static_cast<uint64_t>(config_.run.seed);
  scalars.step = step;
  scalars.first_sample = batch.first;
  int64_t samples = own_means_ ? std::max<int64_t>(1, batch.count) : batch.global_count;
  scalars.sample_weight = 1.0 / static_cast<double>(samples);
  if (loss_scale_) scalars.loss_scale = loss_scale_->scale();
  return scalars;
}

void Learner::set_piece(int64_t piece) {
  if (piece < 0 || piece >= sharing_.ranks || sharing_.virtual_ranks > 0) {
    throw GraphError("piece {} of {}: there is no such piece of a batch", piece,
                     sharing_.virtual_ranks > 0 ? 0 : sharing_.ranks);
  }
  sharing_.rank = piece;
}

void Learner::observe(StepTimeline* timeline) {
  timeline_ = timeline;
  exchanger_->observe(timeline);
  for (const auto& net : nets_) net->observe(timeline);
}

StepOutcome Learner::step(const Batch& batch, const StepRequest& request) {
  StepOutcome outcome;
  for (const auto& net : nets_) {
    StepSettings settings;
    settings.step = request.step;
    settings.updates = request.updates;
    settings.learning_rate =
        request.learning_rate_factor *
        learning_rate_at(request.step, length_, net->optimizer().learning_rate, config_.schedule);
    if (loss_scale_) settings.gradient_scale = 1 / loss_scale_->scale();
    if (!own_means_) {
      settings.sample_share = static_cast<double>(batch.count) / static_cast<double>(batch.global_count);
    }
    if (net == nets_.front()) outcome.learning_rate = settings.learning_rate;
    net->begin_step(settings, request.stop_vote);
  }
  compute(batch, scalars_of(batch, request.step));
  enter(StepPart::check);
  bool losses_finite = true, gradients_finite = true;
  for (const auto& net : nets_) {
    StepReport report = net->finish_exchange();
    outcome.exchange += report.exchange;
    outcome.gradient_norm = larger_norm(outcome.gradient_norm, report.gradient_norm);
    losses_finite = losses_finite && std::isfinite(net->loss());
    gradients_finite = gradients_finite && report.finite;
  }
  outcome.loss = nets_.front()->loss();
  outcome.stop_voted = nets_.front()->stop_voted();
  fill_losses(outcome);
  judge(losses_finite, gradients_finite, outcome);
  if (!outcome.applied) {
    enter(StepPart::other);
    return outcome;
  }
  enter(StepPart::update);
  for (const auto& net : nets_) outcome.exchange += net->update();
  parameters_changed();
  enter(StepPart::other);
  return outcome;
}

// Gradients that are no numbers while the loss is one have overflowed in float16, as long as a smaller scale
// is left to try.
void Learner::judge(bool losses_finite, bool gradients_finite, StepOutcome& outcome) {
  outcome.applied = losses_finite && gradients_finite;
  outcome.finite = outcome.applied;
  if (!loss_scale_) return;
  if (outcome.applied) loss_scale_->succeeded();
  if (losses_finite && !gradients_finite) outcome.finite = loss_scale_->overflowed();
  outcome.loss_scale = loss_scale_->scale();
}

std::optional<LocatedNonFinite> Learner::find_first_non_finite(const Batch& batch, int64_t step) {
  std::vector<std::optional<NonFinite>> found(nets_.size());
  for (size_t i = 0; i < nets_.size(); ++i) nets_[i]->look_for_non_finite(&found[i]);
  compute(batch, scalars_of(batch, step));
  for (const auto& net : nets_) net->look_for_non_finite(nullptr);
  for (size_t i = 0; i < nets_.size(); ++i) {
    if (found[i]) return LocatedNonFinite{i, *found[i]};
  }
  return std::nullopt;
}

void Learner::collect_gradients() {
  for (const auto& net : nets_) net->collect_gradients();
}

std::string Learner::first_non_finite_gradient() const {
  for (const auto& net : nets_) {
    const Arenas& arenas = net->arenas();
    for (const ArenaTensor& tensor : arenas.layout.parameters) {
      const float* values = arenas.gradients.as<float>() + tensor.offset;
      if (first_non_finite(values, tensor.size(), DType::float32)) {
        return fmt::format("gradient of '{}'", tensor.name);
      }
    }
  }
  return "";
}

void Learner::restart() {
  for (const auto& net : nets_) net->restart();
  if (loss_scale_) loss_scale_->restart();
  parameters_changed();
}

void Learner::swap_averages() {
  bool changed = false;
  for (const auto& net : nets_) changed = net->swap_average() || changed;
  if (changed) parameters_changed();
}

std::string Learner::parameters_sha256() const {
  Sha256 hash;
  for (const auto& net : nets_) {
    const Arenas& arenas = net->arenas();
    for (const ArenaTensor& tensor : arenas.layout.parameters) {
      const float* values = arenas.parameters.as<float>() + tensor.offset;
      hash.update({reinterpret_cast<const std::byte*>(values), tensor.size() * sizeof(float)});
    }
  }
  return hash.hex();
}

uint64_t Learner::parameters_fingerprint() const {
  std::vector<uint64_t> of_nets;
  for (const auto& net : nets_) {
    const Buffer& parameters = net->arenas().parameters;
    of_nets.push_back(fingerprint(parameters.data(), parameters.bytes()));
  }
  return fingerprint(of_nets.data(), of_nets.size() * sizeof(uint64_t));
}

bool Learner::parameters_are_finite() const {
  for (const auto& net : nets_) {
    for (float value : net->arenas().parameters.span<const float>()) {
      if (!std::isfinite(value)) return false;
    }
  }
  return true;
}

int64_t Learner::parameter_count() const {
  int64_t count = 0;
  for (const auto& net : nets_) count += static_cast<int64_t>(net->arenas().layout.parameter_count());
  return count;
}

std::unique_ptr<Learner> make_learner(const LearnerSetting& setting) {
  return setting.config.model.kind == "gan" ? make_gan_learner(setting) : make_supervised_learner(setting);
}

}  // namespace trireme
