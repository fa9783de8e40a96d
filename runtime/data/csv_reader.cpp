#include "data/csv_reader.h"

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace trireme {
namespace {
constexpr int end_of_file = -1;
constexpr size_t buffer_bytes = size_t{1} << 18;
constexpr size_t largest_cell = size_t{1} << 20;
}  // namespace

CsvReader::CsvReader(const std::filesystem::path& path, char delimiter)
    : path_(path), delimiter_(delimiter), stream_(path, std::ios::binary), buffer_(buffer_bytes) {
  if (!std::filesystem::exists(path)) throw MissingInputError("{}: no such file", path.string());
  if (!stream_) throw IoError("{}: cannot be opened: {}", path.string(), std::strerror(errno));
  char mark[3];
  stream_.read(mark, 3);
  if (stream_.gcount() != 3 || std::memcmp(mark, "\xEF\xBB\xBF", 3) != 0) {
    stream_.clear();
    stream_.seekg(0);
  }
}

void CsvReader::fail(int64_t line, std::string_view what) const {
  throw DataError("{}: line {}: {}", path_.string(), line, what);
}

int CsvReader::get() {
  if (place_ == filled_) {
    stream_.read(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    if (stream_.bad()) throw IoError("{}: cannot be read: {}", path_.string(), std::strerror(errno));
    filled_ = static_cast<size_t>(stream_.gcount());
    place_ = 0;
    if (filled_ == 0) return end_of_file;
  }
  char c = buffer_[place_++];
  if (c == '\0') fail(line_, "holds a zero byte: not a text file? (convert UTF-16 with iconv -t UTF-8)");
  if (c == '\n') ++line_;
  return static_cast<unsigned char>(c);
}

void CsvReader::append(char c) {
  if (row_.size() - cell_begin_ >= largest_cell) {
    fail(row_line_, "a cell of this row has more than 1 MiB; is a closing quote missing?");
  }
  row_.push_back(c);
}

// One pass over the row's characters, in one of three states: at the beginning of a cell, inside of a plain
// cell, inside of quotes. A quote inside of quotes is looked at together with what follows.
bool CsvReader::read_row() {
  row_.clear();
  ends_.clear();
  cell_begin_ = 0;
  row_line_ = line_;
  enum class State { begin, plain, quoted, closed } state = State::begin;
  int64_t quote_line = 0;
  bool any = false;
  for (;;) {
    int c = get();
    if (c == end_of_file) {
      if (state == State::quoted) fail(quote_line, "a quote opens here and is never closed");
      if (!any) return false;
      break;
    }
    any = true;
    if (state == State::quoted) {
      if (c != '"') {
        append(static_cast<char>(c));
      } else {
        state = State::closed;  // or the first of two
      }
      continue;
    }
    if (c == '"') {
      if (state == State::begin) {
        state = State::quoted;
        quote_line = line_;
      } else if (state == State::closed) {
        append('"');
        state = State::quoted;
      } else {
        fail(line_,
             "a quote inside of a cell that does not begin with one; put the cell in quotes and double this "
             "one");
      }
    } else if (c == delimiter_) {
      ends_.push_back(row_.size());
      cell_begin_ = row_.size();
      state = State::begin;
    } else if (c == '\n') {
      break;
    } else if (c == '\r') {
      if (get() != '\n') fail(line_, "a carriage return that no line feed follows");
      break;
    } else if (state == State::closed) {
      fail(line_, "something follows the closing quote of a cell");
    } else {
      append(static_cast<char>(c));
      state = State::plain;
    }
  }
  // An empty line has no cell; a quoted empty one has.
  if (ends_.empty() && row_.empty() && state == State::begin) return true;
  ends_.push_back(row_.size());
  return true;
}

bool CsvReader::next(std::vector<std::string_view>& cells) {
  do {
    if (!read_row()) return false;
  } while (ends_.empty());
  cells.clear();
  size_t begin = 0;
  for (size_t end : ends_) {
    cells.push_back(std::string_view(row_).substr(begin, end - begin));
    begin = end;
  }
  return true;
}

}  // namespace trireme
