// Prose for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace trireme {

constexpr size_t terminal_width = 100;

// `text` broken at spaces into lines of at most `width` columns, each begun by `indent` spaces and ended by a
// newline.
std::string wrap(std::string_view text, size_t indent, size_t width = terminal_width);

}  // namespace trireme
