#include "sweep/results/figures.h"

#include <cmath>

namespace trireme {

std::map<int64_t, std::map<int64_t, Figures>> figures_of(const SweepView& view) {
  std::map<int64_t, std::map<int64_t, Figures>> figures;
  for (const SweepEvent& event : view.events) {
    if (auto* report = std::get_if<ReportRecord>(&event.record.what)) {
      figures[report->trial][report->epoch] = report->figures;
    }
  }
  return figures;
}

int64_t epoch_of_scores(const Trial& trial) {
  for (auto report = trial.reports.rbegin(); report != trial.reports.rend(); ++report) {
    if (report->scores == trial.scores) return report->epoch;
  }
  return trial.epochs();
}

nlohmann::ordered_json json_number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

nlohmann::ordered_json json_value(const Space& space, size_t parameter, double value) {
  if (std::isnan(value)) return nullptr;
  if (space[parameter].kind == ParameterKind::real) return json_number(value);
  if (space[parameter].kind == ParameterKind::integer) return static_cast<int64_t>(value);
  // A TOML text, number or truth value of these plain forms is one of JSON, too.
  std::string literal = space.literal(parameter, value);
  nlohmann::ordered_json parsed = nlohmann::ordered_json::parse(literal, nullptr, false);
  return parsed.is_discarded() ? nlohmann::ordered_json(literal) : parsed;
}

}  // namespace trireme
