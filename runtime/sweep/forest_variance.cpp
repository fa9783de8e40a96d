#include <algorithm>
#include <vector>

#include "sweep/forest.h"

namespace trireme {
namespace {

// An input cut where any leaf's box ends: within a cell no leaf begins or ends. Of a category each is a cell.
struct Cells {
  std::vector<double> ends;    // of numbers: 0, ..., 1, rising
  std::vector<double> widths;  // sum 1
};

Cells cells_of(const ForestInput& input, const std::vector<TreeLeaf>& leaves, size_t i) {
  Cells cells;
  if (input.categories > 0) {
    cells.widths.assign(static_cast<size_t>(input.categories), 1.0 / input.categories);
    return cells;
  }
  cells.ends = {0, 1};
  for (const TreeLeaf& leaf : leaves) cells.ends.push_back(leaf.box[i].low);
  std::sort(cells.ends.begin(), cells.ends.end());
  cells.ends.erase(std::unique(cells.ends.begin(), cells.ends.end()), cells.ends.end());
  for (size_t c = 0; c + 1 < cells.ends.size(); ++c)
    cells.widths.push_back(cells.ends[c + 1] - cells.ends[c]);
  return cells;
}

// The cells that a side takes, as runs [first, last).
std::vector<std::pair<size_t, size_t>> runs_of(const BoxSide& side, const Cells& cells) {
  std::vector<std::pair<size_t, size_t>> runs;
  if (side.categories.empty()) {
    auto index = [&cells](double end) {
      return static_cast<size_t>(std::lower_bound(cells.ends.begin(), cells.ends.end(), end) -
                                 cells.ends.begin());
    };
    runs.emplace_back(index(side.low), index(side.high));
    return runs;
  }
  for (size_t c = 0; c < side.categories.size(); ++c) {
    if (side.categories[c] == 0) continue;
    if (!runs.empty() && runs.back().second == c) {
      ++runs.back().second;
    } else {
      runs.emplace_back(c, c + 1);
    }
  }
  return runs;
}

using Runs = std::vector<std::vector<std::pair<size_t, size_t>>>;  // a leaf each

// The tree's mean over all inputs but one, in each cell of that one: every leaf adds its value times the part
// of the other inputs' box that it takes.
std::vector<double> marginal(const std::vector<TreeLeaf>& leaves, const std::vector<double>& volumes,
                             const Cells& cells, const Runs& runs, size_t i) {
  std::vector<double> sums(cells.widths.size() + 1, 0.0);  // of differences between neighbours
  for (size_t leaf = 0; leaf < leaves.size(); ++leaf) {
    double weight = leaves[leaf].value * volumes[leaf] / leaves[leaf].box[i].measure();
    for (auto [first, last] : runs[leaf]) {
      sums[first] += weight;
      sums[last] -= weight;
    }
  }
  for (size_t c = 1; c < sums.size(); ++c) sums[c] += sums[c - 1];
  sums.pop_back();
  return sums;
}

// Of two inputs, and at once its variance beyond that of either alone. Rectangles are added at their corners
// and summed up over the whole afterwards: leaves + cells steps, not leaves * cells.
double pair_variance(const std::vector<TreeLeaf>& leaves, const std::vector<double>& volumes,
                     const std::vector<Cells>& cells, const std::vector<Runs>& runs,
                     const std::vector<std::vector<double>>& marginals, double mean, size_t i, size_t j) {
  size_t rows = cells[i].widths.size(), columns = cells[j].widths.size();
  size_t stride = columns + 1;
  std::vector<double> sums((rows + 1) * stride, 0.0);
  for (size_t leaf = 0; leaf < leaves.size(); ++leaf) {
    const std::vector<BoxSide>& box = leaves[leaf].box;
    double weight = leaves[leaf].value * volumes[leaf] / (box[i].measure() * box[j].measure());
    for (auto [top, bottom] : runs[i][leaf]) {
      for (auto [left, right] : runs[j][leaf]) {
        sums[top * stride + left] += weight;
        sums[top * stride + right] -= weight;
        sums[bottom * stride + left] -= weight;
        sums[bottom * stride + right] += weight;
      }
    }
  }
  double variance = 0;
  for (size_t r = 0; r < rows; ++r) {
    double along = 0;
    for (size_t c = 0; c < columns; ++c) {
      along += sums[r * stride + c];
      sums[r * stride + c] = along + (r > 0 ? sums[(r - 1) * stride + c] : 0.0);
      double beyond = sums[r * stride + c] - marginals[i][r] - marginals[j][c] + mean;
      variance += cells[i].widths[r] * cells[j].widths[c] * beyond * beyond;
    }
  }
  return variance;
}

}  // namespace

TreeVariance variance_of(const std::vector<ForestInput>& inputs, const std::vector<TreeLeaf>& leaves,
                         bool pairs) {
  TreeVariance result;
  std::vector<double> volumes;
  double mean = 0;
  for (const TreeLeaf& leaf : leaves) {
    volumes.push_back(leaf.volume());
    mean += volumes.back() * leaf.value;
  }
  for (size_t leaf = 0; leaf < leaves.size(); ++leaf) {
    double off = leaves[leaf].value - mean;
    result.total += volumes[leaf] * off * off;
  }
  std::vector<Cells> cells;
  std::vector<Runs> runs;
  std::vector<std::vector<double>> marginals;
  for (size_t i = 0; i < inputs.size(); ++i) {
    cells.push_back(cells_of(inputs[i], leaves, i));
    Runs& of_input = runs.emplace_back();
    for (const TreeLeaf& leaf : leaves) of_input.push_back(runs_of(leaf.box[i], cells[i]));
    marginals.push_back(marginal(leaves, volumes, cells[i], runs[i], i));
    double variance = 0;
    for (size_t c = 0; c < cells[i].widths.size(); ++c) {
      double off = marginals[i][c] - mean;
      variance += cells[i].widths[c] * off * off;
    }
    result.singles.push_back(variance);
  }
  for (size_t i = 0; pairs && i < inputs.size(); ++i) {
    for (size_t j = i + 1; j < inputs.size(); ++j) {
      // Inputs by one of which the tree never splits have nothing between them.
      bool both = cells[i].widths.size() > 1 && cells[j].widths.size() > 1;
      result.pairs.push_back(both ? pair_variance(leaves, volumes, cells, runs, marginals, mean, i, j) : 0.0);
    }
  }
  return result;
}

}  // namespace trireme
