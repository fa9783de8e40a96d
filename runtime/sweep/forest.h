// A small regression forest whose trees are read as what they are: boxes of equal value. It is grown to ask
// how a function's variance is shared among its inputs, not to predict.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/rng.h"

namespace trireme {

// An input of the forest. Numbers lie in [0, 1], over which they are uniform; a category is 0, 1, ..., all
// equally likely.
struct ForestInput {
  int categories = 0;             // 0: a number
  std::vector<double> ends = {};  // of a number that takes few values: where the cell of each ends, 0 ... 1
};

// Rows of inputs and one target each.
struct ForestData {
  std::vector<ForestInput> inputs;
  std::vector<double> values;   // row-major, rows * inputs
  std::vector<double> targets;  // rows, all finite

  size_t rows() const { return targets.size(); }
  double value(size_t row, size_t input) const { return values[row * inputs.size() + input]; }
};

struct ForestOptions {
  size_t min_leaf = 3;               // rows on each side of a split
  double fraction_of_inputs = 0.83;  // that each split chooses from
};

// One side of a leaf's box: an interval of [0, 1], or a set of categories.
struct BoxSide {
  double low = 0, high = 1;
  std::vector<char> categories;  // of a category: 1 for those that are in it

  // Which part of the input's range it takes, 0 to 1.
  double measure() const;
};

struct TreeLeaf {
  std::vector<BoxSide> box;  // one side an input
  double value = 0;
  double volume() const;
};

// The leaves of one tree, which part the unit box. Grown on rows drawn with replacement (Breiman 2001); each
// split takes that input and place that lessen the squared error most; between two neighbouring numbers the
// place is drawn (Hutter et al. 2014, "Algorithm runtime prediction", 4.3); categories are split in two by
// their mean targets, which is the best of all splits (Breiman et al. 1984, theorem 4.5). All draws come from
// `random`. At least one row.
std::vector<TreeLeaf> grow_tree(const ForestData& data, const ForestOptions& options, RandomStream& random);

// The value at a point, an input's value each.
double value_at(const std::vector<TreeLeaf>& leaves, std::span<const double> point);

// How the variance of a tree over the whole box is shared: functional analysis of variance (Hutter, Hoos,
// Leyton-Brown 2014, algorithms 1 and 2), exact by the leaves' boxes.
struct TreeVariance {
  double total = 0;
  std::vector<double> singles;  // an input each
  std::vector<double> pairs;    // of i < j, in the order (0, 1), (0, 2) ... (1, 2) ...: beyond both singles
};
TreeVariance variance_of(const std::vector<ForestInput>& inputs, const std::vector<TreeLeaf>& leaves,
                         bool pairs);

}  // namespace trireme
