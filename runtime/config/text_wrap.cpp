#include "config/text_wrap.h"

#include <algorithm>

namespace trireme {

std::string wrap(std::string_view text, size_t indent, size_t width) {
  std::string result;
  size_t column = 0;
  while (!text.empty()) {
    size_t end = std::min(text.find(' '), text.size());
    std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    if (column > 0 && column + 1 + word.size() > width) {
      result += '\n';
      column = 0;
    }
    if (column == 0) {
      result += std::string(indent, ' ');
      column = indent;
    } else {
      result += ' ';
      ++column;
    }
    result += word;
    column += word.size();
  }
  if (column > 0) result += '\n';
  return result;
}

}  // namespace trireme
