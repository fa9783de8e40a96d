#include "train/saving.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <future>
#include <thread>
#include <utility>

#include "base/error.h"
#include "checkpoint/load.h"
#include "checkpoint/manifest.h"
#include "train/resume.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Between two looks at the writers.
constexpr double shortest_pause_seconds = 100e-6, longest_pause_seconds = 50e-3;
// A wait of less is no news.
constexpr double noticed_wait_seconds = 0.1;

// Rank 0's claim, as the others need to know it.
struct ClaimCard {
  int64_t start = 0;
  std::array<char, 64> workshop{};  // the folder's name
};

ClaimCard spread_claim(const RunClaim* claim, Communicator& communicator) {
  ClaimCard card;
  if (claim != nullptr) {
    std::string name = claim->workshop().filename().string();
    card.start = claim->start();
    std::memcpy(card.workshop.data(), name.data(), std::min(name.size(), card.workshop.size() - 1));
  }
  communicator.broadcast(&card, sizeof card, 0);
  return card;
}

}  // namespace

KeepRule keep_rule(const CheckpointConfig& config) {
  return {config.keep, config.keep_every, config.keep_best, config.metric};
}

Saving::Saving(Session& session, const fs::path& checkpoints, const RunClaim* claim, MetricsWriter* metrics,
               const TrainHooks& hooks, Logger& log)
    : session_(session), checkpoints_(checkpoints), metrics_(metrics), hooks_(hooks), log_(log) {
  const Placement& placement = session.placement;
  ClaimCard card = spread_claim(claim, session.communicator);
  fs::path workshop = checkpoints / card.workshop.data();
  std::error_code ignored;
  bool blind = placement.leads_host && !fs::is_directory(workshop, ignored);
  bool shared = worst(blind ? 1 : 0) == 0;
  if (!shared && rank_zero()) {
    log_.warning(
        "{} is not to be seen from all hosts: rank 0 alone writes checkpoints. A run directory on a shared "
        "file system is written to by all hosts at once",
        checkpoints.string());
  }
  shards_ = shared ? placement.hosts : 1;
  bool writes = shared ? placement.leads_host : rank_zero();
  if (!writes) return;
  saver_ = std::make_unique<Saver>(
      SaveTarget{checkpoints, workshop, card.start, shared ? placement.host : 0, shards_},
      keep_rule(session.config.checkpoint), session.threads);
  saver_->prepare(checkpoint_content(session_, {}));
}

int64_t Saving::worst(int64_t own) {
  session_.communicator.all_reduce(&own, 1, DType::int64, ReduceOp::max);
  return own;
}

bool Saving::save(const RunPosition& position) {
  Clock::time_point begin = Clock::now();
  wait_for_writers();
  double waited = seconds_since(begin);
  if (waited > noticed_wait_seconds && !std::exchange(told_wait_, true) && rank_zero()) {
    log_.warning(
        "the checkpoint of step {} fell due while the one before was still being written: training waited "
        "{:.1f} s "
        "for it, as it will each time (raise checkpoint.every_steps)",
        position.step, waited);
  }
  warn_of_missing_figure(position);
  Verdict own = leads() ? copy(position) : copied;
  collect_spread_slots(leads() && own == copied);
  auto verdict = static_cast<Verdict>(worst(own));
  if (verdict == copied && leads()) saver_->write();
  last_stall_ = seconds_since(begin);
  figures_.stall_seconds += last_stall_;
  if (verdict == failed && rank_zero()) {
    tell_failure(position.step,
                 failure_.empty() ? "another host could not copy its part of the state" : failure_);
  }
  return verdict != not_finite;
}

// keep_best would keep nothing, silently.
void Saving::warn_of_missing_figure(const RunPosition& position) {
  const CheckpointConfig& config = session_.config.checkpoint;
  if (config.keep_best == 0 || !position.validation || !rank_zero() || told_figure_) return;
  told_figure_ = true;
  bool there = false;
  for_each_figure(*position.validation, [&](const char* name, double) { there |= name == config.metric; });
  if (there) return;
  log_.warning(
      "checkpoint.metric = \"{}\" is no figure of this model's validation ({}): keep_best keeps none",
      config.metric, figures_text(*position.validation));
}

Saving::Verdict Saving::copy(const RunPosition& position) {
  failure_.clear();
  try {
    return saver_->copy(checkpoint_content(session_, position)) ? copied : not_finite;
  } catch (const std::exception& error) {
    failure_ = error.what();
    if (!rank_zero()) log_.warning("copying the state of step {}: {}", position.step, failure_);
    return failed;
  }
}

