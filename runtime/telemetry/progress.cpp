#include "telemetry/progress.h"

#include <algorithm>

namespace trireme {
namespace {

std::chrono::nanoseconds seconds(double value) {
  return std::chrono::nanoseconds(static_cast<int64_t>(value * 1e9));
}

// "01:23", or "1:02:03" from an hour on.
std::string clock_text(double left) {
  auto whole = static_cast<int64_t>(left + 0.5);
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{:02}:{:02}", whole / 60, whole % 60);
}

std::string out_of(int64_t value, int64_t total) {
  return total > 0 ? fmt::format("{}/{}", value, total) : fmt::format("{}", value);
}

// Marks are moved when they are this old, so that the rate is one of the last few seconds.
constexpr double window_seconds = 3;

}  // namespace

Progress::Progress(Logger& logger, const Options& options)
    : logger_(logger),
      options_(options),
      next_draw_(Clock::now() + seconds(options.draw_seconds)),
      next_line_(Clock::now() + seconds(options.line_seconds)),
      mark_time_(Clock::now()),
      mark_samples_(options.first_samples),
      mark_step_(options.first_step) {}

Progress::~Progress() { clear(); }

void Progress::update(const ProgressPoint& point) {
  auto now = Clock::now();
  bool draw = logger_.has_terminal() && now >= next_draw_;
  bool say = now >= next_line_;
  if (!draw && !say) return;
  if (draw) {
    logger_.set_status(bar(point, logger_.terminal_columns()));
    next_draw_ = now + seconds(options_.draw_seconds);
  }
  if (say) plain_line(point, now);
  move_mark(point, now);
}

void Progress::epoch_end(const ProgressPoint& point) {
  auto now = Clock::now();
  plain_line(point, now);
  move_mark(point, now);
}

void Progress::go_back(const ProgressPoint& point) {
  mark_time_ = Clock::now();
  mark_samples_ = point.samples;
  mark_step_ = point.step;
}

void Progress::clear() { logger_.set_status(""); }

void Progress::plain_line(const ProgressPoint& point, Clock::time_point now) {
  if (logger_.has_terminal()) {
    logger_.write_to_file(LogLevel::info, line(point));  // the console has the bar
  } else {
    logger_.write(LogLevel::info, line(point));
  }
  next_line_ = now + seconds(options_.line_seconds);
}

void Progress::move_mark(const ProgressPoint& point, Clock::time_point now) {
  double age = std::chrono::duration<double>(now - mark_time_).count();
  if (age < window_seconds || point.step <= mark_step_) return;
  recent_rate_ = static_cast<double>(point.samples - mark_samples_) / age;
  recent_step_rate_ = static_cast<double>(point.step - mark_step_) / age;
  mark_time_ = now;
  mark_samples_ = point.samples;
  mark_step_ = point.step;
}

// What was done since the mark, together with what the window before gave: a young mark alone would make the
// rate jump.
double Progress::blend(double done_since_mark, double former) const {
  double age = std::chrono::duration<double>(Clock::now() - mark_time_).count();
  if (former <= 0) return age > 0 && done_since_mark > 0 ? done_since_mark / age : 0;
  double weight = std::min(1.0, age / window_seconds);
  return age > 0 ? weight * (done_since_mark / age) + (1 - weight) * former : former;
}

double Progress::rate(const ProgressPoint& point) const {
  return blend(static_cast<double>(point.samples - mark_samples_), recent_rate_);
}

double Progress::seconds_left(const ProgressPoint& point) const {
  double steps = blend(static_cast<double>(point.step - mark_step_), recent_step_rate_);
  if (options_.total_steps <= 0 || steps <= 0) return -1;
  return static_cast<double>(std::max<int64_t>(0, options_.total_steps - point.step)) / steps;
}

std::string Progress::line(const ProgressPoint& point) const {
  std::string text = fmt::format("step {}  epoch {}", out_of(point.step, options_.total_steps),
                                 out_of(point.epoch, options_.total_epochs));
  if (!std::isnan(point.loss)) text += fmt::format("  loss {:.4f}", point.loss);
  text += fmt::format("  {:.0f} samples/s", rate(point));
  if (!point.note.empty()) text += "  " + point.note;
  double left = seconds_left(point);
  if (left >= 0) text += fmt::format("  {} left", clock_text(left));
  return text;
}

std::string Progress::bar(const ProgressPoint& point, int columns) const {
  std::string text = line(point);
  // One column stays free: a full last column makes some terminals wrap.
  size_t room = columns > 1 ? static_cast<size_t>(columns - 1) : 1;
  constexpr size_t least = 8;
  constexpr size_t most = 30;
  if (options_.total_steps > 0 && text.size() + least + 3 <= room) {
    size_t width = std::min(most, room - text.size() - 3);
    double done = static_cast<double>(point.step) / static_cast<double>(options_.total_steps);
    auto full = static_cast<size_t>(std::clamp(done, 0.0, 1.0) * static_cast<double>(width));
    text = fmt::format("[{:=<{}}{:{}}] {}", "", full, "", width - full, text);
  }
  return text.substr(0, room);
}

}  // namespace trireme
