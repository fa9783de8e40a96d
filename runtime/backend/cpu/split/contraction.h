// Products over all rows, as gradients of weights are.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/cpu/split/scratch.h"

namespace trireme::cpu::split {

// c [height, width] = left^T right, for left [rows, height] and right [rows, width]; made at bind, used by
// one step at a time. Rows are taken in parts of a fixed size, each added to what the parts before gave, so
// that bits do not depend on the number of threads. A thread takes some columns of the wider operand and all
// of the other, which it splits for itself: threads neither wait for each other nor read what another wrote.
class Contraction {
 public:
  // `with_sums`: run() gives the sums of right's columns too. Where `period` is not 0, every period-th row of
  // left counts as zeros.
  Contraction(int threads, int64_t rows, int64_t height, int64_t width, bool with_sums, int64_t period = 0);

  void run(const float* left, const float* right, float* c, float* sums);

 private:
  // A thread's part of c, and its memory.
  struct Share {
    Share(int64_t row, int64_t rows, int64_t column, int64_t columns, int64_t part, bool with_sums);
    int64_t row, rows, column, columns;
    PlaneBuffer left;
    PanelBuffer right;
    std::vector<float> sums;    // of every 32 rows, or none
    std::vector<double> total;  // of all
  };
  void run(Share& share, const float* left, const float* right, float* c, float* sums) const;
  // Splits rows [row, row + count) of both operands.
  void split(Share& share, const float* left, const float* right, int64_t row, int64_t count) const;

  int threads_;
  int64_t rows_, height_, width_, period_, part_;
  std::vector<Share> shares_;
};

}  // namespace trireme::cpu::split
