#include "config/entries.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "config/keys.h"
#include "config/toml_value.h"

namespace trireme {
namespace {

struct Writer {
  std::string operator()(bool flag) const { return flag ? "true" : "false"; }
  std::string operator()(int64_t number) const { return fmt::format("{}", number); }
  std::string operator()(double number) const {
    return to_toml(KeySlot(&number));  // shortest form that reads back to the same bits
  }
  std::string operator()(const std::string& text) const { return to_toml(text); }
  std::string operator()(const TomlValue::List& list) const {
    std::vector<std::string> items;
    for (const TomlValue& item : list) items.push_back(toml_text(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
  std::string operator()(const TomlValue::Table& table) const {
    std::vector<std::string> items;
    for (const TomlEntry& entry : table) items.push_back(entry.key + " = " + toml_text(entry.value));
    return fmt::format("{{{}}}", fmt::join(items, ", "));
  }
  std::string operator()(const TomlOther& other) const { return other.type; }
};

bool is_list_of_tables(const TomlValue& value) {
  const TomlValue::List* list = value.list();
  return list != nullptr && !list->empty() && list->front().table() != nullptr;
}

void flatten(const TomlValue& value, const std::string& name, std::map<std::string, std::string>& entries) {
  if (const TomlValue::Table* table = value.table()) {
    for (const TomlEntry& entry : *table) {
      flatten(entry.value, name.empty() ? entry.key : name + "." + entry.key, entries);
    }
  } else if (is_list_of_tables(value)) {
    for (size_t i = 0; i < value.list()->size(); ++i) {
      flatten((*value.list())[i], fmt::format("{}[{}]", name, i), entries);
    }
  } else {
    entries[name] = toml_text(value);
  }
}

}  // namespace

std::string toml_text(const TomlValue& value) { return std::visit(Writer{}, value.data); }

std::map<std::string, std::string> config_entries(std::string_view toml, const std::string& name) {
  std::map<std::string, std::string> entries;
  flatten(parse_toml(toml, name), "", entries);
  return entries;
}

}  // namespace trireme
