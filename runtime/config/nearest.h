// "Did you mean": the nearest known word, where one is near enough to be meant.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace trireme {

// Whether `word` may well be a slip for `known`: at most a third of its letters differ, one at least being
// allowed.
bool is_near(std::string_view word, std::string_view known);

// The nearest candidate that is_near, the first of equals; empty when none is.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace trireme
