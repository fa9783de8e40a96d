// "Did you mean ...?": the known name that a mistyped one is closest to.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trireme {

// The least number of insertions, deletions, substitutions and swaps of neighbours that turn one into the
// other (optimal string alignment, the restricted Damerau-Levenshtein distance).
inline size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before;  // the rows of the two letters of `a` before
  std::vector<size_t> last(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    std::vector<size_t> row(b.size() + 1, i);
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = std::move(last);
    last = std::move(row);
  }
  return last.back();
}

// The candidate nearest to `name` (the first of equals); empty when there are none.
inline std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  auto nearer = [&](const std::string& a, const std::string& b) {
    return edit_distance(name, a) < edit_distance(name, b);
  };
  auto best = std::min_element(candidates.begin(), candidates.end(), nearer);
  return best == candidates.end() ? std::string() : *best;
}

}  // namespace trireme
