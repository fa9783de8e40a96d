// The table that shows a sweep on a terminal, line by line.
#pragma once

#include <string>
#include <vector>

#include "sweep/results.h"

namespace trireme {

enum class LineStyle { plain, bold, dim, good };

struct TableLine {
  std::string text;
  LineStyle style = LineStyle::plain;
};

// No line takes more than `columns`, and there are no more than `rows` of them (0: as many as it takes): the
// trials that ended last go first, then running ones, then values of the best. `now`: seconds since 1970.
std::vector<TableLine> table_lines(const SweepView& view, int columns, int rows, double now);

// Lines for a terminal: with their styles (ECMA-48 SGR), and without an end behind the last.
std::string styled_text(const std::vector<TableLine>& lines);

}  // namespace trireme
