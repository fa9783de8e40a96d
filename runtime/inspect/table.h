// Rows for people, in columns that line up.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trireme {

class TextTable {
 public:
  // A heading that begins with '>' makes a column of numbers, set to the right.
  explicit TextTable(std::vector<std::string> headings);
  // As many cells as there are headings.
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.size() == 1; }
  // Each line begun by `indent` spaces, no blanks at its end.
  std::string text(size_t indent = 0) const;

 private:
  std::vector<bool> to_the_right_;
  std::vector<std::vector<std::string>> rows_;
};

// How many columns of a terminal a text takes: its code points (UTF-8).
size_t columns_of(std::string_view text);

}  // namespace trireme
