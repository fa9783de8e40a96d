// Rows of a CSV file (RFC 4180): cells between delimiters, quotes around cells that hold delimiters, line
// breaks or (doubled) quotes; lines end with LF or CR LF; a byte order mark is passed over.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

// Front to back, in bounded memory.
class CsvReader {
 public:
  // MissingInputError, IoError.
  CsvReader(const std::filesystem::path& path, char delimiter);

  // The next row's cells, valid until the following call; false after the last. Empty lines are passed over.
  // DataError naming file and line: a quote inside of an unquoted cell, something after a closing quote, a
  // quote that is never closed (the line where it opens), a zero byte, a cell above 1 MiB (a quote lost, most
  // likely).
  bool next(std::vector<std::string_view>& cells);

  const std::filesystem::path& path() const { return path_; }
  // Of the row that next() gave, from 1; where it begins.
  int64_t line() const { return row_line_; }

 private:
  bool read_row();
  int get();
  void append(char c);
  [[noreturn]] void fail(int64_t line, std::string_view what) const;

  std::filesystem::path path_;
  char delimiter_;
  std::ifstream stream_;
  std::vector<char> buffer_;
  size_t place_ = 0, filled_ = 0;
  int64_t line_ = 1, row_line_ = 0;
  std::string row_;           // the row's cells, one after another
  std::vector<size_t> ends_;  // where each ends in row_
  size_t cell_begin_ = 0;
};

}  // namespace trireme
