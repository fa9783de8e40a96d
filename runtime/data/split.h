// One file's samples in two parts: to train on and to validate on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace trireme {

// How many of `count` things are kept apart: the nearest whole number to the fraction of them.
// ConfigError when that leaves either part with fewer than `least`; `what` names the things.
int64_t held_out(int64_t count, double fraction, int64_t least, const char* what,
                 const std::filesystem::path& path);

// Rows of the file in each part, ascending. Drawn by a seed of its own, so that the parts are the same for
// every run.seed and mix what the file has in order.
struct Split {
  std::vector<uint32_t> training;
  std::vector<uint32_t> validation;
};
// DataError when there are 2^32 rows or more.
Split split_rows(int64_t rows, double fraction, const std::filesystem::path& path);

}  // namespace trireme
