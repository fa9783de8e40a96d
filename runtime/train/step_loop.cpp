#include "train/step_loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "checkpoint/writer.h"
#include "data/loader.h"
#include "telemetry/process.h"
#include "telemetry/progress.h"
#include "train/resume.h"
#include "train/validation.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// Sums over the steps since the last record.
struct Interval {
  int64_t steps = 0, samples = 0;
  double seconds = 0, data = 0, exchange = 0, checkpoint = 0;
};

class StepLoop {
 public:
  StepLoop(Session& session, RunPosition& position, const TrainOptions& options,
           const std::filesystem::path& checkpoints, MetricsWriter* metrics, Logger& log)
      : session_(session),
        position_(position),
        options_(options),
        checkpoints_(checkpoints),
        metrics_(metrics),
        log_(log),
        progress_(log, progress_options()),
        loader_(Loader::training(*session.data.training, session.config.data, loader_options())),
        saved_step_(position.step > 0 ? position.step : -1),
        saved_validation_(validation_step()),
        seconds_before_(position.train_seconds) {}

  LoopEnd run() {
    begin_ = Clock::now();
    LoopEnd end;
    while (true) {
      bool last = position_.step >= session_.length.total_steps;
      bool validates = validation_due();
      if (stop_voted_ && (validates || !last)) {
        end.stopped = true;
      } else if (validates) {
        end.stopped = !run_validation();
      }
      if (checkpoint_due() || last || end.stopped) save(last || end.stopped);
      if (last || end.stopped) break;
      step();
    }
    position_.train_seconds = train_seconds();
    end.startup_seconds = startup_seconds_;
    end.samples_per_second = step_seconds_ > 0 ? static_cast<double>(samples_here_) / step_seconds_ : 0;
    return end;
  }

 private:
  Progress::Options progress_options() const {
    Progress::Options progress;
    progress.total_steps = session_.length.total_steps;
    progress.total_epochs =
        (session_.length.total_steps + session_.length.steps_per_epoch - 1) / session_.length.steps_per_epoch;
    progress.first_step = position_.step;
    progress.first_samples = position_.samples;
    return progress;
  }
  LoaderOptions loader_options() const {
    return {static_cast<uint64_t>(session_.config.run.seed), session_.communicator.rank(),
            session_.communicator.size(), position_.step,
            std::max(position_.step, session_.length.total_steps)};
  }
  bool at_epoch_end() const {
    return position_.step > 0 && position_.step % session_.length.steps_per_epoch == 0;
  }
  double train_seconds() const { return seconds_before_ + seconds_between(begin_, Clock::now()); }
  ProgressPoint point() const {
    return {position_.step, session_.running_epoch(position_.step), position_.samples, last_loss_};
  }

  bool validation_due() const {
    if (!session_.data.validation || position_.step == 0) return false;
    if (position_.validation && position_.validation->step == position_.step) return false;
    if (position_.step >= session_.length.total_steps) return true;
    int64_t every = session_.config.train.validate_every_epochs;
    return at_epoch_end() && every > 0 && session_.epoch_of(position_.step) % every == 0;
  }

  // False when it was broken off by a request to stop.
  bool run_validation() {
    std::optional<ValidationRecord> record = validate(session_, position_.step, options_.stop_requested);
    if (!record) return false;
    position_.validation = record;
    if (metrics_) metrics_->write(*record);
    if (options_.hooks.after_validation) options_.hooks.after_validation(*record);
    log_.info("validation after step {} (epoch {}): loss {:.4f}, accuracy {:.4f}", record->step,
              record->epoch, record->loss, record->accuracy);
    return true;
  }

  bool checkpoint_due() const {
    if (position_.step == 0 || position_.step == saved_step_) return false;
    int64_t every = session_.config.checkpoint.every_steps;
    return at_epoch_end() || (every > 0 && position_.step % every == 0);
  }

  // `must` work: the end of a run, or of what will be resumed. Otherwise a full disk costs a warning, not the
  // run.
  void save(bool must) {
    // A validation may have come after the checkpoint of this very step (a stop in the middle of it).
    if (position_.step == saved_step_ && saved_validation_ == validation_step()) return;
    if (!session_.learner->parameters_are_finite()) {
      throw DivergenceError(
          "step {}: a parameter is no longer a finite number, so no checkpoint of it is written: lower "
          "optimizer.learning_rate or set train.gradient_clip_norm",
          position_.step);
    }
    Clock::time_point start = Clock::now();
    std::string failure;
    if (session_.communicator.rank() == 0) failure = try_save();
    if (must) agree_on_failure(failure);
    saved_step_ = position_.step;
    saved_validation_ = validation_step();
    interval_.checkpoint += seconds_between(start, Clock::now());
  }

  int64_t validation_step() const { return position_.validation ? position_.validation->step : -1; }