// Collective: slots that no rank has whole go to their places in the writers' files, piece by piece.
void Saving::collect_spread_slots(bool take) {
  for (const auto& net : session_.learner->nets()) {
    const std::vector<ArenaTensor>& tensors = net->arenas().layout.parameters;
    std::vector<StateSlot> slots = net->whole_state(false).slots;
    StateSink sink;
    if (take) {
      sink = [&](size_t slot, Range range, const float* values) {
        for (const ArenaTensor& tensor : tensors) {
          size_t begin = std::max(range.begin, tensor.range().begin);
          size_t end = std::min(range.end, tensor.range().end);
          if (begin >= end) continue;
          float* place = saver_->place(slots[slot].name, tensor.name);
          if (place != nullptr)
            std::copy(values + (begin - range.begin), values + (end - range.begin),
                      place + (begin - tensor.offset));
        }
      };
    }
    net->collect_state(sink);
  }
}

// Collective: until no rank says that it is busy. In rounds, so that a watchdog sees ranks that wait and not
// ranks that hang, however long a slow disk takes.
void Saving::wait_together(const std::function<bool()>& busy) {
  for (Clock::time_point begin = Clock::now(); worst(busy() ? 1 : 0) != 0;) {
    // An eighth of what has been waited is slept too long at most.
    double pause = std::clamp(seconds_since(begin) / 8, shortest_pause_seconds, longest_pause_seconds);
    std::this_thread::sleep_for(std::chrono::duration<double>(pause));
  }
}

// The writer that commits would wait for a part that cannot come: ranks tell each other of those.
void Saving::wait_for_writers() {
  wait_together([this] {
    if (shards_ > 1 && worst(leads() && saver_->part_failed() ? 1 : 0) != 0 && rank_zero()) {
      saver_->give_up("the writer of another host has failed");
    }
    return leads() && saver_->busy();
  });
  if (leads()) saver_->wait();
  tell();
}

void Saving::settle() { wait_for_writers(); }

void Saving::tell() {
  if (!leads() || saver_->reports() == 0) return;
  for (const SaveReport& report : saver_->take_reports()) {
    if (report.taken_over) throw ClaimError("{}", report.error);
    if (!rank_zero()) {
      if (!report.error.empty()) {
        log_.warning("this host's part of the checkpoint of step {} was not written: {}", report.step,
                     report.error);
      }
      continue;
    }
    if (!report.error.empty()) {
      tell_failure(report.step, report.error);
      continue;
    }
    ++figures_.written;
    figures_.newest_step = report.step;
    session_.communicator.activity().set_resumable(true);
    if (metrics_ != nullptr) {
      metrics_->write(CheckpointRecord{report.step, last_stall_, report.write_seconds,
                                       static_cast<int64_t>(report.bytes), report.direct, ""});
    }
    if (hooks_.after_checkpoint) hooks_.after_checkpoint(report.step);
  }
}

void Saving::tell_failure(int64_t step, const std::string& error) {
  ++figures_.failed;
  failed_step_ = step;
  failure_ = error;
  log_.warning("CHECKPOINT OF STEP {} WAS NOT WRITTEN, older ones stay: {}", step, error);
  if (metrics_ != nullptr) metrics_->write(CheckpointRecord{step, last_stall_, 0, 0, false, error});
}

int64_t Saving::written() {
  int64_t count = figures_.written;
  session_.communicator.broadcast(&count, sizeof count, 0);
  return count;
}

void Saving::require(int64_t step) {
  settle();
  std::string error = rank_zero() && failed_step_ == step ? failure_ : "";
  std::future<std::string> verdict;
  if (rank_zero() && error.empty()) {
    verdict = std::async(std::launch::async, [folder = checkpoints_ / step_folder_name(step)] {
      try {
        require_good_checkpoint(folder);
      } catch (const std::exception& wrong) {
        return fmt::format("it was written, but reading it back: {}", wrong.what());
      }
      return std::string();
    });
  }
  wait_together([&verdict] {
    return verdict.valid() && verdict.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
  });
  if (verdict.valid()) error = verdict.get();
  if (worst(error.empty() ? 0 : 1) == 0) return;
  throw IoError(
      "the checkpoint of step {}, where the run ends, could not be written{}{}: make room below {} and "
      "start again",
      step, error.empty() ? "" : ": ", error, checkpoints_.string());
}

}  // namespace trireme
