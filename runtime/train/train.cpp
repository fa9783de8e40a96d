#include "train/train.h"

#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/replace_file.h"
#include "checkpoint/claim.h"
#include "checkpoint/keep.h"
#include "checkpoint/load.h"
#include "checkpoint/reader.h"
#include "comm/world.h"
#include "telemetry/log.h"
#include "train/kept_state.h"
#include "train/resume.h"
#include "train/run_directory.h"
#include "train/saving.h"
#include "train/session.h"
#include "train/step_loop.h"
#include "train/together.h"

namespace trireme {
namespace {

LogOptions log_options(const Communicator& communicator, const TrainOptions& options,
                       const RunDirectory& directory) {
  LogOptions log;
  if (communicator.rank() == 0) log.file = directory.log();
  log.console = options.console;
  log.quiet = options.quiet;
  log.rank = communicator.rank();
  log.host = host_name();
  return log;
}

Summary summary_of(const Session& session, const RunPosition& position) {
  Summary summary;
  summary.steps = position.step;
  summary.epochs = session.epoch_of(position.step);
  summary.train_seconds = position.train_seconds;
  summary.validation = position.validation;
  summary.parameters = session.learner->parameter_count();
  summary.ranks = session.communicator.size();
  summary.hosts = session.placement.hosts;
  summary.virtual_ranks = session.config.parallel.virtual_ranks;
  return summary;
}

// One run from start to end. `summary` is kept so that a failure can tell how far the run had come.
class Run {
 public:
  Run(const Config& config, Communicator& communicator, const TrainOptions& options,
      const RunDirectory& directory)
      : config_(config), communicator_(communicator), options_(options), directory_(directory) {}

  TrainResult go() {
    learn_wishes();
    communicator_.activity().begin_phase("claiming the run");
    if (options_.saves) claim_run();
    communicator_.activity().begin_phase("loading");
    session_ = std::make_unique<Session>(config_, communicator_, options_.files);
    bool emptied_before = claim_ && claim_->emptied_by_this_job();
    on_rank_zero(communicator_, [&] { prepare_directory(emptied_before); });
    Logger log(log_options(communicator_, options_, directory_));
    if (options_.fresh && emptied_before) {
      log.info("--fresh was done by an earlier start of this SLURM job: this one goes on");
    }
    if (agree_to_stop(communicator_, options_)) return stopped_early(log);
    if (!begins_from_memory_ && options_.saves && is_finished(log)) return already_finished(log);
    // Rank 0's word is enough for the watchdog.
    communicator_.activity().set_resumable(rank_zero() && options_.saves && newest_step() >= 0);

    Beginning beginning{.from_memory = begins_from_memory_};
    std::string from;
    if (begins_from_memory_) {
      Taken taken = take_state(*session_, options_.begin_from);
      position_ = taken.position;
      beginning.saved = taken.saved;
      from = "the state in memory";
    } else if (options_.saves) {
      Resumed resumed = resume(*session_, directory_.checkpoints(), log);
      position_ = resumed.position;
      if (resumed.from) from = resumed.from->string();
    }
    std::unique_ptr<MetricsWriter> metrics;
    on_rank_zero(communicator_, [&] { metrics = begin(from, log); });
    LoopEnd end = run_steps(*session_, position_, beginning, options_, directory_.checkpoints(), claim_.get(),
                            metrics.get(), log);
    if (keeps_state_ && end.judged != Go::drop && position_.step > 0) {
      keep_state(*session_, position_, options_.keep_in);
      if (rank_zero()) options_.keep_in->saved = options_.saves;
    }
    return finish(end, log);
  }

  // After an exception: what it was, unless there is a summary already, which is then either from another
  // rank that failed first, or from an earlier start that this one did not come to replace.
  void leave_failure(const std::string& message) const noexcept {
    try {
      if (!claimed_) return;  // the run is another's
      if (claim_) require_workshop(claim_->workshop());
      if (!rank_zero() && !std::filesystem::exists(directory_.path())) return;
      if (std::filesystem::exists(directory_.summary())) return;
      make_directories(directory_.path());
      Summary summary;
      if (session_) summary = summary_of(*session_, position_);
      summary.state = Outcome::failed;
      summary.error = message;
      write_summary(directory_.summary(), summary);
    } catch (const std::exception&) {
      // The first error is the one to report; it is on its way.
    }
  }

 private:
  bool rank_zero() const { return communicator_.rank() == 0; }

