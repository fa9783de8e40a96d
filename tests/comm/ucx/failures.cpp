// Peers that die, and peers that leave: everything under way is done with an error within seconds, and
// nothing hangs.

#include <gtest/gtest.h>

#include <optional>

#include "comm/ucx/process.h"

namespace trireme::test {
namespace {

struct Way {
  const char* name;
  bool by_address;
  const char* transports;
};

/** Much more than what keepalive takes, and much less than a timeout of TCP's. */
constexpr auto kSeconds = std::chrono::seconds(15);

class UcxFailures : public testing::TestWithParam<Way> {
 protected:
  UcxFailures()
      : process_(GetParam().transports, kMemory),
        client_(process_, GetParam().by_address, GetParam().transports) {
    EXPECT_TRUE(client_.echo());
  }
  void expect_failed(UcxRequest& request) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_TRUE(client_.until([&] { return request.done(); }, kSeconds)) << "hangs";
    EXPECT_NE(request.status(), UCS_OK);
    const auto taken = std::chrono::steady_clock::now() - start;
    RecordProperty("milliseconds", static_cast<int>(taken / 1ms));
    std::printf("  error after %.1f ms: %s\n", taken / 1us / 1e3, ucs_status_string(request.status()));
  }
  void expect_failed_endpoint() {
    EXPECT_TRUE(client_.until([&] { return client_.failure != UCS_OK; }, kSeconds)) << "not told";
    EXPECT_TRUE(client_.endpoint->failed());
    auto late = client_.endpoint->send(kDrop, {}, nullptr, 0);
    EXPECT_THROW(late.wait(client_.worker, 1s), UcxError);
    const auto start = std::chrono::steady_clock::now();
    client_.endpoint.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
  }

