// "Did you mean": the nearest known word.
#pragma once

#include <string_view>
#include <vector>

namespace trireme {

// Damerau-Levenshtein distance (optimal string alignment): insertions, deletions, substitutions and swaps of
// neighbours.
size_t typing_distance(std::string_view a, std::string_view b);

// Whether `word` may well be a slip for `known`: at most a third of its letters differ, one at least being
// allowed.
bool is_near(std::string_view word, std::string_view known);

// The nearest candidate that is_near, the first of equals; empty when none is.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace trireme
