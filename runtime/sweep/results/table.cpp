#include "sweep/results/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/human.h"
#include "sweep/results/progress.h"
#include "sweep/results/timeline.h"
#include "sweep/results/words.h"

namespace trireme {
namespace {

constexpr size_t curve_columns = 16;
constexpr size_t most_objectives = 3;  // that have a column
constexpr size_t most_ended = 5;       // of the trials that ended last
constexpr size_t most_of_front = 6;

std::string last_part(const std::string& metric) { return metric.substr(metric.rfind('.') + 1); }

// "[████████▌         ]"
std::string bar(double fraction, size_t columns) {
  if (columns < 6) return "";
  static constexpr const char* parts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  size_t eighths = static_cast<size_t>(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(columns - 2) * 8);
  std::string text;
  for (size_t i = 0; i < eighths / 8; ++i) text += "█";
  text += parts[eighths % 8];
  return "[" + pad(text, columns - 2) + "]";
}

class Table {
 public:
  Table(const SweepView& view, size_t columns, double now)
      : view_(view),
        columns_(columns),
        now_(now),
        timeline_(timeline_of(view, now)),
        progress_(progress_of(view, timeline_)),
        front_(front_so_far(view)) {
    for (const RankSpan& span : timeline_.spans) {
      newest_span_[span.trial] = &span;
      wide_ = wide_ || span.ranks.size() > 1;
    }
    find_scale();
  }

  std::vector<TableLine> lines(size_t rows) {
    head();
    best(rows == 0 ? 4 : std::clamp<size_t>(rows / 8, 1, 4));
    std::vector<TableLine> running = table_of_state("running", sorted_running());
    std::vector<TableLine> ended = table_of_state("latest", newest_ended());
    if (rows > 0) {
      size_t left = rows > lines_.size() ? rows - lines_.size() : 0;
      shorten(running, left);
      shorten(ended, left - running.size());
      if (lines_.size() > rows) lines_.resize(rows);
    }
    lines_.insert(lines_.end(), running.begin(), running.end());
    lines_.insert(lines_.end(), ended.begin(), ended.end());
    return std::move(lines_);
  }

 private:
  void add(std::string_view text, LineStyle style = LineStyle::plain) {
    std::string line = fit(text, columns_);
    line.erase(line.find_last_not_of(' ') + 1);
    lines_.push_back({std::move(line), style});
  }

  // A title and its rows are shown whole, or as many rows as fit with a word on the rest, or not at all.
  static void shorten(std::vector<TableLine>& lines, size_t left) {
    if (lines.size() <= left) return;
    if (left < 4) {
      lines.clear();
      return;
    }
    size_t hidden = lines.size() - left + 1;
    lines.resize(left - 1);
    lines.push_back({fmt::format("        and {} more", hidden), LineStyle::dim});
  }

  std::string state_text() const {
    if (view_.is_silent(now_)) return fmt::format("silent for {},", human_duration(now_ - view_.last_sign));
    return std::string(name_of(state_of(view_)));
  }

  void head() {
    const SweepTable& sweep = view_.config.sweep;
    std::string who = sweep.sampler + (sweep.scheduler == "none" ? "" : " + " + sweep.scheduler);
    int ranks = 0;
    for (const SweepStart& start : timeline_.starts) {
      if (start.open) ranks += start.ranks;
    }
    if (ranks == 0 && !timeline_.starts.empty()) ranks = timeline_.starts.back().ranks;
    add(fmt::format("{}   {}   {} {}   {} rank{}   utilisation {:.1f} %", sweep.name, who, state_text(),
                    clock_text(timeline_.seconds), ranks, ranks == 1 ? "" : "s",
                    100 * timeline_.utilisation()),
        LineStyle::bold);
    std::string behind = progress_.spent;
    if (view_.is_open() && !view_.is_silent(now_) && progress_.seconds_left) {
      behind += fmt::format("   about {} left", clock_text(*progress_.seconds_left));
    }
    size_t taken = text_columns(behind) + 2;
    std::string drawn =
        bar(progress_.fraction, columns_ > taken ? std::min<size_t>(columns_ - taken, 60) : 0);
    add(drawn.empty() ? behind : drawn + "  " + behind);
    std::string states = states_text(progress_);
    if (view_.config.budget.epochs == 0) states += fmt::format("   {} epochs", view_.history.epochs());
    add(states, LineStyle::dim);
    for (const std::string& warning : view_.warnings) add("warning: " + warning, LineStyle::bold);
    add("");
  }

