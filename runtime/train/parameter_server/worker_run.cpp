#include "train/parameter_server/worker_run.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "comm/parameter_server/clock.h"
#include "data/loader.h"
#include "train/divergence.h"
#include "train/parameter_server/figures.h"
#include "train/parameter_server/meet.h"
#include "train/parameter_server/mirror.h"
#include "train/parameter_server/pushing.h"

namespace trireme {
namespace {

constexpr double start_seconds = 120;
// Leases that servers which are gone have to come back.
constexpr double leases_of_patience = 3;

const EndOfJob stopped_before{static_cast<int32_t>(ExitCode::stopped),
                              "stopped by request before the first step"};

class WorkerRun {
 public:
  explicit WorkerRun(const ProcessSetting& setting)
      : setting_(setting),
        mode_(setting.config.parameter_server),
        elastic_(mode_.mode == "easgd"),
        config_(elastic_ ? mirror_config(setting.config, 0) : setting.config),
        self_(make_self_communicator()) {}

  EndOfJob go() {
    // A worker of the launch knows how batches are cut, and need not wait for the servers to load.
    if (!setting_.roles.joins) make_session(pieces_of(config_, setting_.roles));
    Met met = wait_for_meeting(setting_.options.run_directory, setting_.job, start_seconds, [this] {
      return (setting_.options.stop_requested && setting_.options.stop_requested()) ||
             (setting_.server_is_over && setting_.server_is_over());
    });
    if (met.over) return *met.over;
    if (!met.meeting) return stopped_before;
    if (setting_.roles.joins) make_session(met.meeting->pieces);
    cut(*met.meeting);
    join();
    try {
      while (step()) {
      }
    } catch (const DataError& error) {
      fail({static_cast<int32_t>(error.code()), error.what()});
    }
    return left_ ? EndOfJob{static_cast<int32_t>(ExitCode::stopped), "left by request"}
                 : client_->wait_for_end();
  }

 private:
  void make_session(int64_t pieces) {
    pieces_ = pieces;
    PieceWork work;
    work.pieces = pieces;
    work.threads = config_.train.threads > 0 ? static_cast<int>(config_.train.threads)
                                             : own_cores(setting_.processes_here());
    work.own_means = elastic_;
    session_.emplace(config_, *self_, work);
    loader_.emplace(Loader::on_demand(*session_->data.training, config_.data,
                                      {.seed = static_cast<uint64_t>(config_.run.seed), .ranks = pieces}));
  }

  void cut(const ServerMeeting& meeting) {
    clocks_.emplace(setting_.config, session_->length, meeting.start);
    shards_ = cut_flat_vector(flat_nets(*session_->learner), static_cast<size_t>(meeting.shards),
                              elastic_ ? PushTail::states : PushTail::statistics);
    if (elastic_) {
      double rate =
          mode_.easgd_moving_rate > 0 ? mode_.easgd_moving_rate : 0.9 / static_cast<double>(pieces_);
      elastic_pushes_.emplace(config_, *session_, shards_, rate);
    } else {
      gradient_pushes_.emplace(config_, *session_, shards_);
    }
  }

  void join() {
    ClientOptions options;
    options.meeting = meeting_file(setting_.options.run_directory);
    options.job = setting_.job;
    options.rank = setting_.roles.joins ? -1 : setting_.launch.rank;
    options.fingerprint = run_fingerprint(setting_.config, *session_, pieces_);
    options.transports = transports_of(setting_.config);
    options.lease_seconds = mode_.lease_seconds;
    options.start_seconds = start_seconds;
    options.patience_seconds = std::max(leases_of_patience * mode_.lease_seconds, 5.0);
    options.sees_own_pushes = !(mode_.mode == "ssp" && mode_.staleness == 0);
    client_.emplace(options, elastic_ ? elastic_pushes_->client_shards() : gradient_pushes_->client_shards());
  }

  // False when there is nothing more to do.
  bool step() {
    if (setting_.options.stop_requested && setting_.options.stop_requested() && !told_stop_) {
      told_stop_ = true;
      if (setting_.roles.joins) {
        client_->wait_for_pushes();
        left_ = true;
        return false;
      }
      client_->stop();
    }
    double begin = steady_seconds();
    std::optional<Ticket> ticket = client_->next();
    if (!ticket) return false;
    TicketReport report;
    report.wait_seconds = steady_seconds() - begin;
    return elastic_ ? elastic_round(*ticket, report) : gradient_step(*ticket, report);
  }

