#include "config/bind.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/nearest_name.h"
#include "config/keys.h"
#include "config/nearest.h"

namespace trireme {
namespace {

constexpr std::string_view layers_name = "model.layer";
constexpr std::string_view groups_name = "optimizer.group";
constexpr std::string_view discriminator_groups_name = "optimizer.discriminator.group";

std::string join(std::string_view table, std::string_view key) {
  return table.empty() ? std::string(key) : fmt::format("{}.{}", table, key);
}

// Whether `value` is a kind's leftover: the key stands in the file, and the kind that read it was overridden.
// So that --set optimizer.kind=adamw needs no edit of a file that sets sgd's momentum.
bool leftover(const TomlValue& value, bool kind_overridden) { return kind_overridden && !value.overridden; }

// Reads one TOML value into the place of one key.
class ValueReader {
 public:
  ValueReader(const Key& key, std::string name, const TomlValue& value)
      : key_(key), name_(std::move(name)), value_(value) {}

  void operator()(bool* target) const { *target = take<bool>("true or false", value_); }
  void operator()(int64_t* target) const {
    *target = integer(value_);
    check_range(static_cast<double>(*target), fmt::format("{}", *target));
  }
  void operator()(double* target) const {
    const auto* whole = std::get_if<int64_t>(&value_.data);
    *target = whole ? static_cast<double>(*whole) : take<double>("a number", value_);
    if (!std::isfinite(*target)) fail(fmt::format("{} = {} is not finite", name_, *target));
    check_range(*target, fmt::format("{}", *target));
  }
  void operator()(std::string* target) const {
    bool typed = value_.overridden && !value_.literal.empty() && !value_.list();
    // --set run.name=7 means the text 7.
    bool literal = typed && !std::holds_alternative<std::string>(value_.data);
    *target = literal ? value_.literal : take<std::string>("a text in quotes", value_);
    if (target->find('\0') != std::string::npos) fail(name_ + " holds a zero byte");
    check_choice(*target);
  }
  void operator()(CountOrName* target) const {
    *target = {};
    if (const auto* count = std::get_if<int64_t>(&value_.data)) {
      target->count = *count;
      check_range(static_cast<double>(*count), fmt::format("{}", *count));
      return;
    }
    std::string expected = fmt::format("an integer or one of \"{}\"", fmt::join(key_.rule.choices, "\", \""));
    target->name = take<std::string>(expected, value_);
    check_choice(target->name);
  }
  void operator()(std::vector<int64_t>* target) const {
    const auto* list = value_.list();
    if (!list) wrong_type("a list of integers, e.g. [64, 32]", value_);
    target->clear();
    for (const TomlValue& item : *list) {
      target->push_back(integer(item));
      check_range(static_cast<double>(target->back()), fmt::format("[..., {}, ...]", target->back()));
    }
    check_items(target->size());
  }
  void operator()(std::vector<std::string>* target) const {
    const auto* list = value_.list();
    if (!list) wrong_type("a list of texts, e.g. [\"cat\", \"dog\"]", value_);
    target->clear();
    for (const TomlValue& item : *list) target->push_back(take<std::string>("a text in quotes", item));
    check_items(target->size());
  }

 private:
  void check_items(size_t items) const {
    if (items < key_.rule.items_at_least) {
      fail(fmt::format("{} has {} entries; it needs at least {}", name_, items, key_.rule.items_at_least));
    }
  }
  [[noreturn]] void fail(const std::string& reason) const {
    throw ConfigError("{}: {}", value_.origin, reason);
  }
  [[noreturn]] void wrong_type(std::string_view expected, const TomlValue& found) const {
    fail(fmt::format("{}: expected {}, found {}", name_, expected, describe(found)));
  }
  template <class T>
  const T& take(std::string_view expected, const TomlValue& found) const {
    const T* value = std::get_if<T>(&found.data);
    if (!value) wrong_type(expected, found);
    return *value;
  }
  int64_t integer(const TomlValue& found) const {
    const auto* number = std::get_if<double>(&found.data);
    if (number && *number == std::floor(*number) && std::abs(*number) < 1e15) {
      wrong_type(fmt::format("an integer ({})", static_cast<int64_t>(*number)), found);
    }
    return take<int64_t>("an integer", found);
  }
  void check_range(double number, const std::string& shown) const {
    const KeyRule& rule = key_.rule;
    if (number >= rule.at_least && number > rule.above && number <= rule.at_most && number < rule.below)
      return;
    std::string remark = rule.remark.empty() ? "" : fmt::format(" ({})", rule.remark);
    fail(fmt::format("{} = {} is out of range: {}{}", name_, shown, describe_range(rule), remark));
  }
  void check_choice(const std::string& text) const {
    const auto& choices = key_.rule.choices;
    if (choices.empty() || std::find(choices.begin(), choices.end(), text) != choices.end()) return;
    std::string_view near = nearest(text, choices);
    std::string hint = near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near);
    fail(fmt::format("{} = \"{}\" is no choice here: {}{}", name_, text, fmt::join(choices, ", "), hint));
  }

