// The declaration of every key: one row holds its place in the struct (which gives its type), what it may
// hold and what it means to a user. Parsing, dumping and the reference walk these rows; nothing else in the
// room names a key's range. The default is the struct's member initialiser.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.h"

namespace trireme {

// Where the value lives; its type is the key's type.
using KeySlot = std::variant<bool*, int64_t*, double*, std::string*, std::vector<int64_t>*,
                             std::vector<std::string>*, CountOrName*>;

struct KeyRule {
  std::string_view doc;  // one or two sentences for the reference
  std::vector<std::string_view> choices =
      {};                                    // of a text, or of the name in place of a count; empty: any text
  std::vector<std::string_view> kinds = {};  // which kinds of its table read the key; empty: all of them
  std::vector<std::string_view> models = {};  // which kinds of model read the key; empty: all of them
  bool required = false;                      // must be given wherever its kind reads it
  // Bounds of a number, or of each number of a list.
  double at_least = -std::numeric_limits<double>::infinity();
  double above = -std::numeric_limits<double>::infinity();
  double at_most = std::numeric_limits<double>::infinity();
  double below = std::numeric_limits<double>::infinity();
  size_t items_at_least = 0;     // of a list
  std::string_view remark = {};  // appended to a range error, and to the reference
};

struct Key {
  std::string_view name;
  KeySlot slot;
  KeyRule rule;
};

struct KeyTable {
  std::string_view name;  // "data.transform"
  std::string_view doc;
  std::vector<Key> keys;                      // `kind` (or `selector`), where there is one, comes first
  std::vector<std::string_view> models = {};  // which kinds of model read the table; empty: all of them
  const std::string* model_kind = nullptr;    // the config's model.kind; null in tables that stand alone
  std::string_view selector = "kind";         // the key whose value decides which others are read

  bool has_kind() const { return !keys.empty() && keys.front().name == selector; }
  // The value of `kind` (or of `selector`), empty where the table has none.
  std::string_view kind() const;
  // Whether the present model reads anything of the table.
  bool is_read() const;
  // Whether the present kind and model read the key.
  bool reads(const Key& key) const;
};

// All tables but the layers, in the order in which they are written. The rows point into `config`.
std::vector<KeyTable> tables_of(Config& config);
// One [[model.layer]], one [[optimizer.group]].
KeyTable table_of(LayerConfig& layer);
KeyTable table_of(OptimizerGroupConfig& group);

// "integer from 1 to 4096", "text: sgd | adamw": type with range or choices, for the reference and for
// messages.
std::string describe_type(const Key& key);
// "at least 1", "above 0 and below 1"; empty without bounds.
std::string describe_range(const KeyRule& rule);

// The reference of one table under its header, "[train]" or "[[model.layer]]".
std::string describe_table(const KeyTable& table, std::string_view header);

// The value as TOML; floating-point numbers in the shortest form that reads back to the same bits.
std::string to_toml(const KeySlot& slot);
std::string to_toml(std::string_view text);

}  // namespace trireme
