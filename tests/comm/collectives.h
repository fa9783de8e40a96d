// Every collective against plain loops, for any communicator: called by all ranks alike. What a rank
// contributes is a function of (rank, index), so every rank can tell what must come out.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

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

template <class T>
T reduced(int ranks, size_t i, ReduceOp op) {
  T value = contribution<T>(0, i);
  for (int r = 1; r < ranks; ++r) {
    T other = contribution<T>(r, i);
    value = op == ReduceOp::sum ? static_cast<T>(value + other) : std::max(value, other);
  }
  return value;
}

template <class T>
void check_type(Communicator& group, size_t count) {
  SCOPED_TRACE(
      fmt::format("{} ranks, rank {}, {} x {}", group.size(), group.rank(), count, name_of(dtype_of<T>())));
  const int ranks = group.size();
  const int me = group.rank();
  const auto n = static_cast<size_t>(ranks);
  constexpr T guard = static_cast<T>(111);  // one element past every output must stay
  for (ReduceOp op : {ReduceOp::sum, ReduceOp::max}) {
    std::vector<T> data(count + 1, guard);
    for (size_t i = 0; i < count; ++i) data[i] = contribution<T>(me, i);
    group.all_reduce(data.data(), count, dtype_of<T>(), op);
    std::vector<T> expected(count + 1, guard);
    for (size_t i = 0; i < count; ++i) expected[i] = reduced<T>(ranks, i, op);
    EXPECT_EQ(data, expected) << "all_reduce";

    std::vector<T> send(n * count);
    for (size_t i = 0; i < send.size(); ++i) send[i] = contribution<T>(me, i);
    std::vector<T> receive(count + 1, guard);
    group.reduce_scatter(send.data(), receive.data(), count, dtype_of<T>(), op);
    std::vector<T> block(count + 1, guard);
    for (size_t i = 0; i < count; ++i) block[i] = reduced<T>(ranks, static_cast<size_t>(me) * count + i, op);
    EXPECT_EQ(receive, block) << "reduce_scatter";
    T* own = send.data() + static_cast<size_t>(me) * count;  // into one's own block of what is sent
    group.reduce_scatter(send.data(), own, count, dtype_of<T>(), op);
    EXPECT_TRUE(std::equal(own, own + count, block.begin())) << "reduce_scatter in place";
  }
  std::vector<T> mine(count);
  for (size_t i = 0; i < count; ++i) mine[i] = contribution<T>(me, i);
  std::vector<T> all(n * count + 1, guard);
  std::vector<T> everything(n * count + 1, guard);
  for (size_t i = 0; i < n * count; ++i)
    everything[i] = contribution<T>(static_cast<int>(i / count), i % count);
  group.all_gather(mine.data(), count, dtype_of<T>(), all.data());
  EXPECT_EQ(all, everything) << "all_gather";
  std::fill(all.begin(), all.end() - 1, T{});
  T* place = all.data() + static_cast<size_t>(me) * count;
  std::copy(mine.begin(), mine.end(), place);
  group.all_gather(place, count, dtype_of<T>(), all.data());
  EXPECT_EQ(all, everything) << "all_gather in place";

  for (int root = 0; root < ranks; ++root) {
    std::vector<T> words(count + 1, guard);
    for (size_t i = 0; i < count; ++i) words[i] = contribution<T>(me, i);
    group.broadcast(words.data(), count * sizeof(T), root);
    std::vector<T> expected(count + 1, guard);
    for (size_t i = 0; i < count; ++i) expected[i] = contribution<T>(root, i);
    EXPECT_EQ(words, expected) << "broadcast from " << root;
  }
}

inline void check_collectives(Communicator& group) {
  for (size_t count : {0u, 1u, 2u, 3u, 7u, 31u, 1001u, 65537u}) {
    check_type<float>(group, count);
    check_type<double>(group, count);
    check_type<int32_t>(group, count);
    check_type<int64_t>(group, count);
    check_type<uint8_t>(group, count);
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
