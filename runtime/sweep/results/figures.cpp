#include "sweep/results/figures.h"

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

}  // namespace trireme
