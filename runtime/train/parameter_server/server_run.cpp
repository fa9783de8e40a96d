#include "train/parameter_server/server_run.h"

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/load.h"
#include "checkpoint/reader.h"
#include "train/parameter_server/director.h"
#include "train/parameter_server/meet.h"
#include "train/placement.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr double start_seconds = 120;     // for all servers to meet
constexpr double patience_seconds = 300;  // without any worker
constexpr std::chrono::milliseconds look_pause{100};

EndOfJob end_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return {static_cast<int32_t>(error.code()), error.what()};
  } catch (const std::exception& error) {
    return {static_cast<int32_t>(ExitCode::internal), error.what()};
  }
}

// What the server's thread has to say waits here for the main thread.
class Inbox {
 public:
  void put(std::function<void()> what) {
    {
      std::lock_guard lock(mutex_);
      waiting_.push_back(std::move(what));
    }
    filled_.notify_one();
  }
  void end(const EndOfJob& how) {
    {
      std::lock_guard lock(mutex_);
      end_ = how;
    }
    filled_.notify_one();
  }
  // What take() has given before it was all that there is.
  std::optional<EndOfJob> ended() {
    std::lock_guard lock(mutex_);
    return waiting_.empty() ? end_ : std::nullopt;
  }
  // All there is, after `pause` at most.
  std::deque<std::function<void()>> take(std::chrono::milliseconds pause) {
    std::unique_lock lock(mutex_);
    filled_.wait_for(lock, pause, [this] { return !waiting_.empty() || end_; });
    return std::exchange(waiting_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<std::function<void()>> waiting_;
  std::optional<EndOfJob> end_;
};

class ServerRun {
 public:
  ServerRun(const ProcessSetting& setting, bool beside_a_worker)
      : setting_(setting),
        directory_(setting.options.run_directory),
        beside_a_worker_(beside_a_worker),
        leads_(setting.roles.server == 0) {}

  EndOfJob go() {
    if (!leads_) return serve_if_there_is_a_job();
    try {
      claim(0);
      return lead();
    } catch (...) {
      leave_notice(directory_.path(), setting_.job, end_of(std::current_exception()));
      leave_failure(end_of(std::current_exception()).text);
      throw;
    }
  }

 private:
  const Config& config() const { return setting_.config; }
  int threads() const { return own_cores(setting_.processes_here()); }
  bool stop_requested() const { return setting_.options.stop_requested && setting_.options.stop_requested(); }

  void open_log(bool writes_file) {
    LogOptions log;
    if (writes_file) log.file = directory_.log();
    log.console = setting_.options.console;
    log.quiet = setting_.options.quiet;
    log.rank = writes_file ? 0 : std::max(setting_.launch.rank, 1);
    log.host = host_name();
    log_ = std::make_unique<Logger>(log);
  }

  int64_t newest_step() const {
    std::vector<CheckpointEntry> all = list_checkpoints(directory_.checkpoints());
    return all.empty() ? -1 : all.front().step;
  }

  void claim(int64_t succeeds) {
    ClaimOptions options;
    options.newest_step = [this] { return newest_step(); };
    options.restarts = config().checkpoint.restarts;
    options.succeeds = succeeds;
    options.tell = [this](const std::string& message) {
      if (setting_.options.console != nullptr) fmt::print(setting_.options.console, "{}\n", message);
    };
    claim_ = std::make_unique<RunClaim>(directory_.checkpoints(), options);
  }

  // Server 0.
  EndOfJob lead() {
    mirror_.emplace(config(), threads());
    bool emptied_before = claim_->emptied_by_this_job();
    if (setting_.options.fresh && !emptied_before) {
      directory_.empty(claim_->workshop());
      claim_->mark_emptied();
    }
    remove_notices(directory_.path());
    open_log(true);
    if (setting_.options.fresh && emptied_before)
      log_->info("--fresh was done by an earlier start of this SLURM job: this one goes on");
    if (stop_requested())
      return nothing_to_do(
          {static_cast<int32_t>(ExitCode::stopped), "stopped by request before the first step"});
    if (is_finished()) {
      claim_->mark_done();
      log_->info("{} is finished already ({} steps); raise train.epochs to go on, or start anew with --fresh",
                 directory_.path().string(), newest_step());
      return nothing_to_do({static_cast<int32_t>(ExitCode::done), "the run is finished already"});
    }
    mirror_->load(directory_.checkpoints(), *log_);
    plan();
    begin_to_direct(false);
    tell_start();
    if (clocks_->first() >= clocks_->end()) return nothing_to_do(director_->end_without_steps());
    return serve();
  }

  // Those who wait for the meeting need not.
  EndOfJob nothing_to_do(const EndOfJob& end) {
    leave_notice(directory_.path(), setting_.job, end);
    return end;
  }

  bool is_finished() {
    if (!directory_.says_finished() || newest_step() < mirror_->session().length.total_steps) return false;
    try {
      require_good_checkpoint(list_checkpoints(directory_.checkpoints()).front().directory);
      return true;
    } catch (const std::exception& error) {
      log_->warning("the finished run's last checkpoint is bad, its end is trained again: {}", error.what());
      return false;
    }
  }

  // The others come to what server 0 has claimed and, where --fresh says so, emptied.
  EndOfJob serve_if_there_is_a_job() {
    open_log(false);
    mirror_.emplace(config(), threads());
    Met met =
        wait_for_meeting(directory_.path(), setting_.job, start_seconds, setting_.options.stop_requested);
    if (met.over) return *met.over;
    if (!met.meeting)
      return {static_cast<int32_t>(ExitCode::stopped), "stopped by request before the first step"};
    succeeds_ = newest_start(directory_.checkpoints());
    mirror_->load(directory_.checkpoints(), *log_);
    plan();
    return serve();
  }

  void plan() {
    pieces_ = pieces_of(config(), setting_.roles);
    clocks_.emplace(config(), mirror_->session().length, mirror_->resumed().position.step);
  }

  void begin_to_direct(bool succeeds) {
    director_ = std::make_unique<Director>(
        Director::Start{setting_, *mirror_, *clocks_, pieces_, *claim_, *log_, succeeds});
  }

  void tell_start() const {
    const Session& session = mirror_->session();
    const ParameterServerConfig& mode = config().parameter_server;
    log_->info("run '{}' in {}: parameter server, {}{}; {} replica(s); {}", config().run.name,
               directory_.path().string(), mode.mode,
               mode.mode == "ssp" ? fmt::format(" with staleness {}", mode.staleness) : "", mode.replicas,
               roles_text(config(), setting_.roles));
    if (!setting_.roles.note.empty()) log_->info("{}", setting_.roles.note);
    const char* recovery = std::getenv("OMPI_MCA_orte_enable_recovery");
    bool recovers = recovery != nullptr && std::string_view(recovery) != "0";
    if (setting_.launch.launcher == "mpirun" && !recovers) {
      log_->warning(
          "mpirun ends all processes when one dies, unless it is started with --mca orte_enable_recovery 1");
    }
    log_->info("model {} with {} parameters; {} training samples in {}; {} steps an epoch, {} in all",
               config().model.kind, session.learner->parameter_count(), session.data.training->size(),
               config().data.train, session.length.steps_per_epoch, session.length.total_steps);
    if (mirror_->resumed().from) {
      log_->info("resuming from {} at step {}", mirror_->resumed().from->string(),
                 mirror_->resumed().position.step);
    }
  }

  ServerOptions server_options() const {
    const ParameterServerConfig& mode = config().parameter_server;
    const Session& session = mirror_->session();
    ServerOptions options;
    options.meeting = meeting_file(directory_.path());
    options.job = setting_.job;
    options.server = setting_.roles.server;
    options.servers = setting_.roles.servers;
    options.replicas = static_cast<int32_t>(mode.replicas);
    options.coordinator.pieces = static_cast<int32_t>(pieces_);
    options.coordinator.staleness = mode.mode == "ssp" ? mode.staleness : -1;
    options.coordinator.first_clock = clocks_->first();
    options.coordinator.end_clock = clocks_->end();
    options.coordinator.lease_seconds = mode.lease_seconds;
    options.coordinator.backup_pieces = mode.backup_pieces && mode.mode != "easgd";
    options.collect_clocks = mode.mode == "ssp" && mode.staleness == 0;
    options.threads = mode.threads > 0   ? static_cast<int32_t>(mode.threads)
                      : beside_a_worker_ ? std::max(threads() / 4, 1)
                                         : threads();
    options.transports = transports_of(config());
    options.fingerprint = run_fingerprint(config(), session, pieces_);
    uint64_t start[] = {static_cast<uint64_t>(mirror_->resumed().position.step),
                        session.learner->parameters_fingerprint()};
    options.start_fingerprint = fingerprint(start, sizeof start);
    options.resumable = mirror_->resumed().from.has_value();
    options.start = mirror_->resumed().position.step;
    options.start_seconds = start_seconds;
    options.patience_seconds = patience_seconds;
    return options;
  }

  ServerEvents server_events() {
    ServerEvents events;
    events.next_cut = [this](int64_t after) { return clocks_->next_cut(after); };
    events.ticket_done = [this](const TicketReport& report, int64_t done) {
      inbox_.put([this, report, done] { on_ticket(report, done); });
    };
    events.cut = [this](int64_t clock, std::vector<StateRow> rows, bool last) {
      inbox_.put([this, clock, rows = std::move(rows), last] { on_cut(clock, rows, last); });
    };
    events.coordinates = [this](bool at_start) {
      if (!at_start) inbox_.put([this] { succeed(); });
    };
    events.tell = [this](const std::string& text, bool warning) {
      inbox_.put([this, text, warning] {
        if (warning) return log_->warning("{}", text);
        log_->info("{}", text);
      });
    };
    events.end = [this](const EndOfJob& end) { inbox_.end(end); };
    return events;
  }

  std::vector<HostedShard> shards() {
    int32_t servers = setting_.roles.servers;
    mirror_->cut(servers);
    ShardMap map = first_map(servers, static_cast<int32_t>(config().parameter_server.replicas));
    std::vector<HostedShard> hosted;
    for (int32_t shard = 0; shard < servers; ++shard) {
      auto k = static_cast<size_t>(shard);
      if (map.primary[k] == setting_.roles.server || map.backup[k] == setting_.roles.server)
        hosted.push_back(mirror_->host(config(), shard, pieces_));
    }
    return hosted;
  }

  EndOfJob serve() {
    ServerOptions options = server_options();  // before a successor may change the mirror
    server_ = std::make_unique<ParameterServer>(options, shards(), server_events());
    while (!ended_) {
      for (auto& what : inbox_.take(look_pause)) guarded(what);
      guarded([this] { look_around(); });
      if (superseded_) return leave_to_successor();
      ended_ = inbox_.ended();
    }
    server_.reset();
    if (failure_) {
      if (director_) director_->leave_summary(Outcome::failed, end_of(failure_).text);
      std::rethrow_exception(failure_);
    }
    if (director_ && !directed_end_) tell_foreign_end();
    return *ended_;
  }

  // It stood still, and others have taken the run over: all is well there.
  EndOfJob leave_to_successor() {
    if (!director_) std::rethrow_exception(failure_);
    EndOfJob end{static_cast<int32_t>(ExitCode::stopped), end_of(failure_).text};
    log_->warning("{}", end.text);
    return end;
  }

  // A failure of the director's ends the job, but for one: that others have taken the run over.
  void guarded(const std::function<void()>& what) {
    try {
      if (!failure_) what();
    } catch (const ClaimError&) {
      failure_ = std::current_exception();
      superseded_ = true;
    } catch (...) {
      failure_ = std::current_exception();
      server_->finish(end_of(failure_));
    }
  }

  void look_around() {
    if (!told_stop_ && stop_requested()) {
      told_stop_ = true;
      server_->stop();
    }
    if (setting_.worker_failure && !told_worker_) {
      if (std::optional<EndOfJob> failure = setting_.worker_failure()) {
        told_worker_ = true;
        if (setting_.roles.workers == 1) server_->finish(*failure);
      }
    }
    if (director_ && director_->tell_of_saves() && !told_resumable_) {
      told_resumable_ = true;
      server_->set_resumable();
    }
  }

  void on_ticket(const TicketReport& report, int64_t clocks_done) {
    if (director_) director_->on_ticket(report, clocks_done, [this] { return server_->figures(); });
  }

  void on_cut(int64_t clock, const std::vector<StateRow>& rows, bool last) {
    if (!director_) {  // it is about to succeed, and takes over a cut that the former coordinator has not
                       // used
      early_cuts_.push_back([this, clock, rows, last] { on_cut(clock, rows, last); });
      return;
    }
    std::optional<EndOfJob> end = director_->on_cut(clock, rows, last, [&] {
      if (!last) server_->take_cut(clock);
    });
    if (!end) return;
    directed_end_ = true;
    server_->finish(*end);
  }

  // The coordinator is dead, and this server has its shard.
  void succeed() {
    claim(succeeds_);
    open_log(true);
    begin_to_direct(true);
    log_->warning("server {} goes on with the run in place of the one that is gone", setting_.roles.server);
    for (auto& cut : std::exchange(early_cuts_, {})) cut();
  }

  // Ended by a loss, or by a worker's word.
  void tell_foreign_end() {
    bool resumes = ended_->code == static_cast<int32_t>(ExitCode::stopped);
    director_->leave_summary(resumes ? Outcome::stopped : Outcome::failed, ended_->text);
    log_->error("{}", ended_->text);
  }

  void leave_failure(const std::string& message) noexcept {
    try {
      if (!claim_ || director_) return;
      require_workshop(claim_->workshop());
      if (fs::exists(directory_.summary())) return;
      Summary summary;
      summary.error = message;
      write_summary(directory_.summary(), summary);
    } catch (const std::exception&) {
      // The first error is the one to report; it is on its way.
    }
  }

  const ProcessSetting& setting_;
  RunDirectory directory_;
  bool beside_a_worker_;
  bool leads_;
  std::unique_ptr<Logger> log_;
  std::unique_ptr<RunClaim> claim_;
  int64_t succeeds_ = 0;  // the start of the coordinator's claim
  std::optional<Mirror> mirror_;
  std::optional<Clocks> clocks_;
  int64_t pieces_ = 1;
  std::unique_ptr<Director> director_;
  Inbox inbox_;
  std::unique_ptr<ParameterServer> server_;
  std::vector<std::function<void()>> early_cuts_;
  std::optional<EndOfJob> ended_;
  std::exception_ptr failure_;
  bool superseded_ = false;
  bool directed_end_ = false;
  bool told_stop_ = false;
  bool told_resumable_ = false;
  bool told_worker_ = false;
};

}  // namespace

EndOfJob run_server(const ProcessSetting& setting, bool beside_a_worker) {
  return ServerRun(setting, beside_a_worker).go();
}

}  // namespace trireme
