#include "inspect/table.h"

#include <algorithm>
#include <utility>

namespace trireme {

TextTable::TextTable(std::vector<std::string> headings) {
  for (std::string& heading : headings) {
    to_the_right_.push_back(heading.starts_with('>'));
    if (to_the_right_.back()) heading.erase(0, 1);
  }
  rows_.push_back(std::move(headings));
}

void TextTable::add(std::vector<std::string> cells) {
  cells.resize(to_the_right_.size());
  rows_.push_back(std::move(cells));
}

std::string TextTable::text(size_t indent) const {
  std::vector<size_t> widths(to_the_right_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i]));
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line(indent, ' ');
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) line += "  ";
      std::string blanks(widths[i] - columns_of(row[i]), ' ');
      line += to_the_right_[i] ? blanks + row[i] : row[i] + blanks;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

size_t columns_of(std::string_view text) {
  // Every byte but the later ones of a code point.
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace trireme
