// One file's samples in two parts: to train on and to validate on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace trireme {

// How many of `count` things are kept apart: the nearest whole number to the fraction of them.
// ConfigError when that leaves either part with fewer than `least`; `what` names the things.
int64_t held_out(int64_t count, double fraction, int64_t least, const char* what,
                 const std::filesystem::path& path);

// Some samples of a file; the default is all of them.
struct Part {
  std::string name;                 // empty: all of the file
  std::vector<uint32_t> rows = {};  // images, tables: which, ascending
  int64_t begin = 0, end = 0;       // text: tokens [begin, end)
};
inline constexpr const char* training_part = "training part";
inline constexpr const char* validation_part = "validation part";

struct Split {
  Part training;
  Part validation;
};

// Rows of images or of a table. Drawn by a seed of its own, so that the parts are the same for every run.seed
// and mix what the file has in order.
// DataError when there are 2^32 rows or more.
Split split_rows(int64_t rows, double fraction, const std::filesystem::path& path);

}  // namespace trireme
