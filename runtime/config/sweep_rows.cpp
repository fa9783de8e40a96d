#include "config/sweep_rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "config/key_values.h"
#include "config/nearest.h"
#include "config/text_wrap.h"

namespace trireme {
namespace {

enum class Bounds { none, numbers, integers };

struct Distribution {
  std::string_view name;
  Bounds bounds;
  bool has_step;
  bool logarithmic;
  std::string_view form;  // for the reference
  std::string_view doc;
};

constexpr std::array<Distribution, 7> distributions{{
    {"uniform", Bounds::numbers, false, false, "uniform = [LOW, HIGH]", "A number."},
    {"log_uniform", Bounds::numbers, false, true, "log_uniform = [LOW, HIGH]",
     "A number above 0, whose logarithm is uniform: learning rates, weight decays."},
    {"int", Bounds::integers, false, false, "int = [LOW, HIGH]", "An integer; both ends may be taken."},
    {"log_int", Bounds::integers, false, true, "log_int = [LOW, HIGH]",
     "An integer above 0, small ones as often as large ones: batches, widths."},
    {"quantized", Bounds::numbers, true, false, "quantized = [LOW, HIGH], step = STEP",
     "LOW, LOW + STEP, ... up to HIGH."},
    {"log_quantized", Bounds::numbers, true, true, "log_quantized = [LOW, HIGH], step = STEP",
     "The same, by their logarithms."},
    {"choice", Bounds::none, false, false, "choice = [A, B, ...]",
     "One of them, no order being assumed: texts, numbers, truth values, lists."},
}};

const Distribution* find_distribution(std::string_view name) {
  auto found = std::find_if(distributions.begin(), distributions.end(),
                            [&](const Distribution& one) { return one.name == name; });
  return found == distributions.end() ? nullptr : &*found;
}

std::vector<std::string_view> distribution_names() {
  std::vector<std::string_view> names;
  for (const Distribution& one : distributions) names.push_back(one.name);
  return names;
}

std::vector<std::string_view> field_names() {
  std::vector<std::string_view> names = distribution_names();
  names.push_back("step");
  names.push_back("when");
  return names;
}

bool is_field(std::string_view name) {
  return name == "step" || name == "when" || find_distribution(name) != nullptr;
}

struct Row {
  std::string key;
  TomlValue value;
};

std::string join(const std::string& table, const std::string& key) {
  return table.empty() ? key : table + "." + key;
}

std::string shortened(const std::string& name) {
  return name.size() < 100 ? name : name.substr(0, 100) + "...";
}

// Whether the table is a row's, { int = [1, 8] }, and no table of rows.
bool is_row(const std::string& name, const TomlValue::Table& table) {
  bool all_tables = true;
  for (const TomlEntry& entry : table) {
    if (is_field(entry.key)) return true;
    all_tables = all_tables && entry.value.table() != nullptr;
  }
  if (table.empty()) return true;
  if (all_tables) return false;
  Config config;
  return find_config_key(config, name) || !nearest(table.front().key, field_names()).empty();
}

void collect_space(const std::string& name, const TomlValue::Table& table, std::vector<Row>& rows) {
  for (const TomlEntry& entry : table) {
    std::string key = join(name, entry.key);
    const TomlValue::Table* inner = entry.value.table();
    if (entry.value.list()) {
      throw ConfigError(
          "{}: [space] {}: expected a distribution, found a list; for one of several write {{ "
          "choice = [...] }}",
          entry.value.origin, shortened(key));
    }
    if (inner == nullptr) {
      throw ConfigError(
          "{}: [space] {}: expected a distribution, such as {{ uniform = [0, 1] }}, found {}; a value that "
          "all trials have belongs in [sweep.set]",
          entry.value.origin, shortened(key), describe(entry.value));
    }
    if (is_row(key, *inner)) {
      rows.push_back({key, entry.value});
    } else {
      collect_space(key, *inner, rows);
    }
  }
}

bool is_plain(const TomlValue& value) {
  if (value.table() || std::holds_alternative<TomlOther>(value.data)) return false;
  const auto* list = value.list();
  return !list || std::all_of(list->begin(), list->end(),
                              [](const TomlValue& item) { return !item.list() && is_plain(item); });
}

void refuse_what_is_not_plain(const std::string& table, const std::string& key, const TomlValue& value) {
  if (is_plain(value)) return;
  throw ConfigError(
      "{}: [{}] {}: {} cannot stand here; texts, numbers, truth values and lists of them can. Tables belong "
      "in "
      "the base config",
      value.origin, table, shortened(key), value.list() ? "a list of such things" : describe(value));
}

void collect_set(const std::string& name, const TomlValue::Table& table, std::vector<Row>& rows) {
  for (const TomlEntry& entry : table) {
    std::string key = join(name, entry.key);
    if (const TomlValue::Table* inner = entry.value.table()) {
      collect_set(key, *inner, rows);
      continue;
    }
    refuse_what_is_not_plain("sweep.set", key, entry.value);
    rows.push_back({key, entry.value});
  }
}

// Tables gather the rows of one table that stand apart; people want to see them as they wrote them.
void put_in_file_order(std::vector<Row>& rows, const std::string& table) {
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return std::pair(a.value.line, a.value.column) < std::pair(b.value.line, b.value.column);
  });
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (rows[i].key != rows[j].key) continue;
      throw ConfigError("{}: [{}] {} stands twice; first at {}", rows[i].value.origin, table,
                        shortened(rows[i].key), rows[j].value.origin);
    }
  }
}