  static constexpr size_t kMemory = 64 << 20;
  Process process_;
  Client client_;
};

TEST_P(UcxFailures, KilledWhileIdle) {
  process_.kill();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(client_.until([&] { return client_.failure != UCS_OK; }, kSeconds)) << "not told";
  std::printf("  told after %.1f ms: %s\n", (std::chrono::steady_clock::now() - start) / 1us / 1e3,
              ucs_status_string(client_.failure));
  expect_failed_endpoint();
}

TEST_P(UcxFailures, KilledWithAnAnnouncedMessage) {
  const auto data = pattern(8 << 20);
  auto request = client_.endpoint->send(kHold, {}, data.data(), data.size());
  ASSERT_TRUE(client_.until([&] { return client_.holds == 1; }));
  process_.kill();
  expect_failed(request);
  expect_failed_endpoint();
}

TEST_P(UcxFailures, KilledInTheMiddleOfSends) {
  const auto data = pattern(32 << 20);
  std::vector<UcxRequest> requests;
  for (int i = 0; i < 6; ++i) requests.push_back(client_.endpoint->send(kEcho, {}, data.data(), data.size()));
  for (int i = 0; i < 3; ++i) requests.push_back(client_.endpoint->send(kDrop, {}, data.data(), 4000));
  for (int i = 0; i < 30; ++i) client_.worker.progress();
  process_.kill();
  for (auto& request : requests) {
    EXPECT_TRUE(client_.until([&] { return request.done(); }, kSeconds)) << "hangs";
  }
  expect_failed_endpoint();
}

TEST_P(UcxFailures, KilledInTheMiddleOfGets) {
  UcxRemoteKey key(*client_.endpoint, process_.key);
  std::vector<std::byte> into(kMemory);
  process_.freeze();
  std::vector<UcxRequest> requests;
  for (int i = 0; i < 4; ++i) {
    requests.push_back(client_.endpoint->get(into.data(), into.size(), process_.memory, key));
  }
  for (int i = 0; i < 30; ++i) client_.worker.progress();
  process_.kill();
  for (auto& request : requests) {
    EXPECT_TRUE(client_.until([&] { return request.done(); }, kSeconds)) << "hangs";
    // By shared memory they were done without the peer.
    std::printf("  get: %s\n", ucs_status_string(request.status()));
  }
  expect_failed_endpoint();
}

TEST_P(UcxFailures, KilledBeforeItsMessageIsReceived) {
  std::optional<UcxMessage> kept;
  client_.worker.on_message(kSent, [&](UcxMessage&& message) { kept.emplace(std::move(message)); });
  const uint64_t size = 32 << 20;
  auto request = client_.endpoint->send(kSendMe, bytes_of(size), nullptr, 0);
  ASSERT_TRUE(client_.until([&] { return kept.has_value(); }));
  ASSERT_FALSE(kept->is_here());
  process_.kill();
  std::vector<std::byte> into(size);
  auto received = kept->receive(into.data(), into.size());
  expect_failed(received);
  expect_failed_endpoint();
}

TEST_P(UcxFailures, KilledBeforeItsMessageIsReceivedAndNoticedBefore) {
  std::optional<UcxMessage> kept;
  client_.worker.on_message(kSent, [&](UcxMessage&& message) { kept.emplace(std::move(message)); });
  const uint64_t size = 32 << 20;
  auto request = client_.endpoint->send(kSendMe, bytes_of(size), nullptr, 0);
  ASSERT_TRUE(client_.until([&] { return kept.has_value(); }));
  process_.kill();
  ASSERT_TRUE(client_.until([&] { return client_.failure != UCS_OK; }, kSeconds));
  std::vector<std::byte> into(size);
  auto received = kept->receive(into.data(), into.size());
  expect_failed(received);
  expect_failed_endpoint();
}

TEST_P(UcxFailures, KilledInTheMiddleOfAReceive) {
  std::optional<UcxMessage> kept;
  client_.worker.on_message(kSent, [&](UcxMessage&& message) { kept.emplace(std::move(message)); });
  const uint64_t size = 256 << 20;
  auto request = client_.endpoint->send(kSendMe, bytes_of(size), nullptr, 0);
  ASSERT_TRUE(client_.until([&] { return kept.has_value(); }));
  process_.freeze();
  std::vector<std::byte> into(size);
  auto received = kept->receive(into.data(), into.size());
  for (int i = 0; i < 30; ++i) client_.worker.progress();
  process_.kill();
  EXPECT_TRUE(client_.until([&] { return received.done(); }, kSeconds)) << "hangs";
  std::printf("  receive: %s\n", ucs_status_string(received.status()));
  expect_failed_endpoint();
}

TEST_P(UcxFailures, ClosedByForceInTheMiddle) {
  std::optional<UcxMessage> kept;
  client_.worker.on_message(kSent, [&](UcxMessage&& message) { kept.emplace(std::move(message)); });
  const uint64_t size = 32 << 20;
  auto asked = client_.endpoint->send(kSendMe, bytes_of(size), nullptr, 0);
  ASSERT_TRUE(client_.until([&] { return kept.has_value(); }));
  UcxRemoteKey key(*client_.endpoint, process_.key);
  const auto data = pattern(8 << 20);
  std::vector<std::byte> into(size), other(kMemory);
  process_.freeze();
  auto held = client_.endpoint->send(kHold, {}, data.data(), data.size());
  auto received = kept->receive(into.data(), into.size());
  auto got = client_.endpoint->get(other.data(), other.size(), process_.memory, key);
  for (int i = 0; i < 10; ++i) client_.worker.progress();
  client_.endpoint->close();
  for (auto* request : {&held, &got, &received}) {
    EXPECT_TRUE(client_.until([&] { return request->done(); }, kSeconds)) << "hangs";
    std::printf("  closed: %s\n", ucs_status_string(request->status()));
  }
}

TEST_P(UcxFailures, PeerThatLeaves) {
  const int status = process_.leave();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  expect_failed_endpoint();
}

TEST_P(UcxFailures, NewPeerAfterTheOldOne) {
  process_.kill();
  ASSERT_TRUE(client_.until([&] { return client_.failure != UCS_OK; }, kSeconds));
  Process other(GetParam().transports);
  Client again(other, GetParam().by_address, GetParam().transports);
  EXPECT_TRUE(again.echo(1 << 20));
}

TEST(UcxFailure, NobodyListens) {
  int port = 0;
  {
    Process process;
    port = process.port;
  }
  UcxContext context;
  UcxWorker worker(context);
  auto endpoint = UcxEndpoint::connect(worker, "127.0.0.1", static_cast<uint16_t>(port));
  auto request = endpoint.send(1, {}, nullptr, 0);
  EXPECT_THROW(request.wait(worker, kSeconds), UcxError);
  EXPECT_TRUE(endpoint.failed());
}

TEST(UcxFailure, AddressOfOneThatDied) {
  for (const char* transports : {"", "tcp"}) {
    std::vector<std::byte> address;
    {
      Process process(transports);
      address = process.address;
    }
    UcxContext context({.transports = transports});
    UcxWorker worker(context);
    try {
      auto endpoint = UcxEndpoint::connect(worker, address);
      auto request = endpoint.send(1, {}, nullptr, 0);
      request.wait(worker, kSeconds);
      ADD_FAILURE() << "connected to nobody";
    } catch (const UcxError& error) {
      EXPECT_NE(error.status(), UCS_ERR_TIMED_OUT) << error.what();
      std::printf("  %s\n", error.what());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, UcxFailures,
                         testing::Values(Way{"listener", false, ""}, Way{"listener_tcp", false, "tcp"},
                                         Way{"address", true, ""}, Way{"address_tcp", true, "tcp"}),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

}  // namespace
}  // namespace trireme::test
