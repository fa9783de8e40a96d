// The mean of a channel and the sum of squared deviations from it, for the references of norms over channels.
#pragma once

#include <cstdint>

namespace trireme {

struct Moments {
  double mean, squares;
};

// Of channel `c` of x [rows, channels].
template <class T>
Moments moments_of(const T* x, int64_t rows, int64_t channels, int64_t c) {
  double sum = 0, squares = 0;
  for (int64_t r = 0; r < rows; ++r) sum += x[r * channels + c];
  double mean = sum / static_cast<double>(rows);
  for (int64_t r = 0; r < rows; ++r) {
    double deviation = double{x[r * channels + c]} - mean;
    squares += deviation * deviation;
  }
  return {mean, squares};
}

}  // namespace trireme
