#include "inspect/difference.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/entries.h"
#include "inspect/table.h"

namespace trireme {
namespace {

std::vector<ConfigDifference> config_differences(const std::string& was, const std::string& is) {
  std::map<std::string, std::string> before = config_entries(was, "config of the first");
  std::map<std::string, std::string> after = config_entries(is, "config of the second");
  std::vector<ConfigDifference> found;
  for (const auto& [key, value] : before) {
    auto other = after.find(key);
    if (other == after.end()) {
      found.push_back({key, value, std::nullopt});
    } else if (other->second != value) {
      found.push_back({key, value, other->second});
    }
  }
  for (const auto& [key, value] : after) {
    if (!before.contains(key)) found.push_back({key, std::nullopt, value});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return found;
}

nlohmann::ordered_json json_of(const std::optional<std::string>& text) {
  return text ? nlohmann::ordered_json(*text) : nlohmann::ordered_json(nullptr);
}

void report_config(const CheckpointDifference& difference, Report& report) {
  report.json["config"] = nlohmann::ordered_json::array();
  TextTable table({"key", "was", "is"});
  for (const ConfigDifference& one : difference.config) {
    table.add({one.key, one.was.value_or("-"), one.is.value_or("-")});
    report.json["config"].push_back({{"key", one.key}, {"was", json_of(one.was)}, {"is", json_of(one.is)}});
  }
  report.text += table.empty() ? "config: no difference\n" : "config:\n" + table.text(2);
}

void report_tensors(const CheckpointDifference& difference, Report& report) {
  report.json["tensors"] = nlohmann::ordered_json::array();
  TextTable table({"tensor", "shape", ">max abs", ">relative L2", ""});
  int64_t equal = 0;
  for (const TensorDifference& one : difference.tensors) {
    nlohmann::ordered_json object = {{"name", one.path}, {"equal", one.distance && one.distance->equal}};
    if (one.distance) {
      object["shape"] = one.was.extents();
      object["max_abs"] = one.distance->max_abs;
      object["relative"] = one.distance->relative;
      equal += one.distance->equal ? 1 : 0;
      table.add({one.path, one.was.to_string(), fmt::format("{:.6g}", one.distance->max_abs),
                 fmt::format("{:.6g}", one.distance->relative),
                 one.distance->equal ? "equal bits" : "differs"});
    } else {
      object["shape"] = one.was.extents();
      object["shape_is"] = one.is.extents();
      table.add({one.path, one.was.to_string(), "-", "-", "is of shape " + one.is.to_string()});
    }
    report.json["tensors"].push_back(object);
  }
  for (const auto& [paths, where] : {std::pair(&difference.only_first, "only in the first"),
                                     std::pair(&difference.only_second, "only in the second")}) {
    for (const std::string& path : *paths) table.add({path, "-", "-", "-", where});
  }
  report.json["only_first"] = difference.only_first;
  report.json["only_second"] = difference.only_second;
  report.text +=
      fmt::format("\n{} in both, {} of them equal to the bit:\n{}",
                  counted(static_cast<int64_t>(difference.tensors.size()), "tensor"), equal, table.text(2));
}

}  // namespace

bool CheckpointDifference::none() const {
  return config.empty() && only_first.empty() && only_second.empty() &&
         std::all_of(tensors.begin(), tensors.end(),
                     [](const TensorDifference& one) { return one.distance && one.distance->equal; });
}

CheckpointDifference difference_of(const CheckpointContent& a, const CheckpointContent& b) {
  CheckpointDifference difference;
  difference.config = config_differences(a.run.config, b.run.config);
  std::map<std::string, NamedTensor> second;
  for (PlacedTensor& placed : placed_tensors(b)) second.emplace(placed.path, placed.tensor);
  for (const PlacedTensor& placed : placed_tensors(a)) {
    auto other = second.find(placed.path);
    if (other == second.end()) {
      difference.only_first.push_back(placed.path);
      continue;
    }
    TensorDifference one{placed.path, placed.tensor.shape, other->second.shape, std::nullopt};
    if (one.was == one.is) one.distance = distance_of(placed.tensor, other->second);
    difference.tensors.push_back(one);
    second.erase(other);
  }
  for (const auto& [path, tensor] : second) difference.only_second.push_back(path);
  return difference;
}

Report difference_report(const Checkpoint& a, const Checkpoint& b) {
  CheckpointDifference difference = difference_of(a.content(), b.content());
  Report report;
  report.json = {{"first", a.directory().string()},
                 {"second", b.directory().string()},
                 {"equal", difference.none()},
                 {"step_first", a.run().step},
                 {"step_second", b.run().step}};
  report.text = fmt::format("first:  {} (step {})\nsecond: {} (step {})\n\n", a.directory().string(),
                            a.run().step, b.directory().string(), b.run().step);
  report_config(difference, report);
  report_tensors(difference, report);
  return report;
}

}  // namespace trireme