  const Key& key_;
  std::string name_;
  const TomlValue& value_;
};

// Binds the tables of one config.
class Binder {
 public:
  Binder(Config& config, const std::string& file) : config_(config), tables_(tables_of(config)) {
    config_.origins.file = file;
  }

  void bind(const TomlValue& root) {
    bind_model_kind(root);
    bind_children("", root);
  }

 private:
  // A table's content: keys of its own, and tables below it.
  void bind_children(const std::string& name, const TomlValue& value) {
    const auto* entries = value.table();
    if (!entries) {
      throw ConfigError("{}: {} is a table, found {}; write [{}] and its keys on the lines below",
                        value.origin, name, describe(value), name);
    }
    const KeyTable* table = find_table(name);
    if (table && !table->is_read()) return refuse_keys(*table, *entries);
    bool kind_overridden = false;
    if (table && table->has_kind()) {
      kind_overridden = bind_kind(*table, name, *entries);
    }
    for (const TomlEntry& entry : *entries) {
      std::string full = join(name, entry.key);
      const Key* key = table ? find_key(*table, entry.key) : nullptr;
      if (key) {
        bind_key(*table, *key, full, entry.value, kind_overridden);
      } else if (full == layers_name) {
        bind_layers(entry.value, kind_overridden);
      } else if (full == groups_name) {
        bind_groups(entry.value, full, config_.optimizer.group);
      } else if (full == discriminator_groups_name) {
        bind_groups(entry.value, full, config_.discriminator_optimizer.group);
      } else if (find_table(full)) {
        bind_children(full, entry.value);
      } else {
        unknown(name, full, entry);
      }
    }
  }

  // Before all tables, since it decides what is read in some of them.
  void bind_model_kind(const TomlValue& root) {
    for (const TomlEntry& entry : *root.table()) {
      const auto* entries = entry.value.table();
      if (entry.key == "model" && entries)
        model_kind_overridden_ = bind_kind(*find_table("model"), "model", *entries);
    }
  }

  // A table that the model does not read may hold nothing.
  void refuse_keys(const KeyTable& table, const TomlValue::Table& entries) const {
    for (const TomlEntry& entry : entries) {
      if (leftover(entry.value, model_kind_overridden_)) continue;
      throw ConfigError(
          "{}: [{}] is not read by model.kind = \"{}\", only by {}; remove it or change the kind",
          entry.value.origin, table.name, config_.model.kind, fmt::join(table.models, ", "));
    }
  }

  // The kind goes first, since it decides which other keys are read. Says whether it was overridden.
  bool bind_kind(const KeyTable& table, const std::string& name, const TomlValue::Table& entries) {
    for (const TomlEntry& entry : entries) {
      if (entry.key != table.selector) continue;
      bind_key(table, table.keys.front(), join(name, table.selector), entry.value, false);
      return entry.value.overridden;
    }
    return false;
  }

  void bind_key(const KeyTable& table, const Key& key, const std::string& full, const TomlValue& value,
                bool kind_overridden) {
    if (!table.reads(key) && !key.rule.models.empty()) {
      if (leftover(value, model_kind_overridden_)) return;
      throw ConfigError("{}: {} is not read by model.kind = \"{}\", only by {}; remove it or change the kind",
                        value.origin, full, config_.model.kind, fmt::join(key.rule.models, ", "));
    }
    if (!table.reads(key)) {
      if (leftover(value, kind_overridden)) return;
      throw ConfigError("{}: {} is not read by {} = \"{}\", only by {}; remove it or change the {}",
                        value.origin, full, table.selector, table.kind(), fmt::join(key.rule.kinds, ", "),
                        table.selector);
    }
    read_key(key, full, value);
    config_.origins.keys[full] = value.origin;
  }

  void bind_layers(const TomlValue& value, bool kind_overridden) {
    const TomlValue::List& list = list_of_tables(value, "layers", layers_name);
    if (config_.model.kind != "layers") {
      if (leftover(value, kind_overridden)) return;
      throw ConfigError(
          "{}: [[model.layer]] is not read by model.kind = \"{}\"; set model.kind = \"layers\" or remove "
          "the layers",
          list.empty() ? value.origin : list.front().origin, config_.model.kind);
    }
    config_.origins.keys[std::string(layers_name)] = value.origin;
    for (size_t i = 0; i < list.size(); ++i) {
      LayerConfig& layer = config_.model.layer.emplace_back();
      bind_item(list[i], fmt::format("{}[{}]", layers_name, i), table_of(layer));
      if (layer.stride == 0) layer.stride = layer.kind.ends_with("convolution") ? 1 : layer.kernel;
    }
  }

