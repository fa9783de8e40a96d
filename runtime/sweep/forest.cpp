#include "sweep/forest.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

namespace trireme {
namespace {

struct Split {
  size_t input = 0;
  double gain = 0;
  double place = 0;              // of a number: below it is left
  std::vector<char> categories;  // of a category: those that go left
};

// Sums of targets: what the squared error of a constant fit needs, once the squares are left out as the same
// for every split.
struct Sums {
  double sum = 0;
  double count = 0;
  void add(double target) {
    sum += target;
    count += 1;
  }
  double gain() const { return count > 0 ? sum * sum / count : 0; }
};

class TreeGrower {
 public:
  TreeGrower(const ForestData& data, const ForestOptions& options, RandomStream& random)
      : data_(data), options_(options), random_(random) {}

  std::vector<TreeLeaf> grow() {
    auto count = static_cast<uint32_t>(data_.rows());
    std::vector<size_t> rows(count);
    for (size_t& row : rows) row = random_.below(count);
    std::vector<BoxSide> box;
    for (const ForestInput& input : data_.inputs) {
      box.push_back({.low = 0, .high = 1, .categories = std::vector<char>(input.categories, 1)});
    }
    std::vector<TreeLeaf> leaves;
    struct Node {
      std::vector<size_t> rows;
      std::vector<BoxSide> box;
    };
    std::vector<Node> open;
    open.push_back({std::move(rows), std::move(box)});
    while (!open.empty()) {
      Node node = std::move(open.back());
      open.pop_back();
      std::optional<Split> split = best_split(node.rows, node.box);
      if (!split) {
        leaves.push_back({.box = std::move(node.box), .value = mean(node.rows)});
        continue;
      }
      Node left{{}, node.box}, right{{}, std::move(node.box)};
      for (size_t row : node.rows) (goes_left(*split, row) ? left : right).rows.push_back(row);
      cut(*split, left.box[split->input], right.box[split->input]);
      open.push_back(std::move(right));
      open.push_back(std::move(left));
    }
    return leaves;
  }

 private:
  double mean(const std::vector<size_t>& rows) const {
    double sum = 0;
    for (size_t row : rows) sum += data_.targets[row];
    return sum / static_cast<double>(rows.size());
  }
  bool goes_left(const Split& split, size_t row) const {
    double value = data_.value(row, split.input);
    return split.categories.empty() ? value < split.place : split.categories[static_cast<size_t>(value)] != 0;
  }
  static void cut(const Split& split, BoxSide& left, BoxSide& right) {
    if (split.categories.empty()) {
      left.high = right.low = split.place;
      return;
    }
    for (size_t c = 0; c < split.categories.size(); ++c) {
      (split.categories[c] != 0 ? right : left).categories[c] = 0;
    }
  }

  // The best split by some inputs, drawn; where none of those splits (they do not differ), by one of the
  // others.
  std::optional<Split> best_split(const std::vector<size_t>& rows, const std::vector<BoxSide>& box) {
    if (rows.size() < 2 * options_.min_leaf) return std::nullopt;
    auto [least, greatest] = std::minmax_element(
        rows.begin(), rows.end(), [&](size_t a, size_t b) { return data_.targets[a] < data_.targets[b]; });
    if (data_.targets[*least] == data_.targets[*greatest]) return std::nullopt;
    std::vector<size_t> order(data_.inputs.size());
    std::iota(order.begin(), order.end(), size_t{0});
    auto wanted = static_cast<size_t>(
        std::ceil(options_.fraction_of_inputs * static_cast<double>(data_.inputs.size())));
    std::optional<Split> best;
    Sums all;
    for (size_t row : rows) all.add(data_.targets[row]);
    for (size_t i = 0; i < order.size(); ++i) {
      std::swap(order[i], order[i + random_.below(static_cast<uint32_t>(order.size() - i))]);
      if (i >= wanted && best) break;
      std::optional<Split> split = data_.inputs[order[i]].categories > 0
                                       ? split_categories(order[i], rows, box[order[i]])
                                       : split_number(order[i], rows);
      if (split && (!best || split->gain > best->gain)) best = std::move(split);
    }
    // One that lessens nothing would only cut boxes without a reason.
    if (best && !(best->gain > all.gain())) return std::nullopt;
    return best;
  }

