#include "train/step_loop.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "data/loader.h"
#include "telemetry/process.h"
#include "telemetry/progress.h"
#include "train/divergence.h"
#include "train/kept_state.h"
#include "train/meter.h"
#include "train/resume.h"
#include "train/saving.h"
#include "train/validation.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// Rollbacks without a new checkpoint between them, after which the run gives up.
constexpr int most_rollbacks = 3;

class StepLoop {
 public:
  StepLoop(Session& session, RunPosition& position, const Beginning& beginning, const TrainOptions& options,
           const std::filesystem::path& checkpoints, const RunClaim* claim, MetricsWriter* metrics,
           Logger& log)
      : session_(session),
        position_(position),
        beginning_(beginning),
        options_(options),
        checkpoints_(checkpoints),
        metrics_(metrics),
        log_(log),
        progress_(log, progress_options()),
        seconds_before_(position.train_seconds) {
    if (options.saves) saving_.emplace(session, checkpoints, claim, metrics, options.hooks, log);
    start_here(beginning.saved);
  }

  LoopEnd run() {
    begin_ = Clock::now();
    LoopEnd end;
    activity().set_step(position_.step);
    activity().set_resumable(position_.step > 0);
    stop_voted_ = agree_to_stop(session_.communicator, options_);
    while (true) {
      activity().begin_phase("training");
      end.stopped = false;
      end.judged = Go::on;
      bool last = position_.step >= session_.length.total_steps;
      bool validates = validation_due();
      if (stop_voted_ && position_.step == 0) {  // nothing to save yet
        end.stopped = true;
        break;
      }
      if (stop_voted_ && (validates || !last)) {
        end.stopped = true;
      } else if (validates) {
        end.stopped = !run_validation();
        if (!end.stopped && !last && options_.judge) end.judged = options_.judge(*position_.validation);
        if (end.judged == Go::drop) break;
        end.stopped = end.stopped || end.judged == Go::pause;
      }
      bool saves = checkpoint_due() || last || end.stopped;
      if (saves && !save(last || end.stopped)) continue;
      if (last || end.stopped) break;
      step();
    }
    activity().begin_phase("end");
    position_.train_seconds = train_seconds();
    end.startup_seconds = startup_seconds_;
    if (saving_) {
      saving_->settle();
      end.saving = saving_->figures();
    }
    end.samples_per_second = meter_.samples_per_second();
    end.data_stall_fraction = meter_.stall_fraction();
    // The rank that waits longest holds up all.
    session_.communicator.all_reduce(&end.data_stall_fraction, 1, DType::float64, ReduceOp::max);
    return end;
  }

