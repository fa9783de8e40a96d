// sweep.jsonl and the CSV.
#include <fmt/format.h>

#include <cmath>
#include <set>

#include "base/atomic_file.h"
#include "sweep/results.h"
#include "sweep/results/figures.h"
#include "sweep/results/json_values.h"
#include "sweep/results/words.h"

namespace trireme {
namespace {

using Json = nlohmann::ordered_json;

Json scores_json(const SweepConfig& config, const std::vector<double>& scores) {
  Json object = Json::object();
  for (size_t i = 0; i < scores.size() && i < config.objectives.size(); ++i) {
    object[config.objectives[i].metric] = json_number(measured(config, i, scores[i]));
  }
  return object;
}

Json trial_json(const SweepView& view, const Trial& trial, const std::map<int64_t, Figures>& figures) {
  Json values = Json::object();
  for (size_t i = 0; i < trial.point.size(); ++i) {
    if (std::isnan(trial.point[i])) continue;
    values[view.space[i].key] = json_value(view.space, i, trial.point[i]);
  }
  Json curve = Json::array();
  for (const TrialReport& report : trial.reports) {
    Json place = {{"epoch", report.epoch}, {"step", report.step}, {"seconds", json_number(report.seconds)}};
    place.update(scores_json(view.config, report.scores));
    if (auto found = figures.find(report.epoch); found != figures.end()) {
      for (const auto& [name, value] : found->second) place[name] = json_number(value);
    }
    curve.push_back(std::move(place));
  }
  Json line = {
      {"trial", trial.number},      {"state", std::string(name_of(trial.state))},
      {"reason", trial.reason},     {"ranks", trial.width},
      {"attempts", trial.attempts}, {"parent", trial.parent < 0 ? Json(nullptr) : Json(trial.parent)},
      {"epochs", trial.epochs()},   {"rank_seconds", json_number(trial.busy_seconds)}};
  line["scores"] = scores_json(view.config, trial.scores);
  line["values"] = std::move(values);
  line["curve"] = std::move(curve);
  return line;
}

// RFC 4180: quoted where it must be, quotes doubled.
std::string cell(const std::string& text) {
  if (text.find_first_of("\",\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

// Reads back to the same bits; empty for nothing.
std::string cell(double value) { return std::isnan(value) ? "" : fmt::format("{}", value); }

std::string cell(const Json& value) {
  if (value.is_null()) return "";
  return value.is_string() ? cell(value.get<std::string>()) : cell(value.dump());
}

}  // namespace

std::string trials_of(const SweepView& view) {
  auto figures = figures_of(view);
  std::string text;
  for (const Trial& trial : view.history.trials()) {
    if (trial.point.empty()) continue;
    // What a reason quotes need not be UTF-8, JSON must.
    text +=
        trial_json(view, trial, figures[trial.number]).dump(-1, ' ', false, Json::error_handler_t::replace) +
        "\n";
  }
  return text;
}

void write_trials(const std::filesystem::path& folder, const SweepView& view) {
  write_file_atomically(folder / "sweep.jsonl", trials_of(view));
}

std::string csv_of(const SweepView& view) {
  auto figures = figures_of(view);
  std::set<std::string> others;  // figures that are no objectives
  for (const auto& [trial, by_epoch] : figures) {
    for (const auto& [epoch, list] : by_epoch) {
      for (const auto& [name, value] : list) others.insert(name);
    }
  }
  std::string text = "trial,state,reason,ranks,attempts,parent,epochs,steps,rank_seconds";
  for (const ObjectiveConfig& objective : view.config.objectives) {
    text += "," + cell(objective.metric);
    others.erase(objective.metric);
  }
  for (const std::string& name : others) text += "," + cell(name);
  for (const Parameter& parameter : view.space.parameters()) text += "," + cell(parameter.key);
  text += "\r\n";
  for (const Trial& trial : view.history.trials()) {
    if (trial.point.empty()) continue;
    text += fmt::format("{},{},{},{},{},{},{},{},{}", trial.number, name_of(trial.state), cell(trial.reason),
                        trial.width, trial.attempts, trial.parent < 0 ? "" : std::to_string(trial.parent),
                        trial.epochs(), trial.reports.empty() ? 0 : trial.reports.back().step,
                        cell(trial.busy_seconds));
    for (size_t i = 0; i < view.config.objectives.size(); ++i) {
      text += "," + (i < trial.scores.size() ? cell(measured(view.config, i, trial.scores[i])) : "");
    }
    std::map<std::string, double> of_scores;
    for (const auto& [name, value] : figures[trial.number][epoch_of_scores(trial)]) of_scores[name] = value;
    for (const std::string& name : others) {
      text += "," + (of_scores.contains(name) ? cell(of_scores[name]) : "");
    }
    for (size_t i = 0; i < view.space.size(); ++i) {
      text += "," + (i < trial.point.size() ? cell(json_value(view.space, i, trial.point[i])) : "");
    }
    text += "\r\n";
  }
  return text;
}

}  // namespace trireme
