#include "data/csv_table.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/hdf5.h"
#include "data/csv_reader.h"
#include "data/prepare_common.h"
#include "data/tokenizer.h"

namespace trireme {
namespace {

constexpr size_t most_categories = 1000;
constexpr size_t most_classes = 65536;

std::string_view trimmed(std::string_view text) {
  size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

bool contains(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// The columns' names: the header line, or numbers.
std::vector<std::string> names_of(const std::vector<std::string_view>& cells, bool header,
                                  const std::string& file) {
  std::vector<std::string> names;
  for (size_t i = 0; i < cells.size(); ++i) {
    std::string name(header ? trimmed(cells[i]) : "");
    if (first_invalid_utf8(name))
      throw DataError("{}: line 1: the name of column {} is not UTF-8", file, i + 1);
    if (name.empty()) name = fmt::format("column{}", i + 1);
    if (contains(names, name)) throw DataError("{}: line 1: two columns are called `{}`", file, name);
    names.push_back(std::move(name));
  }
  return names;
}

std::vector<std::string> column_names(const PrepareDatasetConfig& config) {
  CsvReader reader(config.files.front(), config.delimiter[0]);
  std::vector<std::string_view> cells;
  if (!reader.next(cells)) throw DataError("{}: holds no rows", config.files.front());
  return names_of(cells, config.header, config.files.front());
}

// What the first pass learns of one column.
struct Found {
  int64_t numbers = 0, texts = 0;
  std::string first_number, first_text;
  int64_t number_line = 0, text_line = 0;
  std::set<std::string, std::less<>> values;
  bool too_many = false;
  // Welford's running mean and sum of squared distances, over training rows.
  int64_t counted = 0;
  double mean = 0, squares = 0;

  void count(double number) {
    ++counted;
    double distance = number - mean;
    mean += distance / static_cast<double>(counted);
    squares += distance * (number - mean);
  }
  void keep(std::string_view value, size_t most) {
    if (too_many || values.contains(value)) return;
    if (values.size() >= most) {
      too_many = true;
    } else {
      values.emplace(value);
    }
  }
};

// Whole numbers by size where all are such, else by their bytes.
std::vector<std::string> sorted_values(const std::set<std::string, std::less<>>& values) {
  std::vector<std::string> sorted(values.begin(), values.end());
  auto whole = [](const std::string& text, int64_t& number) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
  };
  int64_t ignored = 0;
  if (!std::all_of(sorted.begin(), sorted.end(),
                   [&](const std::string& text) { return whole(text, ignored); })) {
    return sorted;
  }
  std::sort(sorted.begin(), sorted.end(), [&](const std::string& a, const std::string& b) {
    int64_t left = 0, right = 0;
    whole(a, left);
    whole(b, right);
    return left != right ? left < right : a < b;
  });
  return sorted;
}

[[noreturn]] void fail_column(const PrepareDatasetConfig& config, const CsvColumn& column,
                              const std::string& what) {
  throw DataError("{}: column `{}`: {}", config.files.front(), column.name, what);
}

// A column of numbers with texts in between, or the other way round: the rarer ones are the fault.
[[noreturn]] void fail_mixed(const PrepareDatasetConfig& config, const CsvColumn& column,
                             const Found& found) {
  bool text_is_odd = found.texts <= found.numbers;
  throw DataError(
      "{}: line {}, column `{}`: \"{}\" is {}, but the column has {} {}; mend the cell, or list the column "
      "in `{}`",
      config.files.front(), text_is_odd ? found.text_line : found.number_line, column.name,
      text_is_odd ? found.first_text : found.first_number, text_is_odd ? "no number" : "a number",
      text_is_odd ? found.numbers : found.texts, text_is_odd ? "numbers" : "texts", "categories");
}

void settle_target(const PrepareDatasetConfig& config, CsvColumn& column, const Found& found) {
  if (found.numbers + found.texts == 0) fail_column(config, column, "the target has no values");
  bool classes = config.task == "classes" || (config.task == "auto" && found.numbers == 0);
  if (!classes) {
    if (found.texts > 0) {
      throw DataError(
          "{}: line {}, column `{}`: the target \"{}\" is no number; for classes set task = \"classes\"",
          config.files.front(), found.text_line, column.name, found.first_text);
    }
    column.kind = ColumnKind::number_target;
    return;
  }
  column.kind = ColumnKind::class_target;
  if (config.target.size() > 1) fail_column(config, column, "only one target can be of classes");
  if (found.too_many) fail_column(config, column, fmt::format("more than {} distinct classes", most_classes));
  column.set_values(sorted_values(found.values));
  if (column.values.size() < 2) {
    fail_column(config, column,
                fmt::format("all targets are \"{}\": nothing to tell apart", column.values[0]));
  }
}

void settle_feature(const PrepareDatasetConfig& config, CsvColumn& column, const Found& found) {
  bool told = contains(config.categories, column.name);
  if (!told && found.texts > 0 && found.numbers > 0) fail_mixed(config, column, found);
  if (!told && found.texts == 0) {
    if (found.counted == 0) fail_column(config, column, "has no values; list it in `ignore`");
    column.kind = ColumnKind::number;
    column.mean = found.mean;
    double deviation = std::sqrt(found.squares / static_cast<double>(found.counted));
    column.deviation = deviation > 0 ? deviation : 1.0;
    return;
  }
  column.kind = ColumnKind::category;
  if (found.too_many) {
    fail_column(config, column,
                fmt::format("more than {} distinct texts; list it in `ignore`", most_categories));
  }
  if (found.values.empty()) fail_column(config, column, "has no values; list it in `ignore`");
  column.set_values(sorted_values(found.values));
}

void check_named_columns(const PrepareDatasetConfig& config, const std::vector<std::string>& names) {
  for (const auto* list : {&config.target, &config.categories, &config.ignore}) {
    for (const std::string& name : *list) {
      if (contains(names, name)) continue;
      throw ConfigError("{}: there is no column `{}` in {}; it has {}", config.origin, name,
                        config.files.front(), fmt::join(names, ", "));
    }
  }
}

void find_targets(const PrepareDatasetConfig& config, CsvTable& table) {
  for (const std::string& name : config.target) {
    for (size_t i = 0; i < table.columns.size(); ++i) {
      if (table.columns[i].name == name) table.targets.push_back(i);
    }
  }
}

}  // namespace

int64_t CsvColumn::place_of(std::string_view value) const {
  auto found = places_.find(trimmed(value));
  return found == places_.end() ? -1 : found->second;
}

void CsvColumn::set_values(std::vector<std::string> all) {
  values = std::move(all);
  places_.clear();
  for (const std::string& value : values) places_.emplace(value, static_cast<int64_t>(places_.size()));
}

std::vector<std::string> CsvTable::feature_names() const {
  std::vector<std::string> names;
  for (const CsvColumn& column : columns) {
    if (column.kind == ColumnKind::number) names.push_back(column.name);
    if (column.kind != ColumnKind::category) continue;
    for (const std::string& value : column.values) names.push_back(column.name + "=" + value);
  }
  return names;
}

void CsvTable::statistics(std::vector<double>& mean, std::vector<double>& deviation) const {
  for (const CsvColumn& column : columns) {
    bool number = column.kind == ColumnKind::number;
    size_t features = number ? 1 : column.kind == ColumnKind::category ? column.values.size() : 0;
    mean.insert(mean.end(), features, number ? column.mean : 0.0);
    deviation.insert(deviation.end(), features, number ? column.deviation : 1.0);
  }
}

void for_each_row(const PrepareDatasetConfig& config, const std::function<void(const CsvRow&)>& visit) {
  std::vector<std::string> names = column_names(config);
  int64_t number = 0;
  std::vector<std::string_view> cells;
  for (const std::string& file : config.files) {
    CsvReader reader(file, config.delimiter[0]);
    bool first = true;
    while (reader.next(cells)) {
      if (first && config.header && names_of(cells, true, file) != names) {
        throw DataError("{}: its header is not that of {}", file, config.files.front());
      }
      if (cells.size() != names.size()) {
        throw DataError("{}: line {}: {} cell(s), but there are {} columns (is the delimiter \"{}\"?)", file,
                        reader.line(), cells.size(), names.size(), config.delimiter);
      }
      if (!first || !config.header) visit({file, reader.line(), number++, cells});
      first = false;
    }
  }
  if (number == 0) throw DataError("{}: holds no rows", config.files.front());
}

bool is_missing(std::string_view cell) {
  cell = trimmed(cell);
  if (cell.empty() || cell == "?") return true;
  if (cell.size() > 4) return false;
  std::string lower;
  for (char c : cell) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return lower == "na" || lower == "n/a" || lower == "nan" || lower == "null";
}

bool parse_number(std::string_view cell, double& number) {
  cell = trimmed(cell);
  if (cell.starts_with('+')) cell.remove_prefix(1);
  auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), number);
  return error == std::errc() && end == cell.data() + cell.size() &&
         std::abs(number) <= 3.4028234663852886e38;
}

