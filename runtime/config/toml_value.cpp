#include "config/toml_value.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <optional>

#include "base/error.h"

namespace trireme {
namespace {

struct Converter {
  std::string name;

  std::string place(const toml::source_position& at) const {
    return fmt::format("{}:{}:{}", name, static_cast<uint64_t>(at.line), static_cast<uint64_t>(at.column));
  }

  TomlValue convert(const toml::node& node, const toml::source_position& at) const {
    TomlValue value;
    value.origin = place(at);
    value.line = static_cast<uint32_t>(at.line);
    value.column = static_cast<uint32_t>(at.column);
    if (const auto* table = node.as_table()) {
      value.data = entries_of(*table);
    } else if (const auto* array = node.as_array()) {
      TomlValue::List items;
      for (const toml::node& item : *array) items.push_back(convert(item, item.source().begin));
      value.data = std::move(items);
    } else if (const auto* flag = node.as_boolean()) {
      value.data = flag->get();
    } else if (const auto* integer = node.as_integer()) {
      value.data = integer->get();
    } else if (const auto* number = node.as_floating_point()) {
      value.data = number->get();
    } else if (const auto* text = node.as_string()) {
      value.data = text->get();
    } else if (node.is_date()) {
      value.data = TomlOther{"a date"};
    } else if (node.is_time()) {
      value.data = TomlOther{"a time"};
    } else {
      value.data = TomlOther{"a date and time"};
    }
    return value;
  }

  // toml++ keeps tables sorted by name; messages should follow the file.
  TomlValue::Table entries_of(const toml::table& table) const {
    struct Item {
      toml::source_position at;
      std::string_view key;
      const toml::node* node;
    };
    std::vector<Item> items;
    for (auto&& [key, node] : table) items.push_back({key.source().begin, key.str(), &node});
    std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.at < b.at; });
    TomlValue::Table entries;
    for (const Item& item : items) entries.push_back({std::string(item.key), convert(*item.node, item.at)});
    return entries;
  }
};

// One step into the tree: a key, or an index into a list.
using PathStep = std::variant<std::string, size_t>;

// "model.layer[2].rate" -> model, layer, 2, rate; nothing when it is no such path.
std::optional<std::vector<PathStep>> split_path(std::string_view path) {
  std::vector<PathStep> steps;
  while (true) {
    size_t end = std::min(path.find_first_of(".["), path.size());
    if (end == 0) return std::nullopt;
    steps.emplace_back(std::string(path.substr(0, end)));
    path.remove_prefix(end);
    while (!path.empty() && path.front() == '[') {
      size_t close = path.find(']');
      if (close == std::string_view::npos || close < 2 || close > 8) return std::nullopt;
      std::string_view digits = path.substr(1, close - 1);
      if (digits.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
      steps.emplace_back(static_cast<size_t>(std::stoul(std::string(digits))));
      path.remove_prefix(close + 1);
    }
    if (path.empty()) return steps;
    if (path.front() != '.') return std::nullopt;
    path.remove_prefix(1);
  }
}

void mark(TomlValue& value, const std::string& origin) {
  value.origin = origin;
  value.overridden = true;
  if (auto* list = value.list()) {
    for (TomlValue& item : *list) mark(item, origin);
  }
  if (auto* table = value.table()) {
    for (TomlEntry& entry : *table) mark(entry.value, origin);
  }
}

}  // namespace

TomlValue parse_toml(std::string_view text, const std::string& name) {
  Converter converter{name};
  try {
    toml::table table = toml::parse(text, name);
    TomlValue root;
    root.origin = name;
    root.data = converter.entries_of(table);
    return root;
  } catch (const toml::parse_error& error) {
    std::string reason(error.description());
    std::replace(reason.begin(), reason.end(), '\n', ' ');
    throw ConfigError("{}: not valid TOML: {}", converter.place(error.source().begin), reason);
  }
}

TomlValue parse_override(const std::string& text, const std::string& origin) {
  TomlValue value;
  try {
    value = parse_toml("value = " + text, "").table()->front().value;
  } catch (const ConfigError&) {
    bool looks_like_toml =
        !text.empty() && std::string_view("\"'[{").find(text.front()) != std::string_view::npos;
    if (looks_like_toml) {
      throw ConfigError("{}: the value is not valid TOML; quote a text: --set 'KEY=\"some text\"'", origin);
    }
    value.data = text;
  }
  mark(value, origin);
  value.literal = text;
  return value;
}

void apply_override(TomlValue& root, const std::string& assignment) {
  // A line break would let further keys in, and a message is one line.
  if (size_t end = assignment.find_first_of("\r\n"); end != std::string::npos) {
    throw ConfigError("--set {}: what follows is a line break; a --set is one line",
                      assignment.substr(0, end));
  }
  std::string origin = "--set " + assignment;
  size_t equals = assignment.find('=');
  if (equals == std::string::npos || !split_path(std::string_view(assignment).substr(0, equals)))
    throw ConfigError("{}: expected table.key=value, e.g. --set train.epochs=3", origin);
  TomlValue value = parse_override(assignment.substr(equals + 1), origin);
  if (value.table())
    throw ConfigError("{}: a table cannot be set as a whole; set its keys one by one", origin);
  place_value(root, std::string_view(assignment).substr(0, equals), std::move(value));
}

void place_value(TomlValue& root, std::string_view path, TomlValue value) {
  const std::string origin = value.origin;
  std::optional<std::vector<PathStep>> steps = split_path(path);
  if (!steps) throw ConfigError("{}: {} is no key; write table.key", origin, path);
  TomlValue* at = &root;
  std::string walked;
  for (const PathStep& step : *steps) {
    if (const auto* index = std::get_if<size_t>(&step)) {
      auto* list = at->list();
      if (!list) throw ConfigError("{}: {} is no list", origin, walked);
      if (*index >= list->size()) {
        throw ConfigError("{}: {} has {} entries, counted from 0", origin, walked, list->size());
      }
      at->overridden = true;
      at = &(*list)[*index];
      walked += fmt::format("[{}]", *index);
      continue;
    }
    const std::string& key = std::get<std::string>(step);
    auto* table = at->table();
    if (!table) throw ConfigError("{}: {} is {}, not a table", origin, walked, describe(*at));
    auto found =
        std::find_if(table->begin(), table->end(), [&](const TomlEntry& entry) { return entry.key == key; });
    if (found == table->end()) {
      TomlValue created;
      created.data = TomlValue::Table{};
      created.origin = origin;
      table->push_back({key, std::move(created)});
      found = std::prev(table->end());
    }
    at = &found->value;
    walked += (walked.empty() ? "" : ".") + key;
  }
  if (auto* table = at->table(); table && !table->empty()) {
    throw ConfigError("{}: {} is a table; set one of its keys, e.g. {}.{}", origin, walked, walked,
                      table->front().key);
  }
  *at = std::move(value);
}

std::string describe(const TomlValue& value) {
  struct Words {
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(int64_t integer) const { return fmt::format("the integer {}", integer); }
    std::string operator()(double number) const { return fmt::format("the number {}", number); }
    std::string operator()(const std::string& text) const {
      constexpr size_t longest = 40;  // a message is one line
      return fmt::format("the text \"{}\"", text.size() <= longest ? text : text.substr(0, longest) + "...");
    }
    std::string operator()(const TomlValue::List&) const { return "a list"; }
    std::string operator()(const TomlValue::Table&) const { return "a table"; }
    std::string operator()(const TomlOther& other) const { return other.type; }
  };
  return std::visit(Words{}, value.data);
}

}  // namespace trireme