  // Collective: what rank 0's caller wants done with states in memory.
  void learn_wishes() {
    int64_t wishes[2] = {0, 0};
    if (rank_zero()) {
      wishes[0] = options_.begin_from != nullptr && !options_.begin_from->empty();
      wishes[1] = options_.keep_in != nullptr;
    }
    communicator_.broadcast(wishes, sizeof wishes, 0);
    begins_from_memory_ = wishes[0] != 0;
    keeps_state_ = wishes[1] != 0;
    claimed_ = !options_.saves;
  }

  // Collective: one start at a time.
  void claim_run() {
    on_rank_zero(communicator_, [this] {
      ClaimOptions claim;
      claim.newest_step = [this] { return newest_step(); };
      claim.restarts = config_.checkpoint.restarts;
      claim.tell = [this](const std::string& message) {
        if (options_.console != nullptr) fmt::print(options_.console, "{}\n", message);
      };
      claim_ = std::make_unique<RunClaim>(directory_.checkpoints(), claim);
    });
    claimed_ = true;
  }

  // Rank 0.
  void prepare_directory(bool emptied_before) const {
    if (!options_.saves) {
      make_directories(directory_.path());
      if (options_.fresh) directory_.remove_notes();
    } else if (options_.fresh && !emptied_before) {
      directory_.empty(claim_->workshop());
      claim_->mark_emptied();
    }
  }

  void write_note(const std::filesystem::path& path, const std::string& text) const {
    options_.durable_notes ? write_file_atomically(path, text) : replace_file(path, text);
  }

  // A stop has saved its state: that there is no room for its summary is no reason to say that it failed.
  void write_summary_of(Outcome outcome, const Summary& summary, Logger& log) const {
    try {
      write_note(directory_.summary(), summary_json(summary));
    } catch (const IoError& error) {
      if (outcome != Outcome::stopped) throw;
      log.warning("the state is saved, but not the summary: {}", error.what());
    }
  }

  bool newest_is_good(Logger& log) const {
    try {
      require_good_checkpoint(list_checkpoints(directory_.checkpoints()).front().directory);
      return true;
    } catch (const std::exception& error) {
      log.warning("the finished run's last checkpoint is bad, its end is trained again: {}", error.what());
      return false;
    }
  }

  int64_t newest_step() const {
    std::vector<CheckpointEntry> all = list_checkpoints(directory_.checkpoints());
    return all.empty() ? -1 : all.front().step;
  }

  // Asked to stop before there was anything to do: all is as it was.
  TrainResult stopped_early(Logger& log) const {
    log.info("stopped by request before the first step");
    TrainResult result;
    result.state = Outcome::stopped;
    return result;
  }

  // Collective.
  bool is_finished(Logger& log) {
    int64_t finished = rank_zero() && directory_.says_finished() &&
                       newest_step() >= session_->length.total_steps && newest_is_good(log);
    communicator_.broadcast(&finished, sizeof finished, 0);
    return finished != 0;
  }

  TrainResult already_finished(Logger& log) const {
    mark_done(log);
    TrainResult result;
    result.was_finished = true;
    result.steps = session_->length.total_steps;
    if (rank_zero()) {
      log.info("{} is finished already ({} steps); raise train.epochs to go on, or start anew with --fresh",
               directory_.path().string(), newest_step());
    }
    return result;
  }

  // Rank 0: from here on the run directory tells of this start.
  std::unique_ptr<MetricsWriter> begin(const std::string& from, Logger& log) const {
    directory_.begin();
    write_note(directory_.config(), dump_config(config_));
    const Session& s = *session_;
    log.info("run '{}' in {}: {} rank(s) on {} host(s), {} thread(s) each, backend {}{}", config_.run.name,
             directory_.path().string(), communicator_.size(), s.placement.hosts, s.threads,
             config_.train.backend, s.overlap ? ", exchange in a thread of its own" : "");
    if (int64_t shards = config_.parallel.virtual_ranks; shards > 0) {
      log.info(
          "the same bits on 1, 2, 4, ... {} ranks of {} thread(s): {} virtual ranks, {} on each of these",
          shards, s.threads, shards, shards / communicator_.size());
    }
    if (config_.allreduce.shard_optimizer && communicator_.size() > 1) {
      size_t bytes = 0;
      for (const auto& net : s.learner->nets()) bytes += net->state_bytes();
      log.info("the optimizer's state is spread over {} ranks, {:.1f} MiB here", communicator_.size(),
               static_cast<double>(bytes) / 1048576);
    }
    if (!options_.network.empty()) log.info("MPI messages: {}", options_.network);
    if (!options_.exchange.empty()) log.info("exchange of gradients: {}", options_.exchange);
    log.info("model {} with {} parameters; {} training samples in {}; batch {}, {} steps an epoch, {} in all",
             config_.model.kind, s.learner->parameter_count(), s.data.training->size(), config_.data.train,
             config_.data.batch, s.length.steps_per_epoch, s.length.total_steps);
    if (!from.empty()) {
      log.info("resuming from {} at step {} (epoch {}, {} steps into it)", from, position_.step,
               s.epoch_of(position_.step) + 1, position_.step % s.length.steps_per_epoch);
      if (position_.learning_rate_factor != 1) {
        log.warning("an earlier rollback still holds: the learning rate is {} times the schedule's",
                    position_.learning_rate_factor);
      }
    }
    return std::make_unique<MetricsWriter>(
        directory_.metrics(), position_.step, [&log](const std::string& message) {
          log.warning("METRICS ARE INCOMPLETE from here on, training goes on: {}", message);
        });
  }

