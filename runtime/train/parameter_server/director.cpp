#include "train/parameter_server/director.h"

#include <limits>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "comm/parameter_server/clock.h"
#include "telemetry/process.h"
#include "train/validation.h"

namespace trireme {
namespace {

std::unique_ptr<MetricsWriter> open_metrics(const Director::Start& start, const RunDirectory& directory) {
  int64_t step = start.succeeds ? std::numeric_limits<int64_t>::max() : start.mirror.resumed().position.step;
  return std::make_unique<MetricsWriter>(
      directory.metrics(), step, [&log = start.log](const std::string& why) {
        log.warning("METRICS ARE INCOMPLETE from here on, training goes on: {}", why);
      });
}

}  // namespace

Director::Director(const Start& start)
    : start_(start),
      directory_(start.setting.options.run_directory),
      resumed_(start.mirror.resumed().position),
      position_(resumed_),
      records_(start.mirror.session(), start.clocks, start.pieces, resumed_),
      metrics_(open_metrics(start, directory_)),
      progress_(start.log, progress_options()),
      saving_(start.mirror.session(), directory_.checkpoints(), &start.claim, metrics_.get(),
              start.setting.options.hooks, start.log),
      begin_(steady_seconds()),
      saved_step_(position_.step > 0 ? position_.step : -1),
      saved_validation_(validation_step()) {
  if (start.succeeds) return;
  directory_.begin();
  write_file_atomically(directory_.config(), dump_config(config()));
}

Progress::Options Director::progress_options() const {
  Progress::Options progress;
  const RunLength& length = session().length;
  progress.total_steps = length.total_steps;
  progress.total_epochs = (length.total_steps + length.steps_per_epoch - 1) / length.steps_per_epoch;
  progress.first_step = resumed_.step;
  progress.first_samples = resumed_.samples;
  return progress;
}

double Director::train_seconds() const { return resumed_.train_seconds + steady_seconds() - begin_; }

void Director::on_ticket(const TicketReport& report, int64_t clocks_done,
                         const std::function<ServerFigures()>& figures) {
  if (startup_seconds_ == 0) startup_seconds_ = seconds_since_process_start();
  for (const DoneClock& clock : records_.take(report, clocks_done)) tell(clock, figures);
}

void Director::tell(const DoneClock& clock, const std::function<ServerFigures()>& figures) {
  int64_t begin = start_.clocks.begin_step(clock.clock), step = start_.clocks.end_step(clock.clock);
  if (clock.sums && clock.sums->loss_scale > 0) loss_scale_ = clock.sums->loss_scale;
  ProgressPoint point{step, session().running_epoch(step), records_.samples(step)};
  if (clock.sums) point.loss = clock.sums->loss;
  int64_t every = config().train.log_every_steps;
  bool due = step / every > begin / every || step >= session().length.total_steps;
  if (due && clock.sums) {
    ServerFigures now = figures();
    metrics_->write(records_.train_record(clock));
    metrics_->write(records_.server_record(step, now));
    note_ = records_.note(now);
  }
  point.note = note_;
  progress_.update(point);
  if (start_.clocks.at_epoch_end(step)) progress_.epoch_end(point);
}

bool Director::validation_due() const {
  if (!session().data.validation || position_.step == 0) return false;
  if (validation_step() == position_.step) return false;
  if (position_.step >= session().length.total_steps) return true;
  int64_t every = config().train.validate_every_epochs;
  return start_.clocks.at_epoch_end(position_.step) && every > 0 &&
         session().epoch_of(position_.step) % every == 0;
}

void Director::run_validation() {
  // A request to stop does not end it: workers go on meanwhile, and the run could not come back to this
  // state.
  bool last = position_.step >= session().length.total_steps;
  std::optional<ValidationRecord> record =
      validate(session(), position_.step, last ? start_.setting.options.stop_requested : nullptr);
  if (!record) return;
  position_.validation = record;
  metrics_->write(*record);
  if (const auto& hook = start_.setting.options.hooks.after_validation) {
    hook({*record, train_seconds(), records_.samples_per_second(), session().learner->parameter_count()});
  }
  start_.log.info("validation after step {} (epoch {}): {}", record->step, record->epoch,
                  figures_text(*record));
}

void Director::save(bool must) {
  if (position_.step == saved_step_ && saved_validation_ == validation_step()) return;
  position_.train_seconds = train_seconds();
  if (loss_scale_ > 0) session().learner->loss_scale()->set_state({loss_scale_, 0});
  if (!saving_.save(position_)) {
    throw DivergenceError(
        "step {}: a parameter is no longer a finite number, so no checkpoint of it is written: lower "
        "optimizer.learning_rate or set train.gradient_clip_norm, then start again (checkpoints from before "
        "are "
        "kept)",
        position_.step);
  }
  saved_step_ = position_.step;
  saved_validation_ = validation_step();
  if (must) saving_.require(position_.step);
}

std::optional<EndOfJob> Director::on_cut(int64_t clock, std::span<const StateRow> rows, bool last,
                                         const std::function<void()>& taken) {
  int64_t step = start_.clocks.begin_step(clock);
  bool late = step < position_.step || (step == position_.step && !last);
  if (late) {  // it came when a later one had been taken
    taken();
    return std::nullopt;
  }
  start_.mirror.take(rows);
  taken();
  position_.step = step;
  position_.samples = records_.samples(step);
  position_.skipped_steps = resumed_.skipped_steps + records_.skipped_steps();
  if (last && step == 0) return end();  // nothing to save yet
  if (validation_due()) run_validation();
  save(last);
  if (!last) return std::nullopt;
  return end();
}

EndOfJob Director::end_without_steps() {
  if (validation_due()) run_validation();
  save(true);
  return end();
}

bool Director::tell_of_saves() {
  saving_.tell();
  return saving_.figures().newest_step > 0 || resumed_.step > 0;
}

Summary Director::summary(Outcome outcome) const {
  Summary summary;
  summary.state = outcome;
  summary.steps = position_.step;
  summary.epochs = session().epoch_of(position_.step);
  summary.train_seconds = train_seconds();
  summary.startup_seconds = startup_seconds_;
  summary.samples_per_second = records_.samples_per_second();
  summary.data_stall_fraction = records_.data_stall_fraction();
  summary.validation = position_.validation;
  summary.parameters = session().learner->parameter_count();
  summary.ranks = start_.setting.launch.size;
  summary.hosts = std::max(1, start_.setting.launch.size / std::max(1, start_.setting.launch.local_size));
  summary.checkpoint_step = saving_.figures().newest_step;
  summary.checkpoints_written = saving_.figures().written;
  summary.checkpoints_failed = saving_.figures().failed;
  summary.checkpoint_stall_seconds = saving_.figures().stall_seconds;
  return summary;
}

EndOfJob Director::end() {
  progress_.clear();
  bool done = position_.step >= session().length.total_steps && !validation_due();
  Summary summary = this->summary(done ? Outcome::finished : Outcome::stopped);
  summary.parameters_sha256 = session().learner->parameters_sha256();
  require_workshop(start_.claim.workshop());
  if (position_.step > 0) {
    tidy_up(directory_.checkpoints(), start_.claim.workshop(), start_.claim.start(), position_.step,
            keep_rule(config().checkpoint));
  }
  try {
    write_summary(directory_.summary(), summary);
  } catch (const IoError& error) {
    if (done) throw;
    start_.log.warning("the state is saved, but not the summary: {}", error.what());
  }
  try {
    if (done) start_.claim.mark_done();
  } catch (const IoError& error) {
    start_.log.warning("the run is finished, but this could not be noted for its next start: {}",
                       error.what());
  }
  std::string how = done                  ? "finished"
                    : position_.step == 0 ? "stopped by request before the first step"
                                          : "stopped by request, state saved,";
  start_.log.info("{} after {} steps, {:.1f} s of training, {:.0f} samples/s; parameters {}", how,
                  position_.step, summary.train_seconds, summary.samples_per_second,
                  summary.parameters_sha256.substr(0, 16));
  return {static_cast<int32_t>(done ? ExitCode::done : ExitCode::stopped), how};
}

void Director::leave_summary(Outcome outcome, const std::string& error) noexcept {
  try {
    progress_.clear();
    require_workshop(start_.claim.workshop());
    if (std::filesystem::exists(directory_.summary())) return;
    Summary summary = this->summary(outcome);
    summary.error = error;
    write_summary(directory_.summary(), summary);
  } catch (const std::exception&) {
    // What ended the job is the one to report; it is on its way.
  }
}

}  // namespace trireme
