// reduce_parts against the tree's definition by plain recursion: every type, number of parts, odd sizes and
// places.
#include "comm/reduce.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "base/error.h"
#include "comm/collectives.h"

namespace trireme {
namespace {

// `ranks` parts, of which part r begins `shift` elements into its memory, and what must come out.
template <class T>
struct Case {
  Case(int the_ranks, size_t the_count, size_t the_shift, ReduceOp the_op)
      : ranks(the_ranks), count(the_count), shift(the_shift), op(the_op) {
    for (int r = 0; r < ranks; ++r) {
      memory.emplace_back(count + 2 * shift + 1);
      for (size_t i = 0; i < count; ++i) memory.back()[shift + i] = value(r, i);
    }
    expected.resize(count);
    for (size_t i = 0; i < count; ++i) expected[i] = result(i);
  }
  static T value(int r, size_t i) {
    if constexpr (std::is_integral_v<T>) return test::contribution<T>(r, i);
    return test::rough<T>(r, i);
  }
  T result(size_t i) const {
    auto mine = [i](int r) { return value(r, i); };
    if (op == ReduceOp::max) {
      T most = mine(0);
      for (int r = 1; r < ranks; ++r)
        most = static_cast<Wide<T>>(most) < static_cast<Wide<T>>(mine(r)) ? mine(r) : most;
      return most;
    }
    T sum = test::tree_sum<T>(0, ranks, mine);
    if (op == ReduceOp::sum) return sum;
    using W = std::conditional_t<std::is_integral_v<T>, int64_t, Wide<T>>;
    return static_cast<T>(static_cast<W>(sum) / static_cast<W>(ranks));
  }
  std::vector<const void*> parts() const {
    std::vector<const void*> all;
    for (const auto& part : memory) all.push_back(part.data() + shift);
    return all;
  }
  void expect(const T* out, const char* what) const {
    ASSERT_EQ(std::memcmp(out, expected.data(), count * sizeof(T)), 0)
        << what << ": " << ranks << " parts, " << count << " x " << name_of(dtype_of<T>()) << ", shift "
        << shift << ", op " << static_cast<int>(op);
  }

  int ranks;
  size_t count, shift;
  ReduceOp op;
  std::vector<std::vector<T>> memory;
  std::vector<T> expected;
};

template <class T>
void check(int ranks, size_t count, size_t shift, ReduceOp op) {
  {
    Case<T> one(ranks, count, shift, op);
    std::vector<T> out(count + shift + 1, T(77));
    reduce_parts(one.parts(), out.data() + shift, count, dtype_of<T>(), op);
    one.expect(out.data() + shift, "one output");
    ASSERT_EQ(static_cast<double>(out[count + shift]), 77) << "wrote past the end";
  }
  for (size_t outputs : {2u, 3u, 5u}) {
    Case<T> some(ranks, count, shift, op);
    std::vector<std::vector<T>> memory(outputs, std::vector<T>(count + shift));
    std::vector<void*> outs;
    for (auto& out : memory) outs.push_back(out.data() + shift);
    reduce_parts(some.parts(), outs, count, dtype_of<T>(), op);
    for (void* out : outs) some.expect(static_cast<T*>(out), "several outputs");
  }
  // In place: the outputs are the parts, as in an all-reduce; and one of them alone.
  Case<T> place(ranks, count, shift, op);
  std::vector<void*> outs;
  for (auto& part : place.memory) outs.push_back(part.data() + shift);
  reduce_parts(place.parts(), outs, count, dtype_of<T>(), op);
  for (void* out : outs) place.expect(static_cast<T*>(out), "in place");
  for (int r = 0; r < ranks; ++r) {
    Case<T> into(ranks, count, shift, op);
    T* out = into.memory[static_cast<size_t>(r)].data() + shift;
    reduce_parts(into.parts(), out, count, dtype_of<T>(), op);
    into.expect(out, "into a part");
  }
}

template <class T>
class Reduce : public testing::Test {};
using Types = testing::Types<float, double, int32_t, int64_t, uint8_t, uint16_t, BFloat16, Float16>;
TYPED_TEST_SUITE(Reduce, Types);

TYPED_TEST(Reduce, HasTheTreesBits) {
  for (int ranks : {1, 2, 3, 4, 5, 6, 7, 8, 9, 17}) {
    for (size_t count : {0u, 1u, 5u, 31u, 64u, 515u, 2049u}) {
      for (size_t shift : {0u, 1u, 3u}) {
        for (ReduceOp op : {ReduceOp::sum, ReduceOp::average, ReduceOp::max})
          check<TypeParam>(ranks, count, shift, op);
      }
    }
  }
}

// Every pair of 16-bit values of one sign pattern after another: infinities, denormals, ties, overflow.
template <class T>
void check_half_additions() {
  constexpr size_t all = 1 << 16;
  std::vector<T> left(all), right(all), out(all);
  for (uint32_t step : {0u, 1u, 7u, 0x03ffu, 0x0400u, 0x3c00u, 0x7bffu, 0x8001u, 0x9137u, 0xfb80u}) {
    for (uint32_t i = 0; i < all; ++i) {
      left[i].bits = static_cast<uint16_t>(i);
      right[i].bits = static_cast<uint16_t>(i * 3 + step);
    }
    combine(left.data(), right.data(), out.data(), all, dtype_of<T>(), ReduceOp::sum);
    for (uint32_t i = 0; i < all; ++i) {
      float sum = static_cast<float>(left[i]) + static_cast<float>(right[i]);
      if (sum != sum) {
        ASSERT_NE(static_cast<float>(out[i]), static_cast<float>(out[i]));
      } else {
        ASSERT_EQ(out[i].bits, T(sum).bits) << left[i].bits << " + " << right[i].bits;
      }
    }
  }
}

TEST(Reduce16, EveryAdditionIsTheScalarOne) {
  check_half_additions<BFloat16>();
  check_half_additions<Float16>();
}

}  // namespace
}  // namespace trireme
