// CSV tables: one pass that finds what the columns are (csv_table.h), one that writes.
#include <fmt/ranges.h>
#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/hdf5.h"
#include "data/csv_table.h"
#include "data/prepare_common.h"

namespace trireme {
namespace {

// The rows of one output, a chunk at a time.
class TableWriter {
 public:
  TableWriter(const std::string& path, const CsvTable& table, int64_t rows)
      : output_(path), width_(static_cast<int64_t>(table.feature_names().size())) {
    constexpr int64_t chunk_bytes = int64_t{128} << 10;
    classes_ = table.columns[table.targets.front()].kind == ColumnKind::class_target;
    target_width_ = static_cast<int64_t>(table.targets.size());
    chunk_rows_ = std::max<int64_t>(1, chunk_bytes / (width_ * static_cast<int64_t>(sizeof(float))));
    features_ = h5::create_dataset(output_.file(), "/features", DType::float32, Shape{rows, width_},
                                   {.chunk = Shape{chunk_rows_, width_}, .fletcher32 = true});
    Shape shape = classes_ ? Shape{rows} : Shape{rows, target_width_};
    Shape chunk =
        classes_ ? Shape{1 << 15} : Shape{std::max<int64_t>(1, (1 << 15) / target_width_), target_width_};
    targets_ = h5::create_dataset(output_.file(), "/targets", classes_ ? DType::int32 : DType::float32, shape,
                                  {.chunk = chunk, .fletcher32 = true});
    write_attributes(table);
  }

  // A row begins: zeros for its features, and room for its targets.
  std::span<float> begin_row() {
    if (buffered_ == chunk_rows_) flush();
    ++buffered_;
    values_.resize(static_cast<size_t>(buffered_ * width_), 0.0F);
    return std::span(values_).last(static_cast<size_t>(width_));
  }
  void add_class(int64_t number) { class_numbers_.push_back(static_cast<int32_t>(number)); }
  void add_target(double number) { target_numbers_.push_back(static_cast<float>(number)); }

  void commit(const SourceRecord& record) {
    flush();
    features_ = {};
    targets_ = {};
    output_.commit(record);
  }

 private:
  void write_attributes(const CsvTable& table) {
    std::vector<double> mean, deviation;
    table.statistics(mean, deviation);
    h5::write_attribute(features_, "feature_names", table.feature_names());
    h5::write_attribute(features_, "mean", mean);
    h5::write_attribute(features_, "std", deviation);
    std::vector<std::string> names, kinds, target_names;
    for (const CsvColumn& column : table.columns) {
      names.push_back(column.name);
      switch (column.kind) {
        case ColumnKind::ignored:
          kinds.push_back("ignored");
          break;
        case ColumnKind::number:
          kinds.push_back("number");
          break;
        case ColumnKind::category:
          kinds.push_back(fmt::format("category {}", column.values.size()));
          break;
        case ColumnKind::class_target:
          kinds.push_back("classes");
          break;
        case ColumnKind::number_target:
          kinds.push_back("target");
          break;
      }
    }
    h5::write_attribute(output_.file(), "columns", names);
    h5::write_attribute(output_.file(), "column_kinds", kinds);
    if (classes_) {
      h5::write_attribute(targets_, "class_names", table.columns[table.targets.front()].values);
      return;
    }
    for (size_t target : table.targets) target_names.push_back(table.columns[target].name);
    h5::write_attribute(targets_, "target_names", target_names);
  }

  void flush() {
    if (buffered_ == 0) return;
    h5::write_rows(features_, DType::float32, written_, buffered_, values_.data());
    if (classes_) {
      h5::write_rows(targets_, DType::int32, written_, buffered_, class_numbers_.data());
    } else {
      h5::write_rows(targets_, DType::float32, written_, buffered_, target_numbers_.data());
    }
    written_ += buffered_;
    buffered_ = 0;
    values_.clear();
    class_numbers_.clear();
    target_numbers_.clear();
  }