Row& row_of(std::vector<Row>& rows, const std::string& key) {
  auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.key == key; });
  if (found != rows.end()) return *found;
  rows.push_back({key, {}});
  rows.back().value.data = TomlValue::Table{};
  return rows.back();
}

void override_space(std::vector<Row>& rows, const RowOverride& change) {
  TomlValue value = parse_override(change.text, change.origin);
  if (value.table()) {
    row_of(rows, change.name).value = std::move(value);
    return;
  }
  size_t dot = change.name.rfind('.');
  std::string field = dot == std::string::npos ? change.name : change.name.substr(dot + 1);
  if (dot == std::string::npos || !is_field(field)) {
    throw ConfigError("{}: expected space.KEY={{ int = [1, 8] }} or space.KEY.int=[1, 8], with one of {}",
                      change.origin, fmt::join(field_names(), ", "));
  }
  Row& row = row_of(rows, change.name.substr(0, dot));
  row.value.origin = change.origin;
  TomlValue::Table& table = *row.value.table();
  std::erase_if(table, [&](const TomlEntry& entry) {
    bool replaced = find_distribution(field) != nullptr && find_distribution(entry.key) != nullptr;
    // What was a step of the old distribution is none of the new one.
    bool idle = entry.key == "step" && find_distribution(field) && !find_distribution(field)->has_step;
    return entry.key == field || replaced || idle;
  });
  table.push_back({field, std::move(value)});
}

// One row to what it says.
class RowReader {
 public:
  explicit RowReader(const Row& row) : row_(row) {}

  SpaceEntry read() const {
    SpaceEntry entry;
    entry.key = row_.key;
    entry.place.text = row_.value.origin;
    const Distribution* distribution = nullptr;
    const TomlValue* step = nullptr;
    for (const TomlEntry& field : *row_.value.table()) {
      if (field.key == "step") {
        step = &field.value;
      } else if (field.key == "when") {
        entry.when = read_condition(field.value);
      } else if (const Distribution* found = find_distribution(field.key)) {
        if (distribution) {
          fail(field.value, fmt::format("has both {} and {}; keep one", distribution->name, found->name));
        }
        distribution = found;
        entry.distribution = found->name;
        read_values(*found, field.value, entry);
      } else {
        unknown(field);
      }
    }
    if (!distribution) {
      fail(row_.value,
           fmt::format("has no distribution; give one of {}", fmt::join(distribution_names(), ", ")));
    }
    read_step(*distribution, step, entry);
    return entry;
  }

 private:
  [[noreturn]] void fail(const TomlValue& at, const std::string& reason) const {
    throw ConfigError("{}: [space] {}: {}", at.origin, shortened(row_.key), reason);
  }

  [[noreturn]] void unknown(const TomlEntry& field) const {
    std::string_view near = nearest(field.key, field_names());
    fail(field.value, near.empty() ? fmt::format("`{}` is no part of a row; there are {}",
                                                 shortened(field.key), fmt::join(field_names(), ", "))
                                   : fmt::format("`{}` is no part of a row; did you mean `{}`?",
                                                 shortened(field.key), near));
  }

  std::string read_condition(const TomlValue& value) const {
    const auto* text = std::get_if<std::string>(&value.data);
    if (!text) {
      fail(value, fmt::format("when: expected a formula in quotes, found {}", describe(value)));
    }
    return *text;
  }

  double read_number(std::string_view what, const TomlValue& value, bool whole) const {
    const auto* integer = std::get_if<int64_t>(&value.data);
    const auto* number = std::get_if<double>(&value.data);
    if (!integer && (!number || whole)) {
      fail(value, fmt::format("{}: expected {}, found {}", what, whole ? "an integer" : "a number",
                              describe(value)));
    }
    double found = integer ? static_cast<double>(*integer) : *number;
    if (!std::isfinite(found)) fail(value, fmt::format("{} is not finite", what));
    return found;
  }

  void read_values(const Distribution& distribution, const TomlValue& value, SpaceEntry& entry) const {
    const TomlValue::List* list = value.list();
    if (distribution.bounds == Bounds::none) return read_choices(value, entry);
    if (!list || list->size() != 2) {
      fail(value, fmt::format("{}: expected [LOW, HIGH], found {}", distribution.name,
                              list ? fmt::format("a list of {}", list->size()) : describe(value)));
    }
    bool whole = distribution.bounds == Bounds::integers;
    entry.low = read_number(distribution.name, (*list)[0], whole);
    entry.high = read_number(distribution.name, (*list)[1], whole);
    if (entry.low > entry.high) {
      fail(value, fmt::format("{}: the range [{}, {}] is empty; the lower end comes first", distribution.name,
                              entry.low, entry.high));
    }
    if (distribution.logarithmic && entry.low <= 0) {
      fail(value, fmt::format("{}: the range begins at {}; a logarithm needs it above 0", distribution.name,
                              entry.low));
    }
  }

