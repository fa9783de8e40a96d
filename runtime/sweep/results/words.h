// Figures, keys and curves of a sweep as people read them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "sweep/results.h"

namespace trireme {

// A score as it was measured: of an objective to be maximised the score is the negative.
double measured(const SweepConfig& config, size_t objective, double score);
// "0.2714", "12.30", "421738", "1.2e-05": at most 9 characters for what is no odd number.
std::string figure_text(double value);
// "validation.loss 0.2714, validation.accuracy 0.9012"
std::string scores_text(const SweepConfig& config, const std::vector<double>& scores);

// The value of a parameter in few characters, without quotes: "adam", "0.001322", "[256, 128]"; "-" where it
// is not active.
std::string short_value(const Space& space, size_t parameter, double value);
// Of each parameter the last part of its key, or as many more as tell it from the others: "learning_rate".
std::vector<std::string> short_keys(const Space& space);
// "adam learning_rate=0.001322": active ones only, words without their keys.
std::string short_point(const Space& space, const Point& point);

// "▇▅▃▂▁": one character of eight heights a value, between low and high, no more than `width` of them (then
// of equally distant ones, the last among them).
std::string sparkline(const std::vector<double>& values, double low, double high, size_t width);

// "0:07", "12:31", "1:02:03".
std::string clock_text(double seconds);

// How many columns of a terminal a text takes: its code points (UTF-8).
size_t text_columns(std::string_view text);
// Cut to so many, with "…" for what is left out; control characters become blanks.
std::string fit(std::string_view text, size_t columns);
// The same, filled up with blanks behind, or before.
std::string pad(std::string_view text, size_t columns, bool to_the_right = false);

}  // namespace trireme