  OutputFile output_;
  h5::Handle features_, targets_;
  bool classes_;
  int64_t width_, target_width_, chunk_rows_ = 0, buffered_ = 0, written_ = 0;
  std::vector<float> values_, target_numbers_;
  std::vector<int32_t> class_numbers_;
};

// What a missing feature becomes; an error where it may not be missing.
double fill_missing(const PrepareDatasetConfig& config, const CsvRow& row, const CsvColumn& column) {
  if (config.missing == "error") {
    fail_at_cell(row, column, "the value is missing; mend the cell, or set missing = \"mean\" or \"zero\"");
  }
  return config.missing == "mean" ? column.mean : 0.0;
}

[[noreturn]] void fail_unseen(const PrepareDatasetConfig& config, const CsvRow& row, const CsvColumn& column,
                              std::string_view cell) {
  constexpr size_t shown = 12;
  std::span<const std::string> some(column.values.data(), std::min(shown, column.values.size()));
  fail_at_cell(row, column,
               fmt::format("\"{}\" is none of the {} that {} has: {}{}", cell,
                           column.kind == ColumnKind::category ? "categories" : "classes", config.like,
                           fmt::join(some, ", "), column.values.size() > shown ? ", ..." : ""));
}

void write_row(const PrepareDatasetConfig& config, const CsvTable& table, const CsvRow& row,
               TableWriter& writer) {
  std::span<float> features = writer.begin_row();
  size_t feature = 0;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const CsvColumn& column = table.columns[i];
    std::string_view cell = row.cells[i];
    if (column.kind == ColumnKind::number) {
      double value = 0;
      if (is_missing(cell)) {
        value = fill_missing(config, row, column);
      } else if (!parse_number(cell, value)) {
        fail_at_cell(row, column, fmt::format("\"{}\" is no number", cell));
      }
      features[feature++] = static_cast<float>(value);
    } else if (column.kind == ColumnKind::category) {
      if (is_missing(cell)) {
        fill_missing(config, row, column);
      } else {
        int64_t place = column.place_of(cell);
        if (place < 0) fail_unseen(config, row, column, cell);
        features[feature + static_cast<size_t>(place)] = 1.0F;
      }
      feature += column.values.size();
    }
  }
  for (size_t i : table.targets) {
    const CsvColumn& column = table.columns[i];
    std::string_view cell = row.cells[i];
    if (is_missing(cell)) fail_at_cell(row, column, "the target is missing");
    if (column.kind == ColumnKind::class_target) {
      int64_t place = column.place_of(cell);
      if (place < 0) fail_unseen(config, row, column, cell);
      writer.add_class(place);
      continue;
    }
    double value = 0;
    if (!parse_number(cell, value)) fail_at_cell(row, column, fmt::format("\"{}\" is no number", cell));
    writer.add_target(value);
  }
}

std::string summary_of(const std::string& path) {
  h5::Handle file = h5::open_file(path);
  h5::Handle features = h5::open_dataset(file, "/features"), targets = h5::open_dataset(file, "/targets");
  Shape shape = h5::shape_of(features);
  std::string columns;
  auto names = h5::read_strings_attribute(file, "columns"),
       kinds = h5::read_strings_attribute(file, "column_kinds");
  for (size_t i = 0; i < names.size(); ++i)
    columns += fmt::format("{}{} ({})", i ? ", " : "", names[i], kinds[i]);
  std::string what =
      h5::has_attribute(targets, "class_names")
          ? fmt::format("{} classes", h5::read_strings_attribute(targets, "class_names").size())
          : fmt::format("{} target(s)", h5::shape_of(targets)[1]);
  return fmt::format("{} rows of {} features, {}; columns {}", shape[0], shape[1], what, columns);
}

void write_tables(const PrepareDatasetConfig& config, const SourceRecord& record) {
  CsvTable table = config.like.empty() ? survey_csv(config) : csv_table_like(config);
  bool split = !config.validation_output.empty();
  int64_t apart = 0;
  for (int64_t row = 0; split && row < table.rows; ++row)
    apart += kept_apart(row, config.validation_fraction) ? 1 : 0;
  if (split && (apart == 0 || apart == table.rows)) {
    throw DataError("{}: validation_fraction = {} puts {} of {} rows apart", config.files.front(),
                    config.validation_fraction, apart, table.rows);
  }
  TableWriter training(config.output, table, table.rows - apart);
  std::unique_ptr<TableWriter> validation;
  if (split) validation = std::make_unique<TableWriter>(config.validation_output, table, apart);
  for_each_row(config, [&](const CsvRow& row) {
    bool other = split && kept_apart(row.number, config.validation_fraction);
    write_row(config, table, row, other ? *validation : training);
  });
  if (split) validation->commit(record);
  training.commit(record);
}

}  // namespace

std::vector<PreparedFile> prepare_csv(const PrepareDatasetConfig& config, bool force) {
  SourceRecord record{.format = "trireme table", .settings = {}, .sources = {}, .sha256 = {}};
  record.settings = fmt::format(
      "header={} delimiter={} target={} task={} categories={} ignore={} missing={} like={} "
      "validation_fraction={}",
      config.header, config.delimiter, config.target, config.task, config.categories, config.ignore,
      config.missing, !config.like.empty(),
      config.validation_output.empty() ? 0.0 : config.validation_fraction);
  for (const std::string& path : config.files) record.add_file(path, config.origin);
  if (!config.like.empty()) record.add_file(config.like, config.origin);
  std::vector<std::string> outputs = outputs_of(config);
  bool up_to_date = !force && record.holds_for(outputs);
  if (!up_to_date) write_tables(config, record);
  std::vector<PreparedFile> files;
  for (const std::string& path : outputs) files.push_back({path, up_to_date, summary_of(path), {}});
  return files;
}

}  // namespace trireme