  void best(size_t value_lines) {
    if (front_.empty()) {
      add("best    none yet", LineStyle::good);
    } else if (view_.config.objectives.size() > 1) {
      add(fmt::format("front   {} trials that no other beats in all", front_.size()), LineStyle::good);
      for (size_t i = 0; i < front_.size() && i < std::min(most_of_front, value_lines + 2); ++i) {
        const Trial& trial = view_.history.trial(front_[i]);
        add(fmt::format("  {:>5}  {}   {}", trial.number, scores_text(view_.config, trial.scores),
                        short_point(view_.space, trial.point)));
      }
    } else {
      const Trial& trial = view_.history.trial(front_.front());
      std::string text = fmt::format("best    {}  of trial {}, epoch {}",
                                     scores_text(view_.config, trial.scores), trial.number, trial.epochs());
      auto span = newest_span_.find(trial.number);
      if (!trial.is_over()) {
        text += fmt::format(", {}", name_of(trial.state));
      } else if (span != newest_span_.end() && now_ > span->second->end) {
        text += fmt::format(", {} ago", human_duration(now_ - span->second->end));
      }
      add(text + "  " + curve_of(trial), LineStyle::good);
      values(trial, value_lines);
    }
    add("");
  }

  // "key=value" pairs, as many a line as fit.
  void values(const Trial& trial, size_t most_lines) {
    constexpr std::string_view indent = "        ";
    std::string line(indent);
    size_t used = 0;
    for (size_t i = 0; i < trial.point.size() && used < most_lines; ++i) {
      if (std::isnan(trial.point[i])) continue;
      std::string pair = view_.space[i].key + "=" + short_value(view_.space, i, trial.point[i]);
      if (line.size() > indent.size() && text_columns(line) + text_columns(pair) > columns_) {
        add(line);
        ++used;
        line = indent;
      }
      line += pair + "  ";
    }
    if (line.size() > indent.size() && used < most_lines) add(line);
  }

  std::vector<const Trial*> sorted_running() const {
    std::vector<const Trial*> running;
    for (const Trial& trial : view_.history.trials()) {
      if (trial.state == TrialState::running) running.push_back(&trial);
    }
    return running;
  }

  std::vector<const Trial*> newest_ended() const {
    std::vector<const Trial*> ended;
    for (auto event = view_.events.rbegin(); event != view_.events.rend() && ended.size() < most_ended;
         ++event) {
      auto* end = std::get_if<EndRecord>(&event->record.what);
      if (end == nullptr) continue;
      const Trial* trial = &view_.history.trial(end->trial);
      bool shown =
          trial->state != TrialState::running && std::find(ended.begin(), ended.end(), trial) == ended.end();
      if (shown) ended.push_back(trial);
    }
    return ended;
  }

  std::vector<TableLine> table_of_state(const std::string& title, const std::vector<const Trial*>& trials) {
    if (trials.empty()) return {};
    std::vector<TableLine> whole = std::exchange(lines_, {});
    std::string heading = pad(title, 8) + "epoch  ";
    size_t objectives = std::min(view_.config.objectives.size(), most_objectives);
    for (size_t i = 0; i < objectives; ++i) {
      heading += pad(last_part(view_.config.objectives[i].metric), 10, true) + "  ";
    }
    heading += pad("curve", curve_columns) + (wide_ ? "  ranks" : "") + "    time  ";
    add(heading + (title == "running" ? "values" : "state, values"), LineStyle::dim);
    for (const Trial* trial : trials) add(row_of(*trial, objectives));
    add("");
    return std::exchange(lines_, std::move(whole));
  }