void fail_at_cell(const CsvRow& row, const CsvColumn& column, std::string_view what) {
  throw DataError("{}: line {}, column `{}`: {}", row.file, row.line, column.name, what);
}

CsvTable survey_csv(const PrepareDatasetConfig& config) {
  CsvTable table;
  for (std::string& name : column_names(config)) table.columns.emplace_back().name = std::move(name);
  std::vector<std::string> names;
  for (const CsvColumn& column : table.columns) names.push_back(column.name);
  check_named_columns(config, names);
  find_targets(config, table);

  std::vector<Found> found(table.columns.size());
  std::vector<uint8_t> is_target(table.columns.size()), keeps_values(table.columns.size());
  for (size_t i = 0; i < table.columns.size(); ++i) {
    is_target[i] = contains(config.target, names[i]);
    keeps_values[i] = is_target[i] || contains(config.categories, names[i]);
  }
  for_each_row(config, [&](const CsvRow& row) {
    ++table.rows;
    bool training = config.validation_output.empty() || !kept_apart(row.number, config.validation_fraction);
    for (size_t i = 0; i < found.size(); ++i) {
      if (contains(config.ignore, names[i])) continue;
      Found& column = found[i];
      std::string_view cell = trimmed(row.cells[i]);
      if (is_missing(cell)) {
        if (is_target[i]) fail_at_cell(row, table.columns[i], "the target is missing");
        continue;
      }
      double value = 0;
      bool number = parse_number(cell, value);
      if (number) {
        if (column.numbers++ == 0) column.first_number = cell, column.number_line = row.line;
        if (training) column.count(value);
      } else {
        if (first_invalid_utf8(cell)) fail_at_cell(row, table.columns[i], "the text is not UTF-8");
        if (column.texts++ == 0) column.first_text = cell, column.text_line = row.line;
      }
      if (!number || keeps_values[i]) column.keep(cell, is_target[i] ? most_classes : most_categories);
    }
  });
  for (size_t i = 0; i < found.size(); ++i) {
    if (contains(config.ignore, names[i])) continue;
    (is_target[i] ? settle_target : settle_feature)(config, table.columns[i], found[i]);
  }
  if (table.feature_names().empty())
    throw DataError("{}: no column is left as a feature", config.files.front());
  return table;
}