  // Rank 0 alone. Empty, or why it failed.
  std::string try_save() {
    position_.train_seconds = train_seconds();
    try {
      save_checkpoint(checkpoints_, checkpoint_content(session_, position_),
                      static_cast<int>(session_.config.checkpoint.keep));
    } catch (const std::exception& error) {
      log_.warning("CHECKPOINT OF STEP {} WAS NOT WRITTEN, older ones stay: {}", position_.step,
                   error.what());
      return error.what();
    }
    if (options_.hooks.after_checkpoint) options_.hooks.after_checkpoint(position_.step);
    return "";
  }

  // Collective: all ranks throw when rank 0 could not save.
  void agree_on_failure(const std::string& failure) {
    int64_t failed = failure.empty() ? 0 : 1;
    session_.communicator.broadcast(&failed, sizeof failed, 0);
    if (failed == 0) return;
    throw IoError(
        "the checkpoint of step {}, where the run ends, could not be written{}{}: make room below {} and "
        "start again",
        position_.step, failure.empty() ? "" : ": ", failure, checkpoints_.string());
  }

  void step() {
    Clock::time_point start = Clock::now();
    std::optional<Batch> batch = loader_.next();
    if (!batch || batch->step != position_.step) {
      throw DataError("{}: the loader ended before step {}", session_.data.training->path().string(),
                      position_.step);
    }
    Clock::time_point loaded = Clock::now();
    if (samples_here_ == 0) startup_seconds_ = seconds_since_process_start();

    StepRequest request;
    request.step = position_.step;
    request.stop_vote = options_.stop_requested && options_.stop_requested();
    StepOutcome outcome = session_.learner->step(*batch, request);
    check_finite(outcome);
    stop_voted_ = outcome.stop_voted;
    last_loss_ = outcome.loss;

    position_.step += 1;
    position_.samples += batch->global_count;
    samples_here_ += batch->global_count;
    double seconds = seconds_between(start, Clock::now());
    step_seconds_ += seconds;
    interval_.steps += 1;
    interval_.samples += batch->global_count;
    interval_.seconds += seconds;
    interval_.data += seconds_between(start, loaded);
    interval_.exchange += outcome.exchange_seconds;
    tell(outcome);
  }

  // Every rank has the same sums, so all come to the same verdict.
  void check_finite(const StepOutcome& outcome) const {
    if (outcome.finite) return;
    bool loss = !std::isfinite(outcome.loss);
    throw DivergenceError(
        "step {}: the {} is {}: training has diverged; lower optimizer.learning_rate, lengthen "
        "schedule.warmup_steps or set train.gradient_clip_norm, then start again (checkpoints from "
        "before are kept)",
        position_.step + 1, loss ? "loss" : "gradient's norm", loss ? outcome.loss : outcome.gradient_norm);
  }

  void tell(const StepOutcome& outcome) {
    progress_.update(point());
    if (options_.hooks.after_step) options_.hooks.after_step(record(outcome));
    if (at_epoch_end()) progress_.epoch_end(point());
    bool last = position_.step >= session_.length.total_steps;
    if (!last && position_.step % session_.config.train.log_every_steps != 0) return;
    if (metrics_) metrics_->write(record(outcome));
    interval_ = {};
  }

  TrainRecord record(const StepOutcome& outcome) const {
    auto steps = static_cast<double>(interval_.steps);
    TrainRecord record;
    record.step = position_.step;
    record.epoch = point().epoch;
    record.samples = position_.samples;
    record.loss = last_loss_;
    record.learning_rate = outcome.learning_rate;
    record.samples_per_second =
        interval_.seconds > 0 ? static_cast<double>(interval_.samples) / interval_.seconds : 0;
    record.data_seconds = interval_.data / steps;
    record.exchange_seconds = interval_.exchange / steps;
    record.compute_seconds = (interval_.seconds - interval_.data - interval_.exchange) / steps;
    record.checkpoint_seconds = interval_.checkpoint / steps;
    if (session_.config.train.gradient_clip_norm > 0) record.gradient_norm = outcome.gradient_norm;
    return record;
  }

  Session& session_;
  RunPosition& position_;
  const TrainOptions& options_;
  std::filesystem::path checkpoints_;
  MetricsWriter* metrics_;
  Logger& log_;
  Progress progress_;
  Loader loader_;
  int64_t saved_step_;
  int64_t saved_validation_;
  double seconds_before_;

  Clock::time_point begin_;
  Interval interval_;
  bool stop_voted_ = false;
  double last_loss_ = std::nan("");
  double startup_seconds_ = 0;
  double step_seconds_ = 0;
  int64_t samples_here_ = 0;
};

}  // namespace

LoopEnd run_steps(Session& session, RunPosition& position, const TrainOptions& options,
                  const std::filesystem::path& checkpoints, MetricsWriter* metrics, Logger& log) {
  return StepLoop(session, position, options, checkpoints, metrics, log).run();
}

}  // namespace trireme
