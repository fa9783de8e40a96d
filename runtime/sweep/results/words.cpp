#include "sweep/results/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace trireme {
namespace {

bool begins_code_point(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

// The last `parts` parts of a dotted key.
std::string tail_of(const std::string& key, size_t parts) {
  size_t at = key.size();
  for (; parts > 0 && at != std::string::npos && at > 0; --parts) at = key.rfind('.', at - 1);
  return parts == 0 && at != std::string::npos && at > 0 ? key.substr(at + 1) : key;
}

}  // namespace

double measured(const SweepConfig& config, size_t objective, double score) {
  bool maximized = objective < config.objectives.size() && config.objectives[objective].maximized;
  return maximized ? -score : score;
}

std::string figure_text(double value) {
  if (std::isnan(value)) return "-";
  double size = std::fabs(value);
  if (value == std::floor(value) && size < 1e9) return fmt::format("{:.0f}", value + 0.0);
  if (size >= 1e4 && size < 1e8) return fmt::format("{:.0f}", value);
  if (size >= 1e-3 && size < 1e4) return fmt::format("{:#.4g}", value);
  return fmt::format("{:.3g}", value);
}

std::string scores_text(const SweepConfig& config, const std::vector<double>& scores) {
  std::string text;
  for (size_t i = 0; i < scores.size() && i < config.objectives.size(); ++i) {
    if (i > 0) text += ", ";
    text += config.objectives[i].metric + " " + figure_text(measured(config, i, scores[i]));
  }
  return text;
}

std::string short_value(const Space& space, size_t parameter, double value) {
  if (std::isnan(value)) return "-";
  if (space[parameter].kind == ParameterKind::real) return fmt::format("{:.4g}", value);
  std::string text = space.literal(parameter, value);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') return text.substr(1, text.size() - 2);
  return text;
}

std::vector<std::string> short_keys(const Space& space) {
  std::vector<std::string> keys;
  for (size_t i = 0; i < space.size(); ++i) {
    std::string key;
    for (size_t parts = 1; parts < 8; ++parts) {
      key = tail_of(space[i].key, parts);
      bool alone = true;
      for (size_t j = 0; j < space.size(); ++j) alone &= j == i || tail_of(space[j].key, parts) != key;
      if (alone) break;
    }
    keys.push_back(key);
  }
  return keys;
}

std::string short_point(const Space& space, const Point& point) {
  std::vector<std::string> keys = short_keys(space);
  std::string text;
  for (size_t i = 0; i < point.size() && i < keys.size(); ++i) {
    if (std::isnan(point[i])) continue;
    if (!text.empty()) text += ' ';
    bool is_word = space[i].kind == ParameterKind::choice && space.literal(i, point[i]).starts_with('"');
    text += (is_word ? "" : keys[i] + "=") + short_value(space, i, point[i]);
  }
  return text;
}

std::string sparkline(const std::vector<double>& values, double low, double high, size_t width) {
  static constexpr const char* heights[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string text;
  size_t count = std::min(values.size(), width);
  for (size_t i = 0; i < count; ++i) {
    // Spread over all values, the last one among them.
    size_t at = count == values.size() ? i : (i + 1) * values.size() / count - 1;
    double part = high > low ? (values[at] - low) / (high - low) : 0.5;
    double height = std::isnan(part) ? 7 : std::clamp(part, 0.0, 1.0) * 7;
    text += heights[static_cast<size_t>(std::lround(height))];
  }
  return text;
}

std::string clock_text(double seconds) {
  auto whole = static_cast<int64_t>(std::clamp(seconds, 0.0, 1e12) + 0.5);
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

size_t text_columns(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), begins_code_point));
}

std::string fit(std::string_view text, size_t columns) {
  bool whole = text_columns(text) <= columns;
  size_t left = whole ? columns : std::max<size_t>(columns, 1) - 1;
  std::string result;
  for (char c : text) {
    if (begins_code_point(c) && left-- == 0) break;
    result += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  if (!whole && columns > 0) result += "…";
  return result;
}

std::string pad(std::string_view text, size_t columns, bool to_the_right) {
  std::string cut = fit(text, columns);
  std::string blanks(columns - text_columns(cut), ' ');
  return to_the_right ? blanks + cut : cut + blanks;
}

}  // namespace trireme