CsvTable csv_table_like(const PrepareDatasetConfig& config) {
  h5::Handle file = h5::open_file(config.like);
  if (!h5::has_attribute(file, "columns")) {
    throw DataError("{}: is no table that trireme-prepare made of CSV", config.like);
  }
  h5::Handle features = h5::open_dataset(file, "/features"), targets = h5::open_dataset(file, "/targets");
  auto names = h5::read_strings_attribute(file, "columns"),
       kinds = h5::read_strings_attribute(file, "column_kinds");
  auto feature_names = h5::read_strings_attribute(features, "feature_names");
  auto mean = h5::read_double_attribute(features, "mean"),
       deviation = h5::read_double_attribute(features, "std");
  std::vector<std::string> here = column_names(config);
  for (size_t i = 0; i < std::max(here.size(), names.size()); ++i) {
    if (i < here.size() && i < names.size() && here[i] == names[i]) continue;
    throw DataError("{}: column {} is `{}`, but in {} it is `{}`: the columns must be the same",
                    config.files.front(), i + 1, i < here.size() ? here[i] : "missing", config.like,
                    i < names.size() ? names[i] : "missing");
  }
  if (kinds.size() != names.size() || mean.size() != feature_names.size() ||
      deviation.size() != mean.size()) {
    throw DataError("{}: its column attributes do not fit each other", config.like);
  }
  CsvTable table;
  size_t feature = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    CsvColumn& column = table.columns.emplace_back();
    column.name = names[i];
    size_t values = 0;
    if (kinds[i] == "number") {
      column.kind = ColumnKind::number;
      if (feature >= mean.size())
        throw DataError("{}: has fewer features than its columns need", config.like);
      column.mean = mean[feature];
      column.deviation = deviation[feature++];
    } else if (kinds[i].starts_with("category ")) {
      column.kind = ColumnKind::category;
      std::from_chars(kinds[i].data() + 9, kinds[i].data() + kinds[i].size(), values);
    } else if (kinds[i] == "classes") {
      column.kind = ColumnKind::class_target;
      column.set_values(h5::read_strings_attribute(targets, "class_names"));
    } else if (kinds[i] == "target") {
      column.kind = ColumnKind::number_target;
    }
    std::vector<std::string> categories;
    for (size_t k = 0; k < values; ++k, ++feature) {
      if (feature >= feature_names.size() || !feature_names[feature].starts_with(names[i] + "=")) {
        throw DataError("{}: feature_names do not fit the columns", config.like);
      }
      categories.push_back(feature_names[feature].substr(names[i].size() + 1));
    }
    if (values > 0) column.set_values(std::move(categories));
  }
  find_targets(config, table);
  for (size_t i = 0; i < names.size(); ++i) {
    bool is_target = table.columns[i].kind == ColumnKind::class_target ||
                     table.columns[i].kind == ColumnKind::number_target;
    if (is_target != contains(config.target, names[i])) {
      throw ConfigError("{}: target is not that of {}, where column `{}` is {} target", config.origin,
                        config.like, names[i], is_target ? "a" : "no");
    }
  }
  for_each_row(config, [&](const CsvRow&) { ++table.rows; });
  return table;
}

}  // namespace trireme
