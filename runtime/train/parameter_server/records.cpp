#include "train/parameter_server/records.h"

#include <fmt/format.h>

#include <algorithm>

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::max(std::chrono::duration<double>(Clock::now() - begin).count(), 1e-9);
}

void add(std::optional<double>& sum, const std::optional<double>& value) {
  if (value) sum = sum.value_or(0) + *value;
}

}  // namespace

RunRecords::RunRecords(const Session& session, const Clocks& clocks, int64_t pieces,
                       const RunPosition& resumed)
    : session_(session),
      clocks_(clocks),
      pieces_(pieces),
      resumed_(resumed),
      told_clocks_(clocks.first()),
      begin_(Clock::now()),
      last_train_(begin_),
      last_server_(begin_),
      last_train_step_(resumed.step) {}

void RunRecords::add(const TicketReport& report, const PieceFigures& figures) {
  for (Seconds* sums : {&since_, &all_}) {
    sums->wait += report.wait_seconds;
    sums->exchange += report.pull_seconds + report.push_seconds;
    sums->compute += report.compute_seconds;
    sums->data += figures.data_seconds;
    ++sums->pieces;
  }
  OfWorker& worker = workers_[report.worker];
  ++worker.pieces;
  worker.wait_seconds += report.wait_seconds;
  pushed_bytes_ += report.pushed_bytes;
  pulled_bytes_ += report.pulled_bytes;
  torn_blocks_ += report.torn_blocks;
  ++tickets_;
  staleness_sum_ += static_cast<double>(report.staleness);
}

std::vector<DoneClock> RunRecords::take(const TicketReport& report, int64_t clocks_done) {
  std::optional<PieceFigures> figures = figures_of(report.figures);
  if (figures) {
    add(report, *figures);
    Whole& whole = open_[report.clock];
    ++whole.reports;
    PieceFigures& sums = whole.sums;
    sums.samples += figures->samples;
    sums.loss += figures->loss;
    sums.learning_rate = std::max(sums.learning_rate, figures->learning_rate);
    sums.gradient_norm = std::max(sums.gradient_norm, figures->gradient_norm);
    sums.loss_scale =
        sums.loss_scale == 0 ? figures->loss_scale : std::min(sums.loss_scale, figures->loss_scale);
    sums.skipped += figures->skipped;
    trireme::add(sums.generator_loss, figures->generator_loss);
    trireme::add(sums.discriminator_loss, figures->discriminator_loss);
    samples_done_ += static_cast<int64_t>(figures->samples);
    samples_since_ += static_cast<int64_t>(figures->samples);
  }
  std::vector<DoneClock> done;
  for (; told_clocks_ < clocks_done; ++told_clocks_) {
    auto found = open_.find(told_clocks_);
    bool whole = found != open_.end() && found->second.reports == pieces_;
    done.push_back({told_clocks_, std::nullopt});
    if (whole) {
      done.back().sums = found->second.sums;
      if (static_cast<int64_t>(found->second.sums.skipped) == pieces_) ++skipped_;
    }
    if (found != open_.end()) open_.erase(found);
  }
  return done;
}

int64_t RunRecords::samples(int64_t step) const {
  auto seen = [this](int64_t steps) {
    int64_t all = session_.data.training->size();
    int64_t in_epoch = steps % session_.length.steps_per_epoch;
    return session_.epoch_of(steps) * all + std::min(in_epoch * session_.config.data.batch, all);
  };
  return resumed_.samples + seen(step) - seen(resumed_.step);
}

TrainRecord RunRecords::train_record(const DoneClock& clock) {
  TrainRecord record;
  record.step = clocks_.end_step(clock.clock);
  record.epoch = session_.running_epoch(record.step);
  record.samples = samples(record.step);
  const PieceFigures& sums = *clock.sums;
  record.loss = sums.loss;
  record.learning_rate =
      resumed_.learning_rate_factor *
      learning_rate_at(record.step - 1, session_.length,
                       session_.learner->nets().front()->optimizer().learning_rate, session_.config.schedule);
  auto pieces = static_cast<double>(std::max<int64_t>(since_.pieces, 1));
  record.data_seconds = since_.data / pieces;
  record.compute_seconds = since_.compute / pieces;
  record.exchange_seconds = (since_.wait + since_.exchange) / pieces;
  record.samples_per_second = static_cast<double>(samples_since_) / seconds_since(last_train_);
  if (session_.config.train.gradient_clip_norm > 0) record.gradient_norm = sums.gradient_norm;
  record.generator_loss = sums.generator_loss;
  record.discriminator_loss = sums.discriminator_loss;
  if (resumed_.learning_rate_factor != 1) record.learning_rate_factor = resumed_.learning_rate_factor;
  if (sums.loss_scale > 0) record.loss_scale = sums.loss_scale;
  record.skipped_steps = resumed_.skipped_steps + skipped_;
  since_ = {};
  samples_since_ = 0;
  last_train_ = Clock::now();
  last_train_step_ = record.step;
  return record;
}

ParameterServerRecord RunRecords::server_record(int64_t step, const ServerFigures& figures) {
  ParameterServerRecord record;
  double seconds = seconds_since(last_server_);
  record.step = step;
  record.workers = figures.workers;
  record.workers_lost = figures.workers_lost;
  record.pushes_per_second = static_cast<double>(tickets_) / seconds;
  record.pulls_per_second = record.pushes_per_second;  // each push follows a pull of its own
  record.pushed_bytes = pushed_bytes_;
  record.pulled_bytes = pulled_bytes_;
  record.torn_blocks = torn_blocks_;
  told_staleness_.resize(figures.staleness.size());
  for (size_t i = 0; i < figures.staleness.size(); ++i) {
    record.staleness.push_back(figures.staleness[i] - std::min(told_staleness_[i], figures.staleness[i]));
  }
  told_staleness_ = figures.staleness;
  while (record.staleness.size() > 1 && record.staleness.back() == 0) record.staleness.pop_back();
  record.mean_staleness = tickets_ > 0 ? staleness_sum_ / static_cast<double>(tickets_) : 0;
  record.duplicates = figures.duplicates;
  record.fenced = figures.fenced;
  record.refused = figures.refused_messages;
  for (const Coordinator::WorkerFigures& worker : figures.by_worker) {
    const OfWorker& own = workers_[worker.worker];
    record.by_worker.push_back({worker.worker, worker.present, own.pieces, own.wait_seconds});
  }
  mean_staleness_ = record.mean_staleness;
  workers_.clear();
  pushed_bytes_ = pulled_bytes_ = torn_blocks_ = 0;
  tickets_ = 0;
  staleness_sum_ = 0;
  last_server_ = Clock::now();
  return record;
}

std::string RunRecords::note(const ServerFigures& figures) const {
  return fmt::format("{} workers, staleness {:.1f}", figures.workers, mean_staleness_);
}

double RunRecords::samples_per_second() const {
  return static_cast<double>(samples_done_) / seconds_since(begin_);
}

double RunRecords::data_stall_fraction() const { return all_.all() > 0 ? all_.data / all_.all() : 0; }

}  // namespace trireme
