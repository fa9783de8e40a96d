#include "config/nearest.h"

#include <algorithm>

#include "base/nearest_name.h"

namespace trireme {

bool is_near(std::string_view word, std::string_view known) {
  if (word.size() > 100) return false;  // no slip, and the table of costs grows with it
  return edit_distance(word, known) <= std::max<size_t>(1, std::max(word.size(), known.size()) / 3);
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  std::string_view best;
  size_t best_distance = 0;
  for (std::string_view candidate : candidates) {
    if (!is_near(word, candidate)) continue;
    size_t distance = edit_distance(word, candidate);
    if (best.empty() || distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace trireme