  TrainResult finish(const LoopEnd& end, Logger& log) {
    // Ranks that drifted apart would make a hash that says nothing.
    require_agreement(communicator_, "the trained parameters", session_->learner->parameters_fingerprint());
    TrainResult result;
    result.state = end.stopped || end.judged == Go::drop ? Outcome::stopped : Outcome::finished;
    result.judged = end.judged;
    result.steps = position_.step;
    result.parameters_sha256 = session_->learner->parameters_sha256();
    result.validation = position_.validation;
    on_rank_zero(communicator_, [&] {
      Summary summary = summary_of(*session_, position_);
      summary.state = result.state;
      summary.startup_seconds = end.startup_seconds;
      summary.samples_per_second = end.samples_per_second;
      summary.data_stall_fraction = end.data_stall_fraction;
      summary.parameters_sha256 = result.parameters_sha256;
      summary.checkpoint_step = end.saving.newest_step;
      summary.checkpoints_written = end.saving.written;
      summary.checkpoints_failed = end.saving.failed;
      summary.checkpoint_stall_seconds = end.saving.stall_seconds;
      if (claim_) {
        require_workshop(claim_->workshop());
        clear_up(position_.step);
      }
      write_summary_of(result.state, summary, log);
      if (result.state == Outcome::finished) mark_done(log);
      log.info("{} after {} steps, {:.1f} s of training, {:.0f} samples/s; parameters {}", ending_of(end),
               position_.step, position_.train_seconds, end.samples_per_second,
               result.parameters_sha256.substr(0, 16));
    });
    return result;
  }

  std::string ending_of(const LoopEnd& end) const {
    if (end.judged == Go::drop) return "ended early, nothing more saved,";
    if (!end.stopped) return "finished";
    return fmt::format("{}, state {},", end.judged == Go::pause ? "paused" : "stopped by request",
                       options_.saves ? "saved" : "not saved");
  }

  // The run is finished, whatever becomes of this note: without it another start counts as one without
  // progress.
  void mark_done(Logger& log) const {
    if (!claim_ || !options_.durable_notes) return;
    try {
      claim_->mark_done();
    } catch (const IoError& error) {
      log.warning("the run is finished, but this could not be noted for its next start: {}", error.what());
    }
  }

  // Rank 0: what a start that was killed after its last save has not come to delete. A start that saves does
  // this at each save; this one may have had nothing left to save.
  void clear_up(int64_t step) const {
    if (step == 0) return;  // nothing was trained, nothing saved
    tidy_up(directory_.checkpoints(), claim_->workshop(), claim_->start(), step,
            keep_rule(config_.checkpoint));
  }

  const Config& config_;
  Communicator& communicator_;
  const TrainOptions& options_;
  const RunDirectory& directory_;
  std::unique_ptr<RunClaim> claim_;  // rank 0 alone
  bool claimed_ = false;             // or nobody else can be there
  bool begins_from_memory_ = false;  // these two are the same on all ranks
  bool keeps_state_ = false;
  std::unique_ptr<Session> session_;
  RunPosition position_;
};

}  // namespace

TrainResult train(const Config& config, Communicator& communicator, const TrainOptions& options) {
  if (config.parallel.mode == "parameter_server") {
    throw ConfigError(
        "{}: parallel.mode = \"parameter_server\": its ranks do not step together, so this is no "
        "run over a communicator; choose \"allreduce\" here",
        config.where("parallel.mode"));
  }
  RunDirectory directory(options.run_directory);
  Run run(config, communicator, options, directory);
  try {
    return run.go();
  } catch (const Error& error) {
    // ClaimError, which other ranks than 0 get without its type: the run is another's.
    if (error.code() != ExitCode::usage) run.leave_failure(error.what());
    throw;
  } catch (const std::exception& error) {
    run.leave_failure(error.what());
    throw;
  }
}

}  // namespace trireme
