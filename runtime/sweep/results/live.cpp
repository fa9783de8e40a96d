#include "sweep/results/live.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "sweep/results/figures.h"
#include "sweep/results/progress.h"
#include "sweep/results/table.h"
#include "sweep/results/timeline.h"
#include "sweep/results/words.h"

namespace trireme {
namespace {

std::chrono::nanoseconds in_seconds(double seconds) {
  return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

// "41/100 trials, about 3:12 left, utilisation 99.1 %"
std::string standing(const SweepView& view, double now) {
  Timeline timeline = timeline_of(view, now);
  SweepProgress progress = progress_of(view, timeline);
  std::string text = progress.spent;
  if (view.is_open() && progress.seconds_left) {
    text += fmt::format(", about {} left", clock_text(*progress.seconds_left));
  }
  return text + fmt::format(", utilisation {:.1f} %", 100 * timeline.utilisation());
}

// "trial 12 finished after epoch 9: validation.loss 0.3142"
std::string end_text(const SweepView& view, const Trial& trial) {
  std::string text = fmt::format("trial {} {}", trial.number, name_of(trial.state));
  if (trial.epochs() > 0) text += fmt::format(" after epoch {}", trial.epochs());
  if (!trial.scores.empty()) text += ": " + scores_text(view.config, trial.scores);
  if (!trial.reason.empty()) text += " (" + trial.reason + ")";
  return text;
}

// "new best: validation.loss 0.2832 of trial 7, epoch 9"
std::string best_text(const SweepView& view, const std::vector<int64_t>& front) {
  if (front.size() > 1) return fmt::format("the front has {} trials now", front.size());
  const Trial& best = view.history.trial(front.front());
  return fmt::format("new best: {} of trial {}, epoch {}", scores_text(view.config, best.scores), best.number,
                     epoch_of_scores(best));
}

}  // namespace

void Live::Paced::done(Clock::time_point began) {
  Clock::time_point end = Clock::now();
  next = end + std::max<Clock::duration>(in_seconds(least_seconds), 50 * (end - began));
}

Live::Live(Logger& logger, LiveOptions options)
    : logger_(logger),
      options_(std::move(options)),
      table_{.least_seconds = options_.table_seconds},
      files_{.least_seconds = options_.files_seconds,
             .next = Clock::now() + in_seconds(options_.files_seconds)},
      next_line_(Clock::now()) {}

void Live::update(const SweepView& view, double now, bool last) {
  tell_ends(view, now, last);
  Clock::time_point began = Clock::now();
  if (last) {
    logger_.set_status("");
    for (const TableLine& line : table_lines(view, logger_.terminal_columns(), 0, now)) {
      logger_.info("{}", line.text);
    }
  } else if (logger_.has_terminal() && table_.is_due(began)) {
    // A line is left for what is typed, and for what is logged above.
    int rows = std::max(4, logger_.terminal_rows() - 2);
    logger_.set_status(styled_text(table_lines(view, logger_.terminal_columns(), rows, now)));
    table_.done(began);
  }
  write_files(view, now, last);
}

void Live::tell_ends(const SweepView& view, double now, bool last) {
  bool restored = events_ == 0 && view.past > 0;  // what an earlier start has done is no news
  std::vector<std::string> ends;
  for (; events_ < view.events.size(); ++events_) {
    auto* end = std::get_if<EndRecord>(&view.events[events_].record.what);
    if (end == nullptr || end->state == "paused" || end->state == "interrupted") continue;
    if (end->state == "crashed") {
      if (events_ >= view.past) logger_.warning("trial {} has crashed: {}", end->trial, end->reason);
      continue;
    }
    ended_since_ = true;
    if (events_ >= view.past) ends.push_back(end_text(view, view.history.trial(end->trial)));
  }
  front_ = front_so_far(view);
  std::vector<double> scores =
      front_.empty() ? std::vector<double>() : view.history.trial(front_.front()).scores;
  // The best may do worse on its way, and still be the best: news is only what is below all that was told.
  bool same = front_ == told_front_;
  bool better = same && scores.size() == 1 && scores < told_scores_;
  bool new_best = (!same || better) && !restored && !front_.empty();
  if (!same || better) told_scores_ = std::move(scores);
  told_front_ = front_;
  ended_ += static_cast<int64_t>(ends.size());
  if (ends.empty() && !new_best) return;
  for (size_t i = 0; i + 1 < ends.size(); ++i) logger_.write_to_file(LogLevel::info, ends[i]);
  Clock::time_point time = Clock::now();
  std::string line = ends.empty() ? "" : ends.back();
  if (new_best) line += (ends.empty() ? "" : "; ") + best_text(view, front_);
  int64_t untold = ended_ - (ends.empty() ? 0 : 1);
  if (untold > 0) line += fmt::format("; {} more ended", untold);
  line += "; " + standing(view, now);
  // A new best is told at once, but not more often than one can read.
  bool due = time >= next_line_ || last ||
             (new_best && time >= next_line_ - in_seconds(0.9 * options_.line_seconds));
  if (logger_.has_terminal() || !due) {
    logger_.write_to_file(LogLevel::info, line);
    if (logger_.has_terminal()) ended_ = 0;
    return;
  }
  logger_.info("{}", line);
  ended_ = 0;
  next_line_ = time + in_seconds(options_.line_seconds);
}

void Live::write_files(const SweepView& view, double now, bool last) {
  Clock::time_point began = Clock::now();
  bool due = last || (files_.is_due(began) && ended_since_);
  // After a failure the best waits for its turn, too.
  bool new_best = front_ != written_front_ && (warned_.empty() || files_.is_due(began));
  if (!due && !new_best) return;
  try {
    if (last || new_best) {
      write_best(options_.folder, view);
      written_front_ = front_;
    }
    if (!due) return;
    write_trials(options_.folder, view);
    write_report(options_.folder, view, now);
    ended_since_ = false;
    warned_.clear();
  } catch (const Error& error) {
    if (last) throw;
    if (warned_ != error.what()) logger_.warning("{}; it will be tried again", error.what());
    warned_ = error.what();
  }
  files_.done(began);
}

}  // namespace trireme
