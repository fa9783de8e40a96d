// Every collective against plain loops, for any communicator: called by all ranks alike. What a rank
// contributes is a function of (rank, index), so every rank can tell what must come out.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "base/buffer.h"
#include "base/error.h"
#include "comm/communicator.h"

namespace trireme::test {

// Small whole numbers: sums are exact in every type and in any order.
template <class T>
T contribution(int rank, size_t i) {
  return static_cast<T>((i * 7 + static_cast<size_t>(rank) * 13 + i / 5) % 23);
}

// Values whose sum depends on the order of adding; for float types.
template <class T>
T rough(int rank, size_t i) {
  auto word = static_cast<uint32_t>(i * 2654435761u + static_cast<uint32_t>(rank + 1) * 40503u);
  word ^= word >> 15;
  word *= 2246822519u;
  word ^= word >> 13;
  return static_cast<T>((static_cast<double>(word % 200000) - 100000.0) / 777.0 *
                        (word % 3 == 0 ? 1e-4 : 1.0));
}

// The tree of comm/reduce.h over [first, last), said once more.
template <class T, class Value>
T tree_sum(int first, int last, const Value& value) {
  if (last - first == 1) return value(first);
  int half = 1;
  while (half * 2 < last - first) half *= 2;
  using W = Wide<T>;
  T left = tree_sum<T>(first, first + half, value);
  T right = tree_sum<T>(first + half, last, value);
  return static_cast<T>(static_cast<W>(left) + static_cast<W>(right));
}

template <class T>
T reduced(int ranks, size_t i, ReduceOp op) {
  if (op == ReduceOp::max) {
    T value = contribution<T>(0, i);
    for (int r = 1; r < ranks; ++r) value = std::max(value, contribution<T>(r, i));
    return value;
  }
  T sum = tree_sum<T>(0, ranks, [i](int r) { return contribution<T>(r, i); });
  using W = Wide<T>;
  return op == ReduceOp::sum ? sum : static_cast<T>(static_cast<W>(sum) / static_cast<W>(ranks));
}

// Uneven blocks, every third of them empty; about `count` elements in all.
inline std::vector<size_t> uneven_bounds(int ranks, size_t count) {
  std::vector<size_t> bounds{0};
  for (int r = 0; r < ranks; ++r) {
    size_t size = r % 3 == 1 ? 0 : count / static_cast<size_t>(ranks) + static_cast<size_t>(r * 5 % 7);
    bounds.push_back(bounds.back() + size);
  }
  return bounds;
}

// Memory of the group's own (`shared`), or any other.
template <class T>
Buffer memory_for(Communicator& group, size_t count, bool shared) {
  size_t bytes = (count + 1) * sizeof(T);
  return shared ? group.allocate(bytes) : Buffer(bytes);
}

template <class T>
void expect_values(const Buffer& buffer, size_t count, const std::function<T(size_t)>& expected, T guard,
                   const char* what) {
  const T* values = buffer.as<T>();
  for (size_t i = 0; i < count; ++i) {
    ASSERT_EQ(values[i], expected(i)) << what << ", element " << i;
  }
  ASSERT_EQ(values[count], guard) << what << ": wrote past the end";
}

template <class T>
void check_reductions(Communicator& group, size_t count, bool shared, ReduceOp op) {
  const int ranks = group.size();
  const int me = group.rank();
  const T guard = static_cast<T>(111);  // one element past every output must stay
  auto fresh = [&](size_t size) {
    Buffer buffer = memory_for<T>(group, size, shared);
    for (size_t i = 0; i < size; ++i) buffer.as<T>()[i] = contribution<T>(me, i);
    buffer.as<T>()[size] = guard;
    return buffer;
  };
  std::function<T(size_t)> own = [me](size_t i) { return contribution<T>(me, i); };
  std::function<T(size_t)> sum = [ranks, op](size_t i) { return reduced<T>(ranks, i, op); };

  Buffer data = fresh(count);
  group.all_reduce(data.data(), count, dtype_of<T>(), op);
  expect_values(data, count, sum, guard, "all_reduce in place");
  Buffer send = fresh(count), receive = fresh(count);
  group.all_reduce(send.data(), receive.data(), count, dtype_of<T>(), op);
  expect_values(receive, count, sum, guard, "all_reduce");
  expect_values(send, count, own, guard, "what all_reduce was given");

  for (const std::vector<size_t>& bounds :
       {uneven_bounds(ranks, count), uneven_bounds(ranks, 0), std::vector<size_t>(size_t(ranks) + 1, 0)}) {
    size_t total = bounds.back(), first = bounds[size_t(me)], size = bounds[size_t(me) + 1] - first;
    std::function<T(size_t)> block = [&](size_t i) { return sum(first + i); };
    Buffer all = fresh(total), mine = fresh(size);
    group.reduce_scatter(all.data(), mine.data(), bounds, dtype_of<T>(), op);
    expect_values(mine, size, block, guard, "reduce_scatter");
    expect_values(all, total, own, guard, "what reduce_scatter was given");
    group.reduce_scatter(all.data(), all.as<T>() + first, bounds, dtype_of<T>(), op);
    std::function<T(size_t)> mixed = [&](size_t i) {
      return i >= first && i < first + size ? sum(i) : own(i);
    };
    expect_values(all, total, mixed, guard, "reduce_scatter in place");
  }
}

template <class T>
void check_gathers(Communicator& group, size_t count, bool shared) {
  const int ranks = group.size();
  const int me = group.rank();
  const T guard = static_cast<T>(111);
  for (const std::vector<size_t>& bounds : {uneven_bounds(ranks, count), uneven_bounds(ranks, 0)}) {
    size_t total = bounds.back(), first = bounds[size_t(me)], size = bounds[size_t(me) + 1] - first;
    std::function<T(size_t)> expected = [&](size_t i) {
      int r = 0;
      while (i >= bounds[size_t(r) + 1]) ++r;
      return contribution<T>(r, i);
    };
    Buffer mine = memory_for<T>(group, size, shared), all = memory_for<T>(group, total, shared);
    for (size_t i = 0; i < size; ++i) mine.as<T>()[i] = contribution<T>(me, first + i);
    all.as<T>()[total] = guard;
    group.all_gather(mine.data(), all.data(), bounds, dtype_of<T>());
    expect_values(all, total, expected, guard, "all_gather");
    for (size_t i = 0; i < total; ++i)
      all.as<T>()[i] = i >= first && i < first + size ? contribution<T>(me, i) : T{};
    group.barrier();  // nobody may still read what was sent before
    group.all_gather(all.as<T>() + first, all.data(), bounds, dtype_of<T>());
    expect_values(all, total, expected, guard, "all_gather in place");
  }
  for (int root = 0; root < ranks; ++root) {
    Buffer words = memory_for<T>(group, count, shared);
    for (size_t i = 0; i < count; ++i) words.as<T>()[i] = contribution<T>(me, i);
    words.as<T>()[count] = guard;
    group.broadcast(words.data(), count * sizeof(T), root);
    std::function<T(size_t)> expected = [root](size_t i) { return contribution<T>(root, i); };
    expect_values(words, count, expected, guard, "broadcast");
  }
}

template <class T>
void check_type(Communicator& group, size_t count) {
  for (bool shared : {false, true}) {
    SCOPED_TRACE(fmt::format("{} ranks, rank {}, {} x {}, {} memory", group.size(), group.rank(), count,
                             name_of(dtype_of<T>()), shared ? "the group's" : "plain"));
    for (ReduceOp op : {ReduceOp::sum, ReduceOp::average, ReduceOp::max})
      check_reductions<T>(group, count, shared, op);
    check_gathers<T>(group, count, shared);
  }
}

// Sums have the tree's bits, in the group's own memory and in any other, out of place and in place, in one
// piece and in blocks.
template <class T>
void check_tree(Communicator& group, size_t count) {
  ASSERT_TRUE(group.keeps_tree());
  std::vector<T> expected(count);
  for (size_t i = 0; i < count; ++i) {
    expected[i] = tree_sum<T>(0, group.size(), [i](int r) { return rough<T>(r, i); });
  }
  for (bool shared : {false, true}) {
    Buffer data = memory_for<T>(group, count, shared);
    auto fill = [&] {
      for (size_t i = 0; i < count; ++i) data.as<T>()[i] = rough<T>(group.rank(), i);
    };
    fill();
    group.all_reduce(data.data(), count, dtype_of<T>());
    ASSERT_EQ(std::memcmp(data.data(), expected.data(), count * sizeof(T)), 0) << "all_reduce, " << count;
    fill();
    std::vector<size_t> bounds{0};
    for (int r = 1; r <= group.size(); ++r) bounds.push_back(count * size_t(r) / size_t(group.size()));
    size_t first = bounds[size_t(group.rank())], size = bounds[size_t(group.rank()) + 1] - first;
    group.reduce_scatter(data.data(), data.as<T>() + first, bounds, dtype_of<T>());
    ASSERT_EQ(std::memcmp(data.as<T>() + first, expected.data() + first, size * sizeof(T)), 0)
        << "reduce_scatter";
    group.barrier();
  }
}

inline void check_collectives(Communicator& group) {
  for (size_t count : {0u, 1u, 2u, 3u, 7u, 31u, 1001u, 20011u}) {
    check_type<float>(group, count);
    check_type<double>(group, count);
    check_type<int32_t>(group, count);
    check_type<int64_t>(group, count);
    check_type<uint8_t>(group, count);
    check_type<BFloat16>(group, count);
    check_type<Float16>(group, count);
    group.barrier();
  }
}

// The same bits on all ranks, and the same bits every time.
template <class T>
void check_same_bits(Communicator& group, size_t count) {
  std::vector<T> first;
  for (int repetition = 0; repetition < 100; ++repetition) {
    std::vector<T> data(count);
    for (size_t i = 0; i < count; ++i) data[i] = rough<T>(group.rank(), i);
    group.all_reduce(data.data(), count, dtype_of<T>(), ReduceOp::sum);
    if (first.empty()) first = data;
    ASSERT_EQ(std::memcmp(first.data(), data.data(), count * sizeof(T)), 0) << "repetition " << repetition;
  }
  std::vector<T> all(count * static_cast<size_t>(group.size()));
  group.all_gather(first.data(), count, dtype_of<T>(), all.data());
  for (int r = 0; r < group.size(); ++r) {
    ASSERT_EQ(std::memcmp(first.data(), all.data() + static_cast<size_t>(r) * count, count * sizeof(T)), 0)
        << "rank " << r << " has other bits than rank " << group.rank();
  }
}

// A sum or maximum of NaNs and of zeros of both signs, of which it is only asked that all ranks have the
// same.
template <class T>
void check_odd_values(Communicator& group) {
  constexpr size_t count = 999;
  for (ReduceOp op : {ReduceOp::sum, ReduceOp::max}) {
    std::vector<T> data(count), all(count * static_cast<size_t>(group.size()));
    for (size_t i = 0; i < count; ++i) {
      float value = rough<float>(group.rank(), i);
      data[i] = static_cast<T>(value > 60  ? std::numeric_limits<float>::quiet_NaN()
                               : value > 0 ? 0.0f
                                           : -0.0f);
    }
    group.all_reduce(data.data(), count, dtype_of<T>(), op);
    group.all_gather(data.data(), count, dtype_of<T>(), all.data());
    for (int r = 0; r < group.size(); ++r) {
      ASSERT_EQ(std::memcmp(data.data(), all.data() + static_cast<size_t>(r) * count, count * sizeof(T)), 0)
          << "rank " << r << " has other bits than rank " << group.rank();
    }
  }
}

// Odd and even ranks, in reverse order; then every rank for itself; then all again.
inline void check_split(Communicator& group) {
  int me = group.rank();
  auto part = group.split(me % 2, -me);
  int members = (group.size() + (me % 2 == 0 ? 1 : 0)) / 2;
  ASSERT_EQ(part->size(), members);
  std::vector<int> mine{me};
  std::vector<int> all(static_cast<size_t>(members));
  part->all_gather(mine.data(), 1, DType::int32, all.data());
  for (int i = 0; i < members; ++i) {
    EXPECT_EQ(all[static_cast<size_t>(i)], me % 2 + 2 * (members - 1 - i)) << "member " << i;
  }
  EXPECT_EQ(all[static_cast<size_t>(part->rank())], me);
  check_type<float>(*part, 100);

  auto alone = group.split(me, 0);
  EXPECT_EQ(alone->size(), 1);
  check_type<double>(*alone, 5);

  auto again = group.split(7, 0);  // equal keys: ordered by rank
  EXPECT_EQ(again->rank(), me);
  EXPECT_EQ(again->size(), group.size());
  check_type<int64_t>(*again, 9);
  check_type<float>(group, 10);  // the parent still works
}

}  // namespace trireme::test
