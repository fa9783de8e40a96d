#include "sweep/results/report_data.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "comm/communicator.h"
#include "sweep/importance.h"
#include "sweep/results/json_values.h"
#include "sweep/results/progress.h"
#include "sweep/results/timeline.h"
#include "sweep/results/words.h"

namespace trireme {
namespace {

using Json = nlohmann::ordered_json;

std::string_view kind_name(ParameterKind kind) {
  switch (kind) {
    case ParameterKind::real:
      return "real";
    case ParameterKind::integer:
      return "integer";
    case ParameterKind::choice:
      return "choice";
  }
  return "";
}

Json parameters_json(const Space& space) {
  Json parameters = Json::array();
  for (size_t i = 0; i < space.size(); ++i) {
    const Parameter& parameter = space[i];
    Json one = {{"key", parameter.key},
                {"kind", std::string(kind_name(parameter.kind))},
                {"log", parameter.logarithmic},
                {"low", json_number(parameter.low)},
                {"high", json_number(parameter.high)}};
    for (size_t c = 0; c < parameter.choices.size(); ++c) {
      one["choices"].push_back(short_value(space, i, static_cast<double>(c)));
    }
    if (parameter.when) one["when"] = parameter.when->text();
    parameters.push_back(std::move(one));
  }
  return parameters;
}

Json scores_json(const SweepConfig& config, const std::vector<double>& scores) {
  Json list = Json::array();
  for (size_t i = 0; i < scores.size(); ++i) list.push_back(json_number(measured(config, i, scores[i])));
  return list;
}

Json trials_json(const SweepView& view) {
  std::vector<int64_t> front = front_so_far(view);
  std::set<int64_t> best(front.begin(), front.end());
  Json trials = Json::array();
  for (const Trial& trial : view.history.trials()) {
    if (trial.point.empty()) continue;
    Json values = Json::array();
    for (double value : trial.point) values.push_back(json_number(value));
    Json curve = Json::array();
    for (const TrialReport& report : trial.reports) {
      Json place = {report.epoch, report.step, json_number(report.seconds)};
      for (Json& score : scores_json(view.config, report.scores)) place.push_back(std::move(score));
      curve.push_back(std::move(place));
    }
    Json one = {{"n", trial.number},
                {"state", std::string(name_of(trial.state))},
                {"reason", trial.reason},
                {"ranks", trial.width},
                {"attempts", trial.attempts},
                {"parent", trial.parent},
                {"busy", json_number(trial.busy_seconds)}};
    one["values"] = std::move(values);
    one["scores"] = scores_json(view.config, trial.scores);
    one["curve"] = std::move(curve);
    if (best.contains(trial.number)) one["front"] = true;
    trials.push_back(std::move(one));
  }
  return trials;
}

Json importances_json(const SweepView& view) {
  Json all = Json::array();
  auto alone = make_self_communicator();
  for (size_t objective = 0; objective < view.config.objectives.size(); ++objective) {
    Json one = {{"singles", Json::array()}, {"pairs", Json::array()}};
    ImportanceOptions options{.objective = static_cast<int>(objective)};
    std::vector<Importance> importances = importance_of(view.space, view.history, options, *alone);
    for (size_t i = 0; i < importances.size(); ++i) {
      Json row = {importances[i].name, importances[i].share, importances[i].deviation};
      one[i < view.space.size() ? "singles" : "pairs"].push_back(std::move(row));
    }
    all.push_back(std::move(one));
  }
  return all;
}

// Milliseconds are enough for a picture.
double rounded(double seconds) { return std::round(seconds * 1e3) / 1e3; }

}  // namespace

Json report_data(const SweepView& view, double now) {
  Timeline timeline = timeline_of(view, now);
  SweepProgress progress = progress_of(view, timeline);
  const SweepTable& sweep = view.config.sweep;
  double first = timeline.starts.empty() ? 0 : timeline.starts.front().begin;
  int ranks = 0;
  for (const SweepStart& start : timeline.starts) ranks = std::max(ranks, start.ranks);
  Json data = {{"name", sweep.name},
               {"state", std::string(view.is_silent(now) ? "silent" : name_of(state_of(view)))},
               {"written", rounded(now)},
               {"begun", rounded(first)},
               {"seconds", rounded(timeline.seconds)},
               {"utilisation", timeline.utilisation()},
               {"spent", progress.spent},
               {"fraction", progress.fraction},
               {"states", states_text(progress)},
               {"epochs", view.history.epochs()},
               {"max_epochs", view.max_epochs},
               {"sampler", sweep.sampler},
               {"scheduler", sweep.scheduler},
               {"seed", sweep.seed},
               {"ranks", ranks},
               {"at", view.config.at},
               {"warnings", view.warnings}};
  if (view.is_open() && !view.is_silent(now) && progress.seconds_left) {
    data["left"] = rounded(*progress.seconds_left);
  }
  data["objectives"] = Json::array();
  for (const ObjectiveConfig& objective : view.config.objectives) {
    data["objectives"].push_back({{"metric", objective.metric}, {"maximized", objective.maximized}});
  }
  data["parameters"] = parameters_json(view.space);
  data["trials"] = trials_json(view);
  data["importances"] = importances_json(view);
  data["starts"] = Json::array();
  for (const SweepStart& start : timeline.starts) {
    data["starts"].push_back(
        {start.worker, start.ranks, rounded(start.begin - first), rounded(start.end - first)});
  }
  data["spans"] = Json::array();
  for (const RankSpan& span : timeline.spans) {
    data["spans"].push_back({span.trial, span.worker, span.ranks, rounded(span.begin - first),
                             rounded(span.end - first), span.how});
  }
  return data;
}

}  // namespace trireme