  // One batch's piece, to `figures` and the report; nothing where its loss is no number: the job is ended
  // then.
  std::optional<StepOutcome> compute(int64_t step, int32_t piece, PieceFigures& figures,
                                     TicketReport& report) {
    double begin = steady_seconds();
    Batch batch = loader_->next().value();
    double loaded = steady_seconds();
    session_->learner->set_piece(piece);
    StepRequest request;
    request.step = request.updates = step;
    StepOutcome outcome = session_->learner->step(batch, request);
    report.compute_seconds += steady_seconds() - loaded;
    figures.data_seconds += loaded - begin;
    figures.samples += static_cast<double>(batch.count);
    if (!outcome.finite) {
      std::string place = fmt::format("worker {} on {}", client_->worker(), host_name());
      fail({static_cast<int32_t>(ExitCode::internal),
            fmt::format("{}, then start again (checkpoints from before are kept)",
                        explain_divergence(*session_, batch, step, outcome, place))});
      return std::nullopt;
    }
    figures.loss_scale = outcome.loss_scale.value_or(0);
    figures.gradient_norm = std::max(figures.gradient_norm, outcome.gradient_norm);
    figures.learning_rate = outcome.learning_rate;
    // Elastic averaging's losses are means over the piece.
    double share = elastic_ ? static_cast<double>(batch.count) / static_cast<double>(batch.global_count) : 1;
    figures.loss += share * outcome.loss;
    if (outcome.generator_loss)
      figures.generator_loss = figures.generator_loss.value_or(0) + share * *outcome.generator_loss;
    if (outcome.discriminator_loss)
      figures.discriminator_loss =
          figures.discriminator_loss.value_or(0) + share * *outcome.discriminator_loss;
    return outcome;
  }

  bool gradient_step(const Ticket& ticket, TicketReport& report) {
    loader_->request(ticket.clock, ticket.piece, pieces_);  // loads beside the pull
    PullReport pulled = client_->pull();
    session_->learner->parameters_changed();
    PieceFigures figures;
    std::optional<StepOutcome> outcome = compute(ticket.clock, ticket.piece, figures, report);
    if (!outcome) return false;
    // float16 gradients overflowed: the ticket counts as done, and moves nothing.
    if (!outcome->applied) figures.skipped = 1;
    PayloadFormat format = outcome->applied ? payload_format(mode_) : PayloadFormat::nothing;
    report.figures = to_numbers(figures);
    client_->push(ticket, format, gradient_pushes_->collect(), pulled, report);
    return true;
  }

  bool elastic_round(const Ticket& ticket, TicketReport& report) {
    int64_t begin = clocks_->begin_step(ticket.clock), end = clocks_->end_step(ticket.clock);
    int64_t requested = begin;
    auto request = [&] { loader_->request(requested++, ticket.piece, pieces_); };
    for (int64_t i = 0; i < std::min<int64_t>(end - begin, config_.data.prefetch_batches); ++i) request();
    int64_t joined = client_->times_joined();
    // Where the job ends or this worker has to come back, nothing whole has been pulled.
    auto pulled_nothing = [&] { return client_->end() || client_->times_joined() != joined; };
    if (!began_) {
      client_->pull();
      if (!pulled_nothing()) elastic_pushes_->begin_at_centre();
      began_ = !pulled_nothing();
    }
    PieceFigures figures;
    for (int64_t step = begin; step < end; ++step) {
      if (!compute(step, ticket.piece, figures, report)) return false;
      if (requested < end) request();
    }
    auto steps = static_cast<double>(end - begin);
    figures.loss /= steps;
    if (figures.generator_loss) *figures.generator_loss /= steps;
    if (figures.discriminator_loss) *figures.discriminator_loss /= steps;
    PullReport pulled = client_->pull();
    if (pulled_nothing() || !began_) return true;
    report.figures = to_numbers(figures);
    client_->push(ticket, payload_format(mode_), elastic_pushes_->exchange(), pulled, report);
    return true;
  }

  void fail(const EndOfJob& why) { client_->fail(why); }

  const ProcessSetting& setting_;
  const ParameterServerConfig& mode_;
  bool elastic_;
  Config config_;
  std::unique_ptr<Communicator> self_;
  int64_t pieces_ = 1;
  std::optional<Session> session_;
  std::optional<Loader> loader_;
  std::optional<Clocks> clocks_;
  std::vector<FlatShard> shards_;
  std::optional<GradientPushes> gradient_pushes_;
  std::optional<ElasticPushes> elastic_pushes_;
  std::optional<ParameterServerClient> client_;
  bool began_ = false;  // easgd: x is somewhere
  bool told_stop_ = false;
  bool left_ = false;
};

}  // namespace

EndOfJob run_worker(const ProcessSetting& setting) { return WorkerRun(setting).go(); }

}  // namespace trireme
