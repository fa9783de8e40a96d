// Messages of all sizes, over both kinds of connection.

#include <gtest/gtest.h>

#include <optional>

#include "comm/ucx/pair.h"

namespace trireme::test {
namespace {

struct Way {
  const char* name;
  bool by_address;
  const char* transports;
};

class UcxMessages : public testing::TestWithParam<Way> {
 protected:
  Pair pair_{GetParam().by_address, GetParam().transports};
};

TEST_P(UcxMessages, ArriveWhole) {
  std::vector<std::byte> got;
  std::vector<std::byte> header;
  int arrived = 0;
  bool was_here = false;
  pair_.server.on_message(7, [&](UcxMessage&& message) {
    header.assign(message.header().begin(), message.header().end());
    got.assign(message.size(), std::byte(0));
    was_here = message.is_here();
    EXPECT_TRUE(!was_here || message.data().size() == message.size());
    message.receive(got.data(), got.size(), [&](ucs_status_t status) {
      EXPECT_EQ(status, UCS_OK);
      ++arrived;
    });
  });
  int expected = 0;
  for (size_t bytes : {size_t(0), size_t(1), size_t(8) << 10, size_t(1) << 20, size_t(64) << 20}) {
    SCOPED_TRACE(bytes);
    const auto data = pattern(bytes, static_cast<unsigned>(bytes));
    int sent = 0;
    UcxRequest request;
    {
      // The header dies before the message is away.
      auto passing = pattern(40, 3);
      request = pair_.to_server->send(7, passing, data.data(), bytes, [&](ucs_status_t status) {
        EXPECT_EQ(status, UCS_OK);
        ++sent;
      });
      std::fill(passing.begin(), passing.end(), std::byte(0));
    }
    EXPECT_EQ(sent, 0) << "a callback from within send()";
    ++expected;
    ASSERT_TRUE(until({&pair_.server, &pair_.client}, [&] { return arrived == expected && sent == 1; }));
    EXPECT_EQ(request.status(), UCS_OK);
    EXPECT_EQ(header, pattern(40, 3));
    EXPECT_TRUE(got == data);
    EXPECT_FALSE(bytes >= size_t(1) << 20 && was_here);
    EXPECT_TRUE(bytes > 1 || was_here);
  }
}

TEST_P(UcxMessages, AreAnsweredOverTheReplyEndpoint) {
  ucp_ep_h reply = nullptr;
  pair_.server.on_message(1, [&](UcxMessage&& message) { reply = message.reply_endpoint(); });
  auto request = pair_.to_server->send(1, {}, nullptr, 0);
  ASSERT_TRUE(until({&pair_.server, &pair_.client}, [&] { return reply != nullptr; }));
  EXPECT_EQ(reply, pair_.to_client->get());
  int answers = 0;
  pair_.client.on_message(2, [&](UcxMessage&&) { ++answers; });
  auto answer = pair_.to_client->send(2, {}, nullptr, 0);
  ASSERT_TRUE(until({&pair_.server, &pair_.client}, [&] { return answers == 1; }));
}

TEST_P(UcxMessages, MayBeKeptBeyondTheHandler) {
  std::list<UcxMessage> kept;
  pair_.server.on_message(1, [&](UcxMessage&& message) { kept.push_back(std::move(message)); });
  const std::vector<size_t> sizes = {0, 1, 3000, 8 << 10, 100 << 10, 2 << 20};
  std::vector<std::vector<std::byte>> sent;
  std::vector<UcxRequest> requests;
  for (size_t bytes : sizes) {
    sent.push_back(pattern(bytes, 9));
    requests.push_back(
        pair_.to_server->send(1, pattern(24, static_cast<unsigned>(bytes)), sent.back().data(), bytes));
  }
  ASSERT_TRUE(until({&pair_.server, &pair_.client}, [&] { return kept.size() == sizes.size(); }));
  for (int i = 0; i < 100; ++i) until({&pair_.server, &pair_.client}, [] { return true; });
  // Small ones may overtake those that are announced: only the sizes tell which is which.
  for (size_t i = 0; i < sizes.size(); ++i) {
    UcxMessage message = std::move(kept.front());
    kept.pop_front();
    EXPECT_TRUE(std::ranges::equal(message.header(), pattern(24, static_cast<unsigned>(message.size()))));
    std::vector<std::byte> into(message.size());
    UcxRequest request = message.receive(into.data(), into.size());
    ASSERT_TRUE(pair_.until_done(request));
    EXPECT_TRUE(into == pattern(message.size(), 9));
    EXPECT_THROW(message.receive(into.data(), into.size()), CommError);
  }
  for (const auto& request : requests) EXPECT_TRUE(pair_.until_done(request));
}

TEST_P(UcxMessages, UnreceivedAreDoneForTheirSender) {
  int seen = 0;
  std::optional<UcxMessage> kept;
  pair_.server.on_message(1, [&](UcxMessage&&) { ++seen; });
  pair_.server.on_message(2, [&](UcxMessage&& message) { kept.emplace(std::move(message)); });
  const auto data = pattern(4 << 20);
  auto dropped = pair_.to_server->send(1, {}, data.data(), data.size());
  ASSERT_TRUE(pair_.until_done(dropped));
  EXPECT_EQ(dropped.status(), UCS_OK);
  EXPECT_EQ(seen, 1);
  auto later = pair_.to_server->send(2, {}, data.data(), data.size());
  ASSERT_TRUE(until({&pair_.server, &pair_.client}, [&] { return kept.has_value(); }));
  EXPECT_FALSE(later.done());
  EXPECT_THROW(kept->receive(kept.operator->(), 1), CommError) << "too small a buffer is no receive at all";
  EXPECT_THROW(kept->data(), CommError);
  kept.reset();
  ASSERT_TRUE(pair_.until_done(later));
  EXPECT_EQ(later.status(), UCS_OK);
}

TEST_P(UcxMessages, MemoryIsGotAndPut) {
  for (bool allocated : {true, false}) {
    SCOPED_TRACE(allocated);
    std::vector<std::byte> own(64 << 20);
    UcxMemory memory = allocated ? UcxMemory::allocate(pair_.context, own.size())
                                 : UcxMemory::map(pair_.context, own.data(), own.size());
    UcxRemoteKey key(*pair_.to_server, memory.packed_key());
    for (size_t bytes : {size_t(1), size_t(8) << 10, size_t(1) << 20, size_t(64) << 20}) {
      SCOPED_TRACE(bytes);
      const auto data = pattern(bytes, allocated);
      std::ranges::copy(data, memory.bytes().begin());
      std::vector<std::byte> into(bytes);
      auto got = pair_.to_server->get(into.data(), bytes, memory.address(), key);
      ASSERT_TRUE(pair_.until_done(got));
      ASSERT_EQ(got.status(), UCS_OK);
      EXPECT_TRUE(into == data);
      const auto other = pattern(bytes, 77);
      auto put = pair_.to_server->put(other.data(), bytes, memory.address(), key);
      auto flushed = pair_.to_server->flush();
      ASSERT_TRUE(pair_.until_done(put));
      ASSERT_TRUE(pair_.until_done(flushed));
      ASSERT_EQ(put.status(), UCS_OK);
      EXPECT_TRUE(std::ranges::equal(other, memory.bytes().first(bytes)));
    }
    std::printf("  mapped here: %s\n", key.local_pointer(memory.address()) != nullptr ? "yes" : "no");
    if (allocated && GetParam().by_address && std::string(GetParam().transports).empty()) {
      EXPECT_EQ(key.local_pointer(memory.address()) != nullptr, true);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, UcxMessages,
                         testing::Values(Way{"listener", false, ""}, Way{"listener_tcp", false, "tcp"},
                                         Way{"address", true, ""}, Way{"address_tcp", true, "tcp"},
                                         Way{"address_posix", true, "posix,self,cma"},
                                         Way{"address_sysv", true, "sysv,self"}),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

}  // namespace
}  // namespace trireme::test
