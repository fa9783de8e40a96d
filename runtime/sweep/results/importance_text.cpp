#include "sweep/results/importance_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "sweep/importance.h"
#include "sweep/results/words.h"

namespace trireme {
namespace {

using Json = nlohmann::ordered_json;

constexpr double least_pair = 0.005;  // of those that are shown to people

std::string blocks(double share, double most, size_t columns) {
  auto count = static_cast<size_t>(share / most * static_cast<double>(columns) + 0.5);
  std::string text;
  for (size_t i = 0; i < count; ++i) text += "█";
  return text;
}

std::string table(const std::vector<Importance>& importances, size_t singles, size_t columns) {
  size_t names = 0;
  double most = 1e-9;
  for (size_t i = 0; i < importances.size(); ++i) {
    if (i >= singles && importances[i].share < least_pair) continue;
    names = std::max(names, text_columns(importances[i].name));
    most = std::max(most, importances[i].share);
  }
  names = std::min(names, columns > 50 ? columns - 30 : 20);
  size_t room = columns > names + 22 ? columns - names - 22 : 0;
  std::string text;
  for (size_t i = 0; i < importances.size(); ++i) {
    const Importance& one = importances[i];
    if (i >= singles && one.share < least_pair) break;
    if (i == singles) text += "  pairs, beyond what each does alone\n";
    std::string line = fmt::format("  {} {:5.1f} % ± {:4.1f}  {}", pad(one.name, names), 100 * one.share,
                                   100 * one.deviation, blocks(one.share, most, std::min<size_t>(room, 40)));
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

// Trials that importance_of() learns from.
int64_t trials_with_scores(const SweepView& view) {
  return std::count_if(view.history.trials().begin(), view.history.trials().end(),
                       [](const Trial& trial) { return trial.is_over() && !trial.scores.empty(); });
}

std::string encode(const std::vector<SweepEvent>& events) {
  std::string text;
  for (const SweepEvent& event : events) text += fmt::format("{} {}\n", event.worker, to_json(event.record));
  return text;
}

std::vector<SweepEvent> decode(std::string_view text) {
  std::vector<SweepEvent> events;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() + 1);
    int64_t worker = 0;
    auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), worker);
    line.remove_prefix(static_cast<size_t>(rest - line.data()) + 1);
    events.push_back({.worker = worker, .record = record_from_json(line)});
  }
  return events;
}

}  // namespace

std::string importance_text(const SweepView& view, const ImportanceTextOptions& options,
                            Communicator& communicator) {
  Json all = Json::array();
  std::string text;
  bool found = false;
  for (size_t i = 0; i < view.config.objectives.size(); ++i) {
    const std::string& metric = view.config.objectives[i].metric;
    if (!options.metric.empty() && options.metric != metric) continue;
    found = true;
    ImportanceOptions wanted{.trees = options.trees, .objective = static_cast<int>(i)};
    std::vector<Importance> importances = importance_of(view.space, view.history, wanted, communicator);
    Json rows = Json::array();
    for (const Importance& one : importances) {
      rows.push_back({{"name", one.name}, {"share", one.share}, {"deviation", one.deviation}});
    }
    all.push_back({{"objective", metric}, {"trials", trials_with_scores(view)}, {"importances", rows}});
    if (!text.empty()) text += "\n";
    text += fmt::format("{}: share of the variance over the whole space, by {} trials and {} trees\n", metric,
                        trials_with_scores(view), options.trees);
    text += importances.empty() ? "  too few yet: it takes 4 trials that are over and have scores\n"
                                : table(importances, view.space.size(), static_cast<size_t>(options.columns));
  }
  if (!found) {
    std::string names;
    for (const ObjectiveConfig& objective : view.config.objectives) {
      names += (names.empty() ? "" : ", ") + objective.metric;
    }
    throw UsageError("--objective {}: this sweep's are {}", options.metric, names);
  }
  return options.json ? all.dump(2) + "\n" : text;
}

SweepView open_sweep_alike(const std::filesystem::path& folder, Communicator& communicator) {
  if (communicator.size() == 1) return open_sweep(folder);
  if (communicator.rank() == 0) {
    SweepView view = open_sweep(folder);
    std::string text = encode(view.events);
    uint64_t bytes = text.size();
    communicator.broadcast(&bytes, sizeof bytes, 0);
    communicator.broadcast(text.data(), bytes, 0);
    return view;
  }
  uint64_t bytes = 0;
  communicator.broadcast(&bytes, sizeof bytes, 0);
  std::string text(bytes, '\0');
  communicator.broadcast(text.data(), bytes, 0);
  std::vector<SweepEvent> events = decode(text);
  bool shared =
      std::any_of(events.begin(), events.end(), [](const SweepEvent& event) { return event.worker != 0; });
  SweepView view = open_sweep_without_records(folder, shared);
  for (SweepEvent& event : events) view.add(std::move(event));
  return view;
}

}  // namespace trireme
