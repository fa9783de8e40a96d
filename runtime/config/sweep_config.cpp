#include "config/sweep_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "base/atomic_file.h"
#include "base/error.h"
#include "config/bind.h"
#include "config/key_tables.h"
#include "config/key_values.h"
#include "config/sweep_rows.h"
#include "config/text_wrap.h"
#include "config/toml_value.h"

namespace trireme {
namespace {

constexpr std::string_view set_name = "sweep.set";
constexpr std::string_view space_name = "space";
constexpr std::string_view objective_name = "objective";

// Binds the tables of one file.
class SweepBinder {
 public:
  explicit SweepBinder(SweepConfig& config) : config_(config), tables_(tables_of(config)) {}

  void bind(const TomlValue& root) {
    for (const TomlEntry& entry : *root.table()) {
      if (entry.key == space_name) {
        space = &require_table(space_name, entry.value);
      } else if (entry.key == objective_name) {
        bind_objectives(entry.value);
      } else if (find_table(entry.key)) {
        bind_table(entry.key, entry.value);
      } else {
        unknown(entry.key, entry);
      }
    }
    if (config_.objectives.empty()) config_.objectives.emplace_back();
  }

  const TomlValue* space = nullptr;
  const TomlValue* set = nullptr;

 private:
  static const TomlValue& require_table(std::string_view name, const TomlValue& value) {
    if (value.table()) return value;
    throw ConfigError("{}: {} is a table, found {}; write [{}] and its keys on the lines below", value.origin,
                      name, describe(value), name);
  }

  void bind_table(const std::string& name, const TomlValue& value) {
    const KeyTable& table = *find_table(name);
    for (const TomlEntry& entry : *require_table(name, value).table()) {
      std::string full = fmt::format("{}.{}", name, entry.key);
      auto key = std::find_if(table.keys.begin(), table.keys.end(),
                              [&](const Key& one) { return one.name == entry.key; });
      if (key != table.keys.end()) {
        read_key(*key, full, entry.value);
        config_.origins.keys[full] = entry.value.origin;
      } else if (full == set_name) {
        set = &require_table(set_name, entry.value);
      } else if (find_table(full)) {
        bind_table(full, entry.value);
      } else {
        unknown(full, entry);
      }
    }
  }

  void bind_objectives(const TomlValue& value) {
    const TomlValue::List* list = value.list();
    if (!list) return bind_objective("objective", require_table(objective_name, value));
    for (size_t i = 0; i < list->size(); ++i) {
      bind_objective(fmt::format("objective[{}]", i), require_table(objective_name, (*list)[i]));
    }
  }

  void bind_objective(const std::string& name, const TomlValue& value) {
    ObjectiveConfig& objective = config_.objectives.emplace_back();
    objective.place.text = value.origin;
    std::string at = config_.at;
    KeyTable table = objective_table(objective, at);
    for (const TomlEntry& entry : *value.table()) {
      auto key = std::find_if(table.keys.begin(), table.keys.end(),
                              [&](const Key& one) { return one.name == entry.key; });
      if (key == table.keys.end()) unknown_key(table, name, entry);
      std::string full = fmt::format("{}.{}", name, entry.key);
      read_key(*key, full, entry.value);
      config_.origins.keys[full] = entry.value.origin;
      if (entry.key == "at") take_at(at, entry.value);
    }
  }

  // It goes for all objectives, wherever it stands.
  void take_at(const std::string& at, const TomlValue& value) {
    if (!at_place_.empty() && at != config_.at) {
      throw ConfigError("{}: at = \"{}\" goes for all objectives, and {} says \"{}\"; keep one", value.origin,
                        at, at_place_, config_.at);
    }
    config_.at = at;
    at_place_ = value.origin;
  }

  [[noreturn]] void unknown(const std::string& full, const TomlEntry& entry) const {
    std::vector<std::string> names{"space", "objective", "sweep.set"};
    for (const KeyTable& table : tables_) {
      names.emplace_back(table.name);
      for (const Key& key : table.keys) names.push_back(fmt::format("{}.{}", table.name, key.name));
    }
    for (const char* key : {"metric", "goal", "at"}) names.push_back(fmt::format("objective.{}", key));
    std::string near = nearest_dotted(full, names);
    std::string hint = near.empty() ? "--help-config lists all keys" : fmt::format("did you mean {}?", near);
    Config training;
    for (const KeyTable& table : tables_of(training)) {
      bool is_training_key = full == table.name || find_config_key(training, full);
      if (is_training_key) hint = "keys of the training config stand in [sweep.set] or [space] here";
    }
    throw ConfigError("{}: unknown {} {}; {}", entry.value.origin, entry.value.table() ? "table" : "key",
                      full, hint);
  }