  std::optional<Split> split_number(size_t input, const std::vector<size_t>& rows) {
    std::vector<std::pair<double, double>> sorted;  // value, target
    sorted.reserve(rows.size());
    for (size_t row : rows) sorted.emplace_back(data_.value(row, input), data_.targets[row]);
    std::sort(sorted.begin(), sorted.end());
    Sums left, right;
    for (const auto& [value, target] : sorted) right.add(target);
    double gain = -1;
    size_t at = 0;  // rows on the left
    for (size_t i = 1; i < sorted.size(); ++i) {
      left.add(sorted[i - 1].second);
      right.sum -= sorted[i - 1].second;
      right.count -= 1;
      if (sorted[i].first == sorted[i - 1].first) continue;
      if (i < options_.min_leaf || sorted.size() - i < options_.min_leaf) continue;
      if (double here = left.gain() + right.gain(); here > gain) {
        gain = here;
        at = i;
      }
    }
    if (at == 0) return std::nullopt;
    return Split{.input = input,
                 .gain = gain,
                 .place = place_between(sorted[at - 1].first, sorted[at].first, data_.inputs[input].ends),
                 .categories = {}};
  }

  // Above `low`, at most `high`: anywhere, or at the end of a cell.
  double place_between(double low, double high, const std::vector<double>& ends) {
    auto first = std::upper_bound(ends.begin(), ends.end(), low);
    auto last = std::upper_bound(first, ends.end(), high);
    if (first != last) return *(first + random_.below(static_cast<uint32_t>(last - first)));
    double place = low + (high - low) * (random_.uniform() + 0.5 * 0x1p-24);
    return place > low ? place : high;  // neighbours without a number between them
  }

  std::optional<Split> split_categories(size_t input, const std::vector<size_t>& rows, const BoxSide& side) {
    struct Category {
      size_t number = 0;
      Sums sums;
    };
    std::vector<Category> categories(side.categories.size());
    for (size_t c = 0; c < categories.size(); ++c) categories[c].number = c;
    for (size_t row : rows) {
      categories[static_cast<size_t>(data_.value(row, input))].sums.add(data_.targets[row]);
    }
    std::vector<size_t> unseen;  // in the box, but of no row: each goes to a side by lot
    for (const Category& category : categories) {
      if (category.sums.count == 0 && side.categories[category.number] != 0)
        unseen.push_back(category.number);
    }
    std::erase_if(categories, [](const Category& category) { return category.sums.count == 0; });
    std::stable_sort(categories.begin(), categories.end(), [](const Category& a, const Category& b) {
      return a.sums.sum / a.sums.count < b.sums.sum / b.sums.count;
    });
    Sums left, right;
    for (const Category& category : categories) {
      right.sum += category.sums.sum;
      right.count += category.sums.count;
    }
    double gain = -1;
    size_t at = 0;  // categories on the left
    auto least = static_cast<double>(options_.min_leaf);
    for (size_t i = 1; i < categories.size(); ++i) {
      const Sums& moved = categories[i - 1].sums;
      left.sum += moved.sum;
      left.count += moved.count;
      right.sum -= moved.sum;
      right.count -= moved.count;
      if (left.count < least || right.count < least) continue;
      if (double here = left.gain() + right.gain(); here > gain) {
        gain = here;
        at = i;
      }
    }
    if (at == 0) return std::nullopt;
    Split split{
        .input = input, .gain = gain, .place = 0, .categories = std::vector<char>(side.categories.size())};
    for (size_t i = 0; i < at; ++i) split.categories[categories[i].number] = 1;
    for (size_t number : unseen) split.categories[number] = static_cast<char>(random_.below(2));
    return split;
  }

  const ForestData& data_;
  const ForestOptions& options_;
  RandomStream& random_;
};

bool holds(const BoxSide& side, const ForestInput& input, double value) {
  if (input.categories > 0) return side.categories[static_cast<size_t>(value)] != 0;
  return side.low <= value && (value < side.high || (side.high == 1 && value == 1));
}

}  // namespace

double BoxSide::measure() const {
  if (categories.empty()) return high - low;
  auto inside = std::count(categories.begin(), categories.end(), char{1});
  return static_cast<double>(inside) / static_cast<double>(categories.size());
}

double TreeLeaf::volume() const {
  double product = 1;
  for (const BoxSide& side : box) product *= side.measure();
  return product;
}

std::vector<TreeLeaf> grow_tree(const ForestData& data, const ForestOptions& options, RandomStream& random) {
  return TreeGrower(data, options, random).grow();
}

double value_at(const std::vector<TreeLeaf>& leaves, std::span<const double> point) {
  for (const TreeLeaf& leaf : leaves) {
    bool inside = true;
    for (size_t i = 0; i < point.size() && inside; ++i) {
      ForestInput kind{.categories = static_cast<int>(leaf.box[i].categories.size())};
      inside = holds(leaf.box[i], kind, point[i]);
    }
    if (inside) return leaf.value;
  }
  return NAN;  // outside of the unit box
}

}  // namespace trireme
