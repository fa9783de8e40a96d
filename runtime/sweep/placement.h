// Which ranks a trial gets.
//
// Any free ranks serve a trial, so one that needs no more than are free always fits. Of those that serve,
// blocks of a node's ranks that begin at a multiple of the width are taken first: the same groups come again
// and again (their communicators are kept), and room for wider trials stays in one piece.
#pragma once

#include <vector>

namespace trireme {

// `width` ranks of those that are free, rising; none where fewer are. free[r] and nodes[r]: of rank r, the
// node counted from 0. In this order: an aligned block inside a node, of several the one that begins with
// `preferred` (-1: none), else where the least around it is free; any ranks of one node, the fullest node
// that has as many; ranks of as few nodes as possible.
std::vector<int> choose_ranks(const std::vector<bool>& free, const std::vector<int>& nodes, int width,
                              int preferred = -1);

// The ranks of a sweep.
class RankPool {
 public:
  // None is free until release()d.
  explicit RankPool(std::vector<int> nodes);
  int ranks() const { return static_cast<int>(nodes_.size()); }
  int free_ranks() const { return free_ranks_; }
  bool fits(int width) const { return width <= free_ranks_; }
  // As choose_ranks(), which are no longer free.
  std::vector<int> take(int width, int preferred = -1);
  void release(int rank);

 private:
  std::vector<int> nodes_;
  std::vector<bool> free_;
  int free_ranks_ = 0;
};

}  // namespace trireme