 private:
  // At the start and after a rollback: what is loaded and what is saved is that of `position_`.
  void start_here(bool saved) {
    loader_.emplace(Loader::training(*session_.data.training, session_.config.data, loader_options()));
    saved_step_ = position_.step > 0 && saved ? position_.step : -1;
    saved_validation_ = validation_step();
  }

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
    return {static_cast<uint64_t>(session_.config.run.seed),
            session_.communicator.rank(),
            session_.communicator.size(),
            position_.step,
            std::max(position_.step, session_.length.total_steps),
            session_.config.parallel.virtual_ranks};
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
    activity().begin_phase("validation");
    std::optional<ValidationRecord> record = validate(session_, position_.step, options_.stop_requested);
    if (!record) return false;
    position_.validation = record;
    if (metrics_) metrics_->write(*record);
    if (options_.hooks.after_validation) {
      options_.hooks.after_validation(
          {*record, train_seconds(), meter_.samples_per_second(), session_.learner->parameter_count()});
    }
    log_.info("validation after step {} (epoch {}): {}", record->step, record->epoch, figures_text(*record));
    return true;
  }

  bool checkpoint_due() const {
    if (position_.step == 0 || position_.step == saved_step_) return false;
    int64_t every = session_.config.checkpoint.every_steps;
    return at_epoch_end() || (every > 0 && position_.step % every == 0);
  }

  // `must` work: the end of a run, or of what will be resumed. Otherwise a full disk costs a warning, not the
  // run. False when there is nothing to save but a broken net, and the run has gone back instead.
  bool save(bool must) {
    // A validation may have come after the checkpoint of this very step (a stop in the middle of it).
    if (position_.step == saved_step_ && saved_validation_ == validation_step()) return true;
    activity().begin_phase("checkpoint");
    Clock::time_point start = Clock::now();
    position_.train_seconds = train_seconds();
    bool finite = saving_ ? saving_->save(position_) : session_.learner->parameters_are_finite();
    meter_.add_checkpoint(seconds_between(start, Clock::now()));
    if (!finite) {
      give_up_or_roll_back(fmt::format(
          "step {}: a parameter is no longer a finite number, so no checkpoint of it is written: lower "
          "optimizer.learning_rate or set train.gradient_clip_norm",
          position_.step));
      return false;
    }
    saved_step_ = position_.step;  // also where it fails: it is not tried again at every step
    saved_validation_ = validation_step();
    if (must && saving_) saving_->require(position_.step);
    return true;
  }

  // As train.on_nan says. `why` is the same on all ranks.
  void give_up_or_roll_back(const std::string& why) {
    if (session_.config.train.on_nan != "rollback") {
      throw DivergenceError("{}, then start again (checkpoints from before are kept)", why);
    }
    if (saving_) saving_->settle();
    if (int64_t written = saving_ ? saving_->written() : 0; written != written_at_rollback_) {
      written_at_rollback_ = written;
      rollbacks_ = 0;
    }
    if (rollbacks_ == most_rollbacks) {
      throw DivergenceError("{}; {} rollbacks in a row have not helped (checkpoints from before are kept)",
                            why, rollbacks_);
    }
    ++rollbacks_;
    roll_back();
    log_.warning("{}. ROLLBACK {} of {} to step {}; from now on the learning rate is {} times the schedule's",
                 why, rollbacks_, most_rollbacks, position_.step, position_.learning_rate_factor);
  }

  // Everything but the clock is as it was at the newest good checkpoint, or where the run began where there
  // is none; the learning rate stays halved.
  void roll_back() {
    double factor = position_.learning_rate_factor * 0.5;
    session_.learner->restart();
    bool saved = true;
    if (saving_) {
      position_ = resume(session_, checkpoints_, log_).position;
    } else if (beginning_.from_memory) {
      Taken taken = take_state(session_, options_.begin_from);
      position_ = taken.position;
      saved = taken.saved;
    } else {
      position_ = {};
    }
    position_.learning_rate_factor = factor;
    if (metrics_) metrics_->rewind(position_.step);
    last_loss_ = std::nan("");
    meter_.forget();
    progress_.go_back(point());
    start_here(saved);
  }

  // What a watchdog is told.
  Activity& activity() { return session_.communicator.activity(); }
  int64_t validation_step() const { return position_.validation ? position_.validation->step : -1; }

  void step() {
    if (options_.timeline != nullptr) options_.timeline->begin_step();
    Clock::time_point start = Clock::now();
    std::optional<Batch> batch = loader_->next();
    if (options_.timeline != nullptr) options_.timeline->enter(StepPart::other);
    if (!batch || batch->step != position_.step) {
      throw DataError("{}: the loader ended before step {}", session_.data.training->path().string(),
                      position_.step);
    }
    Clock::time_point loaded = Clock::now();
    if (meter_.steps() == 0) startup_seconds_ = seconds_since_process_start();

    StepRequest request;
    request.step = position_.step;
    request.updates = position_.step - position_.skipped_steps;
    request.learning_rate_factor = position_.learning_rate_factor;
    request.stop_vote = options_.stop_requested && options_.stop_requested();
    StepOutcome outcome = session_.learner->step(*batch, request);
    stop_voted_ = outcome.stop_voted;
    if (!outcome.finite) {  // every rank has the same sums, so all come to the same verdict
      give_up_or_roll_back(explain_divergence(session_, *batch, position_.step, outcome));
      return;
    }
    last_loss_ = outcome.loss;
    position_.step += 1;
    activity().set_step(position_.step);
    position_.samples += batch->global_count;
    if (!outcome.applied) position_.skipped_steps += 1;
    meter_.add({seconds_between(start, Clock::now()), seconds_between(start, loaded),
                outcome.exchange.exposed, outcome.exchange.hidden},
               batch->global_count);
    tell(outcome);
    if (options_.timeline != nullptr) options_.timeline->end_step();
  }

  void tell(const StepOutcome& outcome) {
    if (saving_) saving_->tell();
    progress_.update(point());
    if (options_.hooks.after_step) options_.hooks.after_step(record(outcome));
    if (at_epoch_end()) progress_.epoch_end(point());
    bool last = position_.step >= session_.length.total_steps;
    if (!last && position_.step % session_.config.train.log_every_steps != 0) return;
    if (metrics_) metrics_->write(record(outcome));
    meter_.forget();
  }

  TrainRecord record(const StepOutcome& outcome) const {
    TrainRecord record;
    record.step = position_.step;
    record.epoch = point().epoch;
    record.samples = position_.samples;
    record.loss = last_loss_;
    record.learning_rate = outcome.learning_rate;
    meter_.fill(record);
    if (session_.config.train.gradient_clip_norm > 0) record.gradient_norm = outcome.gradient_norm;
    record.generator_loss = outcome.generator_loss;
    record.discriminator_loss = outcome.discriminator_loss;
    if (position_.learning_rate_factor != 1) record.learning_rate_factor = position_.learning_rate_factor;
    record.loss_scale = outcome.loss_scale;
    record.skipped_steps = position_.skipped_steps;
    return record;
  }

  Session& session_;
  RunPosition& position_;
  Beginning beginning_;
  const TrainOptions& options_;
  std::filesystem::path checkpoints_;
  MetricsWriter* metrics_;
  Logger& log_;
  Progress progress_;
  std::optional<Saving> saving_;
  std::optional<Loader> loader_;
  int64_t saved_step_ = -1;
  int64_t saved_validation_ = -1;
  int rollbacks_ = 0;  // since the last checkpoint was written
  int64_t written_at_rollback_ = 0;
  double seconds_before_;

  Clock::time_point begin_;
  StepMeter meter_;
  bool stop_voted_ = false;
  double last_loss_ = std::nan("");
  double startup_seconds_ = 0;
};

}  // namespace

bool agree_to_stop(Communicator& communicator, const TrainOptions& options) {
  int64_t stop = options.stop_requested && options.stop_requested() ? 1 : 0;
  communicator.all_reduce(&stop, 1, DType::int64, ReduceOp::max);
  return stop != 0;
}

LoopEnd run_steps(Session& session, RunPosition& position, const Beginning& beginning,
                  const TrainOptions& options, const std::filesystem::path& checkpoints,
                  const RunClaim* claim, MetricsWriter* metrics, Logger& log) {
  return StepLoop(session, position, beginning, options, checkpoints, claim, metrics, log).run();
}

}  // namespace trireme
