// Messages of numbers that nobody asked for.

#include <gtest/gtest.h>

#include "comm/ucx/process.h"

namespace trireme::test {
namespace {

TEST(UcxUnknownNumbers, AreDropped) {
  Process process;
  for (bool by_address : {true, false}) {
    Client client(process, by_address);
    ASSERT_TRUE(client.echo());
    const auto data = pattern(1 << 20);
    for (unsigned id : {0u, 9u, 10u, 15u, 16u, 31u, 63u, 100u, 255u, 256u, 1000u, 32768u, 65535u}) {
      SCOPED_TRACE(id);
      auto small = client.endpoint->send(id, {}, data.data(), 10);
      auto large = client.endpoint->send(id, {}, data.data(), data.size());
      ASSERT_TRUE(client.until([&] { return small.done() && large.done(); }));
      EXPECT_EQ(large.status(), UCS_OK);
      ASSERT_TRUE(client.echo());
    }
  }
  EXPECT_TRUE(process.alive());
}

}  // namespace
}  // namespace trireme::test
