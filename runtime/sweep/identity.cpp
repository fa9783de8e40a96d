#include "sweep/identity.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <span>
#include <sstream>
#include <string_view>

#include "base/hash.h"

namespace trireme {
namespace {

constexpr std::array<std::string_view, 8> left_out = {"run.name",
                                                      "checkpoint.",
                                                      "comm.",
                                                      "train.log_every_steps",
                                                      "data.cache_bytes",
                                                      "data.loader_threads",
                                                      "data.prefetch_batches",
                                                      "train.threads"};

bool is_left_out(std::string_view key) {
  for (std::string_view prefix : left_out) {
    if (key.starts_with(prefix)) return true;
  }
  return false;
}

// TOML of one line a key, as dump_config writes it, with each key's table before it.
std::string flattened(const std::string& toml, std::string_view under) {
  std::istringstream lines(toml);
  std::string table;
  std::map<std::string, int> counts;
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("[[")) {
      std::string name = line.substr(2, line.find("]]") - 2);
      table = fmt::format("{}.{}.", name, counts[name]++);
    } else if (line.starts_with("[")) {
      table = line.substr(1, line.find(']') - 1) + ".";
    } else if (line.find(" = ") != std::string::npos && !line.starts_with("#")) {
      std::string key = table + line;
      if (!is_left_out(key)) text += fmt::format("{}{}\n", under, key);
    }
  }
  return text;
}

std::map<std::string, std::string> lines_of(const std::string& text) {
  std::map<std::string, std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    size_t equals = line.find(" = ");
    if (equals != std::string::npos) found[line.substr(0, equals)] = line.substr(equals + 3);
  }
  return found;
}

}  // namespace

std::string identity_text(const SweepConfig& config, const Config& base) {
  std::string text = fmt::format("sweep.seed = {}\nobjective.at = {}\n", config.sweep.seed, config.at);
  for (size_t i = 0; i < config.objectives.size(); ++i) {
    const ObjectiveConfig& objective = config.objectives[i];
    text += fmt::format("objective.{} = {} {}\n", i, objective.maximized ? "maximize" : "minimize",
                        objective.metric);
  }
  for (const SpaceEntry& entry : config.space) {
    text += fmt::format("space.{} = {}", entry.key, entry.distribution);
    for (const std::string& choice : entry.choices) text += " " + choice;
    if (entry.choices.empty()) text += fmt::format(" {} to {}", entry.low, entry.high);
    if (entry.step > 0) text += fmt::format(" step {}", entry.step);
    if (!entry.when.empty()) text += " when " + entry.when;
    text += '\n';
  }
  for (size_t i = 0; i < config.sweep.constraints.size(); ++i) {
    text += fmt::format("sweep.constraints.{} = {}\n", i, config.sweep.constraints[i]);
  }
  return text + flattened(dump_config(base), "base: ");
}

std::string identity_hash(const std::string& text) { return xxh3_hex(std::as_bytes(std::span(text))); }

std::string identity_difference(const std::string& now, const std::string& before) {
  std::map<std::string, std::string> new_lines = lines_of(now);
  std::map<std::string, std::string> old_lines = lines_of(before);
  std::map<std::string, std::string> all = new_lines;
  all.insert(old_lines.begin(), old_lines.end());
  std::string text;
  int told = 0;
  for (const auto& [key, value] : all) {
    auto is = new_lines.find(key);
    auto was = old_lines.find(key);
    std::string one;
    if (is == new_lines.end()) {
      one = fmt::format("there is no {}, which was {}", key, was->second);
    } else if (was == old_lines.end()) {
      one = fmt::format("{} is new", key);
    } else if (is->second != was->second) {
      one = fmt::format("{} is {}, was {}", key, is->second, was->second);
    } else {
      continue;
    }
    if (++told > 3) return text + "; and more";
    text += (text.empty() ? "" : "; ") + one;
  }
  return text;
}

}  // namespace trireme
