#include "sweep/placement.h"

#include <algorithm>
#include <map>
#include <optional>

namespace trireme {
namespace {

// The ranks of each node, rising.
std::vector<std::vector<int>> ranks_of_nodes(const std::vector<int>& nodes) {
  std::map<int, std::vector<int>> found;
  for (size_t rank = 0; rank < nodes.size(); ++rank) found[nodes[rank]].push_back(static_cast<int>(rank));
  std::vector<std::vector<int>> all;
  for (auto& [node, ranks] : found) all.push_back(std::move(ranks));
  return all;
}

int count_free(const std::vector<bool>& free, const std::vector<int>& ranks, size_t first, size_t count) {
  int found = 0;
  for (size_t i = first; i < std::min(first + count, ranks.size()); ++i) {
    found += free[static_cast<size_t>(ranks[i])] ? 1 : 0;
  }
  return found;
}

// How much is free around a block: in the blocks of twice, four times ... its size that it lies in, the
// smallest first. The lowest of these breaks up the least.
std::vector<int> surroundings(const std::vector<bool>& free, const std::vector<int>& ranks, size_t first,
                              size_t width) {
  std::vector<int> found;
  for (size_t size = 2 * width; size / 2 < ranks.size(); size *= 2) {
    found.push_back(count_free(free, ranks, first / size * size, size));
  }
  return found;
}

std::vector<int> aligned_block(const std::vector<bool>& free, const std::vector<std::vector<int>>& all,
                               size_t width, int preferred) {
  struct Block {
    bool preferred;
    std::vector<int> around;
    const std::vector<int>* ranks;
    size_t first;
  };
  std::optional<Block> best;
  for (const std::vector<int>& ranks : all) {
    for (size_t first = 0; first + width <= ranks.size(); first += width) {
      if (count_free(free, ranks, first, width) != static_cast<int>(width)) continue;
      Block block{ranks[first] == preferred, surroundings(free, ranks, first, width), &ranks, first};
      bool better =
          !best || (block.preferred != best->preferred ? block.preferred : block.around < best->around);
      if (better) best = std::move(block);
    }
  }
  if (!best) return {};
  auto begin = best->ranks->begin() + static_cast<std::ptrdiff_t>(best->first);
  return {begin, begin + static_cast<std::ptrdiff_t>(width)};
}

}  // namespace

std::vector<int> choose_ranks(const std::vector<bool>& free, const std::vector<int>& nodes, int width,
                              int preferred) {
  auto wanted = static_cast<size_t>(width);
  if (width < 1 || std::count(free.begin(), free.end(), true) < width) return {};
  std::vector<std::vector<int>> all = ranks_of_nodes(nodes);
  std::vector<int> chosen = aligned_block(free, all, wanted, preferred);
  if (!chosen.empty()) return chosen;

  for (std::vector<int>& ranks : all) {
    std::erase_if(ranks, [&](int rank) { return !free[static_cast<size_t>(rank)]; });
  }
  // The fullest node that has as many, else those with the most.
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
  for (const std::vector<int>& ranks : all) {
    if (ranks.size() >= wanted) return {ranks.begin(), ranks.begin() + width};
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
  for (const std::vector<int>& ranks : all) {
    size_t more = std::min(ranks.size(), wanted - chosen.size());
    chosen.insert(chosen.end(), ranks.begin(), ranks.begin() + static_cast<std::ptrdiff_t>(more));
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

RankPool::RankPool(std::vector<int> nodes) : nodes_(std::move(nodes)), free_(nodes_.size(), false) {}

std::vector<int> RankPool::take(int width, int preferred) {
  std::vector<int> ranks = choose_ranks(free_, nodes_, width, preferred);
  for (int rank : ranks) free_[static_cast<size_t>(rank)] = false;
  free_ranks_ -= static_cast<int>(ranks.size());
  return ranks;
}

void RankPool::release(int rank) {
  if (free_.at(static_cast<size_t>(rank))) return;
  free_[static_cast<size_t>(rank)] = true;
  ++free_ranks_;
}

}  // namespace trireme
