#include "base/stream_copy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace trireme {
namespace {

TEST(StreamCopy, AnyLengthAtAnyPlace) {
  std::vector<float> from(13000), to(13100);
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<float>(i) - 7.5f;
  std::vector<size_t> counts = {4095, 4096, 4097, 4111, 4112, 8192, 12345};
  for (size_t count = 0; count <= 130; ++count) counts.push_back(count);
  for (size_t count : counts) {
    for (size_t at : {0u, 1u, 3u, 15u, 16u, 17u}) {
      for (size_t first : {0u, 1u, 5u}) {
        std::ranges::fill(to, -1.0f);
        EXPECT_TRUE(stream_copy(from.data() + first, to.data() + at, count));
        ASSERT_EQ(std::memcmp(to.data() + at, from.data() + first, count * sizeof(float)), 0)
            << count << " at " << at;
        EXPECT_EQ(to[at + count], -1.0f) << "beyond the end";
        EXPECT_EQ(at == 0 ? -1.0f : to[at - 1], -1.0f) << "before the beginning";
      }
    }
  }
}

TEST(StreamCopy, SeesWhatIsNotFinite) {
  std::vector<float> from(4205, std::numeric_limits<float>::max()), to(4205);
  from[3] = std::numeric_limits<float>::denorm_min();
  ASSERT_TRUE(stream_copy(from.data(), to.data(), from.size()));
  for (float broken : {std::nanf("7"), -std::nanf(""), INFINITY, -INFINITY}) {
    for (size_t i = 0; i < from.size(); i += i < 100 || i > 4090 ? 1 : 13) {
      std::vector<float> bad = from;
      bad[i] = broken;
      EXPECT_FALSE(stream_copy(bad.data(), to.data(), bad.size())) << i;
      EXPECT_EQ(std::memcmp(to.data(), bad.data(), bad.size() * sizeof(float)), 0) << "copied all the same";
    }
  }
}

}  // namespace
}  // namespace trireme