  const KeyTable* find_table(std::string_view name) const {
    auto found =
        std::find_if(tables_.begin(), tables_.end(), [&](const KeyTable& one) { return one.name == name; });
    return found == tables_.end() ? nullptr : &*found;
  }

  SweepConfig& config_;
  std::vector<KeyTable> tables_;
  std::string at_place_;
};

void resolve_goals(SweepConfig& config) {
  for (ObjectiveConfig& one : config.objectives) {
    bool more_is_better = one.metric == "validation.accuracy" || one.metric == "samples_per_second";
    one.maximized = one.goal == "auto" ? more_is_better : one.goal == "maximize";
    if (one.place.text.empty()) one.place.text = config.origins.file;
  }
}

void check_objectives(const SweepConfig& config) {
  const auto& objectives = config.objectives;
  for (size_t i = 0; i < objectives.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (objectives[i].metric != objectives[j].metric) continue;
      throw ConfigError("{}: objective[{}].metric = \"{}\" is that of objective[{}] already",
                        objectives[i].place.text, i, objectives[i].metric, j);
    }
  }
  if (objectives.size() > 1 && config.sweep.scheduler != "none") {
    throw ConfigError(
        "{}: sweep.scheduler = \"{}\" judges by one objective, and there are {}: set it to \"none\", or keep "
        "one [objective]",
        config.where("sweep.scheduler"), config.sweep.scheduler, objectives.size());
  }
}

void check_launcher(const SweepConfig& config) {
  const SweepTable& sweep = config.sweep;
  bool copies = sweep.scheduler == "pbt" || sweep.scheduler == "ltfb";
  if (sweep.launcher == "steps" && copies) {
    throw ConfigError(
        "{}: sweep.launcher = \"steps\" does not go with scheduler = \"{}\", whose trials hand their states "
        "to each other inside one process group; set it to \"ranks\"",
        config.where("sweep.launcher"), sweep.scheduler);
  }
  if (sweep.launcher != "steps" && !sweep.srun_options.empty()) {
    throw ConfigError("{}: sweep.srun_options is read by launcher = \"steps\" only; remove it or set that",
                      config.where("sweep.srun_options"));
  }
}

void check_sweep_rules(const SweepConfig& config) {
  check_directory_name(config.where("sweep.name"), "sweep.name", config.sweep.name);
  const BudgetConfig& budget = config.budget;
  if (budget.trials == 0 && budget.seconds == 0 && budget.epochs == 0 && config.sweep.sampler != "grid") {
    throw ConfigError("{}: there is no budget: give budget.trials, budget.seconds or budget.epochs",
                      config.where("budget.trials"));
  }
  check_objectives(config);
  check_launcher(config);
  if (config.evolution.tournament > config.evolution.population) {
    throw ConfigError("{}: sweep.evolution.tournament = {} is more than population = {}",
                      config.where("sweep.evolution.tournament"), config.evolution.tournament,
                      config.evolution.population);
  }
  if (config.space.empty()) {
    throw ConfigError("{}: [space] is missing or empty: name the keys to search, each with its values",
                      config.origins.file);
  }
  for (const SpaceEntry& entry : config.space) {
    auto same = [&](const auto& set) { return set.first == entry.key; };
    if (std::none_of(config.set.begin(), config.set.end(), same)) continue;
    throw ConfigError("{}: {} is searched by [space] and set by [sweep.set], at {}; keep one",
                      entry.place.text, entry.key, config.where("sweep.set." + entry.key));
  }
}

void read_base(SweepConfig& config, const std::string& name) {
  namespace files = std::filesystem;
  if (config.sweep.base.empty()) return;
  std::error_code error;
  files::path path = files::absolute(files::path(name).parent_path() / config.sweep.base, error);
  config.sweep.base = path.lexically_normal().string();
  if (files::is_directory(path, error)) {
    throw ConfigError("{}: sweep.base = \"{}\" is a directory; name a training config",
                      config.where("sweep.base"), config.sweep.base);
  }
  try {
    config.base_text = read_file(config.sweep.base);
  } catch (const Error& reason) {
    throw ConfigError("{}: sweep.base cannot be read (it is relative to the sweep's file): {}",
                      config.where("sweep.base"), reason.what());
  }
}

}  // namespace

std::string SweepConfig::where(std::string_view key) const {
  auto found = origins.keys.find(key);
  return found == origins.keys.end() ? origins.file : found->second;
}