  void bind_groups(const TomlValue& value, const std::string& name,
                   std::vector<OptimizerGroupConfig>& groups) {
    const TomlValue::List& list = list_of_tables(value, "groups", name);
    config_.origins.keys[name] = value.origin;
    for (size_t i = 0; i < list.size(); ++i) {
      OptimizerGroupConfig& group = groups.emplace_back();
      std::string item = fmt::format("{}[{}]", name, i);
      bind_item(list[i], item, table_of(group));
      group.place.text = fmt::format("{}: {}", config_.where(item + ".parameters"), item);
    }
  }

  const TomlValue::List& list_of_tables(const TomlValue& value, std::string_view what,
                                        std::string_view name) const {
    if (const auto* list = value.list()) return *list;
    throw ConfigError("{}: {} are a list of tables, found {}; begin each with [[{}]]", value.origin, what,
                      describe(value), name);
  }

  // One table of a list, `name` with its index.
  void bind_item(const TomlValue& value, const std::string& name, KeyTable table) {
    const auto* entries = value.table();
    if (!entries) throw ConfigError("{}: {} is a table, found {}", value.origin, name, describe(value));
    config_.origins.keys[name] = value.origin;
    bool kind_overridden = table.has_kind() && bind_kind(table, name, *entries);
    for (const Key& key : table.keys) {
      bool given = std::any_of(entries->begin(), entries->end(),
                               [&](const TomlEntry& e) { return e.key == key.name; });
      if (!given && key.rule.required && table.reads(key)) {
        std::string kind = table.kind().empty() ? "" : fmt::format(" ({})", table.kind());
        throw ConfigError("{}: {}{}: the key `{}` is missing ({})", value.origin, name, kind, key.name,
                          describe_type(key));
      }
    }
    for (const TomlEntry& entry : *entries) {
      const Key* key = find_key(table, entry.key);
      if (!key) unknown_key(table, name, entry);
      bind_key(table, *key, join(name, entry.key), entry.value, kind_overridden);
    }
  }

  // Neither a key nor a table: names the nearest of either.
  [[noreturn]] void unknown(const std::string& parent, const std::string& full,
                            const TomlEntry& entry) const {
    if (entry.value.table()) {
      std::vector<std::string_view> names;
      for (const KeyTable& table : tables_) names.push_back(table.name);
      std::string_view near = nearest(full, names);
      std::string hint = near.empty() ? fmt::format("there are [{}]", fmt::join(names, "], ["))
                                      : fmt::format("did you mean [{}]?", near);
      throw ConfigError("{}: unknown table [{}]; {}", entry.value.origin, full, hint);
    }
    std::string near = nearest_key(parent, entry.key);
    std::string hint;
    if (!near.empty()) {
      hint = fmt::format("; did you mean {}?", near);
    } else if (const KeyTable* table = find_table(parent)) {
      std::vector<std::string_view> names;
      for (const Key& key : table->keys) names.push_back(key.name);
      hint = fmt::format("; [{}] takes {}", parent, fmt::join(names, ", "));
    } else {
      hint = "; --help-config lists all keys";
    }
    throw ConfigError("{}: unknown key {}{}", entry.value.origin, full, hint);
  }

  // A slip of the pen in this table first, the right key in the wrong table next.
  std::string nearest_key(const std::string& parent, const std::string& name) const {
    std::string best;
    size_t best_score = 0;
    for (const KeyTable& table : tables_) {
      for (const Key& key : table.keys) {
        if (!is_near(name, key.name)) continue;
        size_t score = 2 * edit_distance(name, key.name) + (table.name == parent ? 0 : 1);
        if (best.empty() || score < best_score) {
          best = join(table.name, key.name);
          best_score = score;
        }
      }
    }
    return best;
  }

  const KeyTable* find_table(std::string_view name) const {
    for (const KeyTable& table : tables_) {
      if (table.name == name) return &table;
    }
    return nullptr;
  }
  static const Key* find_key(const KeyTable& table, std::string_view name) {
    for (const Key& key : table.keys) {
      if (key.name == name) return &key;
    }
    return nullptr;
  }

  Config& config_;
  std::vector<KeyTable> tables_;
  bool model_kind_overridden_ = false;
};

}  // namespace

void read_key(const Key& key, const std::string& name, const TomlValue& value) {
  std::visit(ValueReader(key, name, value), key.slot);
}

void unknown_key(const KeyTable& table, const std::string& name, const TomlEntry& entry) {
  std::vector<std::string_view> known;
  for (const Key& key : table.keys) {
    if (table.reads(key)) known.push_back(key.name);
  }
  std::string_view near = nearest(entry.key, known);
  std::string hint = near.empty() ? fmt::format("it takes {}", fmt::join(known, ", "))
                                  : fmt::format("did you mean `{}`?", near);
  throw ConfigError("{}: unknown key `{}` in {}; {}", entry.value.origin, entry.key, name, hint);
}

Config bind_config(const TomlValue& root, const std::string& file) {
  Config config;
  Binder(config, file).bind(root);
  return config;
}

}  // namespace trireme
