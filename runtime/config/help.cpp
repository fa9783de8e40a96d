// The reference that --help-config prints.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config/config.h"
#include "config/keys.h"
#include "config/text_wrap.h"

namespace trireme {
namespace {

constexpr size_t type_column = 34;

std::string describe_key(const Key& key) {
  std::string left = fmt::format("  {} = {}", key.name, key.rule.required ? "(required)" : to_toml(key.slot));
  std::string text = left;
  std::string type = describe_type(key);
  if (left.size() + 2 > type_column) {
    text += '\n';
    text += wrap(type, type_column);
  } else {
    // The first line of the type stands beside the key.
    text += wrap(type, type_column).substr(left.size());
  }
  std::string doc(key.rule.doc);
  if (!key.rule.kinds.empty()) {
    doc = fmt::format("({}) {}", fmt::join(key.rule.kinds, ", "), doc);
  }
  if (!key.rule.models.empty()) doc = fmt::format("(model: {}) {}", fmt::join(key.rule.models, ", "), doc);
  if (!key.rule.remark.empty()) doc += fmt::format(" So far: {}.", key.rule.remark);
  return text + wrap(doc, 6);
}

}  // namespace

std::string describe_table(const KeyTable& table, std::string_view header) {
  std::string text = fmt::format("\n{}\n", header) + wrap(table.doc, 2) + "\n";
  for (const Key& key : table.keys) text += describe_key(key);
  return text;
}

std::string help_config() {
  std::string text = wrap(
      "A run is described by one TOML file of the tables below. Each key stands with its default; what you "
      "leave out "
      "keeps it. A key that begins with kinds in brackets is read by those kinds only, and is refused beside "
      "another. Any key can be set on the command line: --set train.epochs=3 --set model.channels=[64,128] "
      "--set "
      "'model.layer[2].rate=0.5' (layers and groups count from 0).",
      0);
  Config defaults;
  for (const KeyTable& table : tables_of(defaults)) {
    text += describe_table(table, fmt::format("[{}]", table.name));
    if (table.name == "model") {
      LayerConfig layer;
      text += describe_table(table_of(layer), "[[model.layer]]");
    }
    if (table.name == "optimizer") {
      OptimizerGroupConfig group;
      text += describe_table(table_of(group), "[[optimizer.group]]");
    }
  }
  return text;
}

}  // namespace trireme