  void read_choices(const TomlValue& value, SpaceEntry& entry) const {
    const TomlValue::List* list = value.list();
    if (!list || list->empty()) {
      fail(value,
           fmt::format("choice: expected a list of values, found {}", list ? "none" : describe(value)));
    }
    for (const TomlValue& item : *list) {
      refuse_what_is_not_plain("space", row_.key, item);
      std::string text = toml_text(item);
      if (std::find(entry.choices.begin(), entry.choices.end(), text) != entry.choices.end()) {
        fail(item, fmt::format("choice: {} stands twice", shortened(text)));
      }
      entry.choices.push_back(std::move(text));
    }
  }

  void read_step(const Distribution& distribution, const TomlValue* step, SpaceEntry& entry) const {
    if (step && !distribution.has_step) {
      fail(*step, fmt::format("step goes with quantized and log_quantized, not with {}", distribution.name));
    }
    if (!distribution.has_step) return;
    if (!step) fail(row_.value, fmt::format("{} needs a step", distribution.name));
    entry.step = read_number("step", *step, false);
    if (entry.step <= 0) fail(*step, fmt::format("step = {} is not above 0", entry.step));
  }

  const Row& row_;
};

std::string number_text(double value, bool whole) {
  return whole ? fmt::format("{}", static_cast<int64_t>(value)) : to_toml(KeySlot(&value));
}

}  // namespace

std::vector<SpaceEntry> bind_space(const TomlValue* table, const std::vector<RowOverride>& overrides) {
  std::vector<Row> rows;
  if (table) collect_space("", *table->table(), rows);
  put_in_file_order(rows, "space");
  for (const RowOverride& change : overrides) override_space(rows, change);
  std::vector<SpaceEntry> entries;
  for (const Row& row : rows) entries.push_back(RowReader(row).read());
  return entries;
}

std::vector<std::pair<std::string, std::string>> bind_set(const TomlValue* table,
                                                          const std::vector<RowOverride>& overrides,
                                                          Origins& origins) {
  std::vector<Row> rows;
  if (table) collect_set("", *table->table(), rows);
  put_in_file_order(rows, "sweep.set");
  for (const RowOverride& change : overrides) {
    TomlValue value = parse_override(change.text, change.origin);
    refuse_what_is_not_plain("sweep.set", change.name, value);
    row_of(rows, change.name).value = std::move(value);
  }
  std::vector<std::pair<std::string, std::string>> set;
  for (const Row& row : rows) {
    set.emplace_back(row.key, toml_text(row.value));
    origins.keys["sweep.set." + row.key] = row.value.origin;
  }
  return set;
}

std::string row_key(const std::string& key) {
  bool bare = std::all_of(key.begin(), key.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  });
  return bare ? key : to_toml(key);
}

std::string row_text(const SpaceEntry& entry) {
  const Distribution* distribution = find_distribution(entry.distribution);
  std::string text;
  if (distribution == nullptr || distribution->bounds == Bounds::none) {
    text = fmt::format("{{ choice = [{}]", fmt::join(entry.choices, ", "));
  } else {
    bool whole = distribution->bounds == Bounds::integers;
    text = fmt::format("{{ {} = [{}, {}]", entry.distribution, number_text(entry.low, whole),
                       number_text(entry.high, whole));
    if (distribution->has_step) text += ", step = " + number_text(entry.step, false);
  }
  if (!entry.when.empty()) text += ", when = " + to_toml(entry.when);
  return text + " }";
}

std::string describe_space() {
  std::string text = "\n[space]\n" +
                     wrap(
                         "what is searched: any key of the base config, and sweep.ranks_per_trial, each with "
                         "the values that "
                         "it may take, for instance",
                         2) +
                     "\n  optimizer.learning_rate = { log_uniform = [1e-4, 1e-1] }\n"
                     "  optimizer.momentum = { uniform = [0.0, 0.99], when = \"optimizer.kind == 'sgd'\" }\n"
                     "  \"model.layer[2].rate\" = { quantized = [0.0, 0.5], step = 0.1 }\n\n";
  for (const Distribution& one : distributions) text += fmt::format("  {}\n", one.form) + wrap(one.doc, 6);
  text +=
      "  when = \"FORMULA\"\n" +
      wrap(
          "Beside any of them: the parameter is active only where this holds; else the base config's value "
          "stands. It may speak of other parameters (not in a circle) and of keys of the base config.",
          6);
  text +=
      "\nFormulas\n" +
      wrap(
          "(when, sweep.constraints) are made of keys, numbers, true, false, 'texts', + - * / %, == != < <= "
          "> >=, and, or, not, parentheses, min(a, b), max(a, b), log2(a), log10(a), sqrt(a), abs(a), and "
          "x in [a, b], x not in [a, b]. A list is its text: model.hidden == '[64, 32]'. A `when` whose "
          "value hangs on a parameter that is not active does not hold; such a constraint does not bind.",
          2);
  return text;
}

}  // namespace trireme
