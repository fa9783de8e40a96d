#include "base/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace trireme {
namespace {

TEST(Buffer, IsAlignedAndZero) {
  for (size_t bytes : {1u, 63u, 64u, 65u, 1000u, 1u << 20}) {
    Buffer buffer(bytes);
    EXPECT_EQ(buffer.bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % Buffer::alignment, 0u);
    auto span = buffer.span<std::byte>();
    EXPECT_EQ(span.size(), bytes);
    EXPECT_TRUE(std::all_of(span.begin(), span.end(), [](std::byte b) { return b == std::byte{0}; }));
  }
}

// Around the size from which memory is mapped; each byte must be there, and zero again in the next buffer.
TEST(Buffer, LargeOnesAreWholeAndZero) {
  constexpr size_t huge = size_t{2} << 20;
  for (size_t bytes : {huge - 1, huge, huge + 1, 2 * huge + 4097}) {
    for (int again = 0; again < 2; ++again) {
      Buffer buffer(bytes);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % Buffer::alignment, 0u);
      auto span = buffer.span<std::byte>();
      EXPECT_TRUE(std::all_of(span.begin(), span.end(), [](std::byte b) { return b == std::byte{0}; }));
      std::fill(span.begin(), span.end(), std::byte{7});
    }
  }
}

TEST(Buffer, EmptyHoldsNothing) {
  EXPECT_EQ(Buffer().data(), nullptr);
  EXPECT_EQ(Buffer(0).data(), nullptr);
  EXPECT_TRUE(Buffer(0).span<float>().empty());
}

TEST(Buffer, SpansHoldWholeElements) {
  Buffer buffer(10);
  EXPECT_EQ(buffer.span<float>().size(), 2u);
  buffer.span<float>()[1] = 3.0f;
  EXPECT_EQ(buffer.as<float>()[1], 3.0f);
}

TEST(Buffer, Moves) {
  Buffer a(8);
  a.as<int64_t>()[0] = 5;
  Buffer b = std::move(a);
  EXPECT_EQ(b.as<int64_t>()[0], 5);
}

TEST(Buffer, TooMuchIsBadAlloc) { EXPECT_THROW(Buffer(size_t{1} << 62), std::bad_alloc); }

}  // namespace
}  // namespace trireme