  std::string row_of(const Trial& trial, size_t objectives) const {
    std::string epochs = fmt::format("{}", trial.epochs());
    if (view_.max_epochs > 0) epochs += fmt::format("/{}", view_.max_epochs);
    std::string row = pad(fmt::format("{:>5}", trial.number), 8) + pad(epochs, 7);
    for (size_t i = 0; i < objectives; ++i) {
      std::string score = i < trial.scores.size() ? figure_text(measured(view_.config, i, trial.scores[i]))
                                                  : std::string("-");
      row += pad(score, 10, true) + "  ";
    }
    row += pad(curve_of(trial), curve_columns);
    auto span = newest_span_.find(trial.number);
    double seconds = span == newest_span_.end() ? 0 : span->second->end - span->second->begin;
    if (wide_) row += fmt::format("  {:>5}", trial.width);
    row += fmt::format("  {:>6}  ", seconds < 100 ? fmt::format("{:.1f} s", seconds) : clock_text(seconds));
    if (trial.state != TrialState::running) {
      row += std::string(name_of(trial.state)) + (trial.reason.empty() ? "  " : ": " + trial.reason + "  ");
    }
    return row + short_point(view_.space, trial.point);
  }

  std::vector<double> curve_values(const Trial& trial) const {
    std::vector<double> values;
    for (const TrialReport& report : trial.reports) {
      if (!report.scores.empty()) values.push_back(measured(view_.config, 0, report.scores[0]));
    }
    return values;
  }
  std::string curve_of(const Trial& trial) const {
    return sparkline(curve_values(trial), low_, high_, curve_columns);
  }
  // One scale for all curves that are shown, so that their heights compare.
  void find_scale() {
    auto widen = [this](const Trial& trial) {
      for (double value : curve_values(trial)) {
        if (!std::isfinite(value)) continue;
        low_ = std::min(low_, value);
        high_ = std::max(high_, value);
      }
    };
    for (const Trial* trial : sorted_running()) widen(*trial);
    if (!front_.empty()) widen(view_.history.trial(front_.front()));
  }

  const SweepView& view_;
  size_t columns_;
  double now_;
  Timeline timeline_;
  SweepProgress progress_;
  std::vector<int64_t> front_;
  std::map<int64_t, const RankSpan*> newest_span_;  // of each trial
  bool wide_ = false;
  double low_ = std::numeric_limits<double>::infinity();
  double high_ = -std::numeric_limits<double>::infinity();
  std::vector<TableLine> lines_;
};

}  // namespace

std::vector<TableLine> table_lines(const SweepView& view, int columns, int rows, double now) {
  std::vector<TableLine> lines = Table(view, static_cast<size_t>(std::max(columns, 20)), now)
                                     .lines(static_cast<size_t>(std::max(rows, 0)));
  while (!lines.empty() && lines.back().text.empty()) lines.pop_back();
  return lines;
}

std::string styled_text(const std::vector<TableLine>& lines) {
  std::string text;
  for (const TableLine& line : lines) {
    if (!text.empty()) text += '\n';
    switch (line.style) {
      case LineStyle::plain:
        text += line.text;
        continue;
      case LineStyle::bold:
        text += "\x1b[1m";
        break;
      case LineStyle::dim:
        text += "\x1b[2m";
        break;
      case LineStyle::good:
        text += "\x1b[32m";
        break;
    }
    text += line.text + "\x1b[0m";
  }
  return text;
}

std::string table_of(const SweepView& view, int columns, int rows, double now) {
  std::string text;
  for (const TableLine& line : table_lines(view, columns, rows, now)) text += line.text + "\n";
  return text;
}

}  // namespace trireme