bool SweepConfig::operator==(const SweepConfig& other) const {
  auto all = [](const SweepConfig& c) {
    return std::tie(c.sweep, c.at, c.objectives, c.budget, c.space, c.set, c.tpe, c.gp, c.cma_es, c.evolution,
                    c.grid, c.median, c.asha, c.hyperband, c.pbt, c.ltfb, c.base_text);
  };
  return all(*this) == all(other);
}

SweepConfig parse_sweep_config(std::string_view text, const std::string& name,
                               const std::vector<std::string>& overrides) {
  TomlValue root = parse_toml(text, name);
  std::vector<RowOverride> of_space;
  std::vector<RowOverride> of_set;
  for (const std::string& assignment : overrides) {
    size_t equals = assignment.find('=');
    bool plain = equals != std::string::npos && assignment.find_first_of("\r\n") == std::string::npos;
    auto take = [&](std::string_view table, std::vector<RowOverride>& rows) {
      if (!plain || !assignment.starts_with(std::string(table) + ".") || equals <= table.size() + 1)
        return false;
      rows.push_back({assignment.substr(table.size() + 1, equals - table.size() - 1),
                      assignment.substr(equals + 1), "--set " + assignment});
      return true;
    };
    if (!take(space_name, of_space) && !take(set_name, of_set)) apply_override(root, assignment);
  }
  SweepConfig config;
  config.text = text;
  config.origins.file = name;
  SweepBinder binder(config);
  binder.bind(root);
  config.set = bind_set(binder.set, of_set, config.origins);
  config.space = bind_space(binder.space, of_space);
  for (const SpaceEntry& entry : config.space) config.origins.keys["space." + entry.key] = entry.place.text;
  resolve_goals(config);
  check_sweep_rules(config);
  read_base(config, name);
  return config;
}

SweepConfig load_sweep_config(const std::string& path, const std::vector<std::string>& overrides) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    throw ConfigError("{}: this is a directory; name the TOML file that describes the sweep", path);
  }
  std::string text;
  try {
    text = read_file(path);
  } catch (const Error& reason) {
    throw ConfigError("{}: the sweep's file cannot be read: {}", path, reason.what());
  }
  return parse_sweep_config(text, path, overrides);
}

std::string dump_sweep_config(const SweepConfig& config) {
  SweepConfig copy = config;  // rows point into a config that may be written to
  std::string text;
  auto dump_keys = [&](const KeyTable& table) {
    for (const Key& key : table.keys) text += fmt::format("{} = {}\n", key.name, to_toml(key.slot));
  };
  for (const KeyTable& table : tables_of(copy)) {
    text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", table.name);
    dump_keys(table);
    if (table.name != "sweep" || copy.set.empty()) continue;
    text += fmt::format("\n[{}]\n", set_name);
    for (const auto& [key, literal] : copy.set) text += fmt::format("{} = {}\n", row_key(key), literal);
  }
  for (ObjectiveConfig& one : copy.objectives) {
    text += copy.objectives.size() == 1 ? "\n[objective]\n" : "\n[[objective]]\n";
    dump_keys(objective_table(one, copy.at));
  }
  text += fmt::format("\n[{}]\n", space_name);
  for (const SpaceEntry& entry : copy.space) {
    text += fmt::format("{} = {}\n", row_key(entry.key), row_text(entry));
  }
  return text;
}

void save_sweep_config(const SweepConfig& config, const std::string& folder) {
  std::filesystem::path directory(folder);
  SweepConfig here = config;
  if (!here.sweep.base.empty()) {
    write_file_atomically(directory / "base.toml", config.base_text);
    here.sweep.base = "base.toml";
  }
  write_file_atomically(directory / "sweep.toml", dump_sweep_config(here));
}

std::string help_sweep_config() {
  std::string text = wrap(
      "A sweep is described by one TOML file of the tables below. Each key stands with its default; what you "
      "leave out keeps it. Any key can be set on the command line: --set budget.trials=50 --set "
      "sweep.sampler=random --set 'space.data.batch={ log_int = [16, 256] }' --set "
      "sweep.set.train.epochs=3.",
      0);
  SweepConfig defaults;
  for (const KeyTable& table : tables_of(defaults)) {
    text += describe_table(table, fmt::format("[{}]", table.name));
    if (table.name == "sweep") {
      text +=
          "\n[sweep.set]\n" +
          wrap("keys of the base config that all trials have otherwise, for instance train.epochs = 9", 2);
      ObjectiveConfig objective;
      text += describe_table(objective_table(objective, defaults.at), "[objective]");
      text += describe_space();
    }
  }
  return text;
}

}  // namespace trireme
