// What the columns of a table are, found by a first pass over its rows or taken from another data set.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/prepare_config.h"

namespace trireme {

enum class ColumnKind : uint8_t { ignored, number, category, class_target, number_target };

struct CsvColumn {
  std::string name;
  ColumnKind kind = ColumnKind::ignored;
  std::vector<std::string> values;  // category, class_target: distinct ones in order; see set_values
  double mean = 0, deviation = 1;   // number: of the training rows, missing ones left out; deviation above 0
  void set_values(std::vector<std::string> all);
  // The number of `value` (spaces around it not counted) in values, -1 where it is none.
  int64_t place_of(std::string_view value) const;

 private:
  std::map<std::string, int64_t, std::less<>> places_;
};

struct CsvTable {
  std::vector<CsvColumn> columns;  // as in the file
  std::vector<size_t> targets;     // columns, in the order of config.target
  int64_t rows = 0;
  // One a feature, in the order of the columns: "age", "colour=red", "colour=green".
  std::vector<std::string> feature_names() const;
  void statistics(std::vector<double>& mean, std::vector<double>& deviation) const;  // one a feature
};

struct CsvRow {
  std::string_view file;
  int64_t line;
  int64_t number;  // from 0, over all files
  const std::vector<std::string_view>& cells;
};

// Visits all rows of config.files, without header lines. DataError: what CsvReader finds, a row of another
// number of cells, files of different headers, no rows.
void for_each_row(const PrepareDatasetConfig& config, const std::function<void(const CsvRow&)>& visit);

// Empty, NA, N/A, NaN, null, ? (whatever their case), spaces around them not counted.
bool is_missing(std::string_view cell);
// `cell` without spaces around it as a finite number that float32 can hold. False where it is none.
bool parse_number(std::string_view cell, double& number);

// DataError "FILE: line L, column `NAME`: WHAT".
[[noreturn]] void fail_at_cell(const CsvRow& row, const CsvColumn& column, std::string_view what);

// The first pass. DataError for a column that is numbers here and text there, a column with very many
// distinct texts, a target that is missing, not what `task` says, or has one class only; ConfigError for a
// column that the config names and that is not there.
CsvTable survey_csv(const PrepareDatasetConfig& config);

// The columns that `like`, an output of prepare_csv, was made with, for the columns of config's files.
// DataError when they are others.
CsvTable csv_table_like(const PrepareDatasetConfig& config);

}  // namespace trireme
