// The handles: what they refuse, what they survive, and exceptions on their way through UCX.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "comm/ucx/pair.h"

namespace trireme::test {
namespace {

using testing::HasSubstr;

template <class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const CommError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(UcxStatus, BecomesAnException) {
  EXPECT_NO_THROW(check_ucx(UCS_OK, "x"));
  try {
    check_ucx(UCS_ERR_TIMED_OUT, "asking server 3");
    FAIL();
  } catch (const UcxError& error) {
    EXPECT_EQ(error.status(), UCS_ERR_TIMED_OUT);
    EXPECT_EQ(error.what(), std::string("asking server 3: ") + ucs_status_string(UCS_ERR_TIMED_OUT));
  }
}

TEST(UcxContext, NamesTransportsThatAreNotThere) {
  EXPECT_THAT(message_of([] { UcxContext context({.transports = "pigeon"}); }), HasSubstr("pigeon"));
}

TEST(UcxContext, MayDieBeforeWhatWasMadeOfIt) {
  std::optional<UcxMemory> memory;
  std::optional<UcxWorker> worker;
  {
    UcxContext context;
    memory.emplace(UcxMemory::allocate(context, 1 << 20));
    worker.emplace(context);
  }
  memory->bytes()[5] = std::byte(1);
  worker->progress();
  worker.reset();
  EXPECT_FALSE(memory->packed_key().empty());
}

TEST(UcxMemory, IsZeroedAndOfTheSizeAsked) {
  UcxContext context;
  for (size_t bytes : {size_t(1), size_t(5000), size_t(10) << 20}) {
    UcxMemory memory = UcxMemory::allocate(context, bytes);
    ASSERT_EQ(memory.bytes().size(), bytes);
    EXPECT_TRUE(std::ranges::all_of(memory.bytes(), [](std::byte one) { return one == std::byte(0); }));
    UcxMemory moved = std::move(memory);
    EXPECT_EQ(moved.bytes().size(), bytes);
  }
  std::vector<float> own(1000, 1.f);
  UcxMemory mapped = UcxMemory::map(context, own.data(), own.size() * sizeof(float));
  EXPECT_EQ(mapped.bytes().data(), reinterpret_cast<std::byte*>(own.data()));
  EXPECT_EQ(own[999], 1.f);
  EXPECT_THROW(UcxMemory::map(context, nullptr, 10), CommError);
}

TEST(UcxRemoteKey, SeesTheMemoryItself) {
  Pair pair;
  UcxMemory memory = UcxMemory::allocate(pair.context, 1 << 20);
  ASSERT_TRUE(pair.until_done(pair.to_server->flush()));
  UcxRemoteKey key(*pair.to_server, memory.packed_key());
  auto* there = static_cast<std::byte*>(key.local_pointer(memory.address() + 100));
  ASSERT_NE(there, nullptr);
  memory.bytes()[100] = std::byte(42);
  EXPECT_EQ(*there, std::byte(42));
  *there = std::byte(43);
  EXPECT_EQ(memory.bytes()[100], std::byte(43));
}

TEST(UcxEndpoint, UnknownHost) {
  UcxContext context;
  UcxWorker worker(context);
  EXPECT_THAT(message_of([&] { UcxEndpoint::connect(worker, "no such host", 1); }),
              HasSubstr("no such host"));
}

TEST(UcxEndpoint, WhatIsAskedBeforeItIsConnectedIsDoneInOrder) {
  for (bool by_address : {true, false}) {
    Pair pair(by_address);
    std::vector<int> order;
    pair.server.on_message(
        1, [&](UcxMessage&& message) { order.push_back(static_cast<int>(message.header()[0])); });
    for (int i = 0; i < 20; ++i) {
      const std::byte header[] = {static_cast<std::byte>(i)};
      pair.to_server->send(1, header, order.data(), 0);  // nobody keeps the request
    }
    ASSERT_TRUE(until({&pair.server, &pair.client}, [&] { return order.size() == 20; }));
    EXPECT_TRUE(std::ranges::is_sorted(order));
    EXPECT_TRUE(pair.to_server->connected());
  }
}

TEST(UcxEndpoint, ClosedBeforeItIsConnected) {
  UcxContext context;
  UcxWorker server(context), client(context);
  auto endpoint = UcxEndpoint::connect(client, server.address());
  int called = 0;
  auto request = endpoint.send(1, {}, nullptr, 0, [&](ucs_status_t status) {
    EXPECT_EQ(status, UCS_ERR_CANCELED);
    ++called;
  });
  endpoint.close();
  EXPECT_TRUE(endpoint.failed());
  EXPECT_EQ(endpoint.failure(), UCS_ERR_CANCELED);
  ASSERT_TRUE(until({&client, &server}, [&] { return called == 1; }));
  EXPECT_EQ(request.status(), UCS_ERR_CANCELED);
}

TEST(UcxEndpoint, MayBeClosedByAHandler) {
  Pair pair;
  int seen = 0;
  pair.server.on_message(1, [&](UcxMessage&&) {
    ++seen;
    pair.to_client.reset();
  });
  pair.to_server->send(1, {}, nullptr, 0);
  ASSERT_TRUE(until({&pair.server, &pair.client}, [&] { return seen == 1; }));
  // The other side hears of it.
  EXPECT_TRUE(until({&pair.server, &pair.client}, [&] {
    pair.to_server->send(1, {}, nullptr, 0);
    return pair.to_server->failed();
  }));
}

TEST(UcxEndpoint, MayBeDestroyedByItsFailureCallback) {
  Pair pair(false);
  int told = 0;
  pair.to_client->on_failure([&](ucs_status_t) {
    ++told;
    pair.to_client.reset();
  });
  pair.to_server.reset();
  EXPECT_TRUE(until({&pair.server, &pair.client}, [&] { return told == 1; }));
}

TEST(UcxEndpoint, TellsOfAFailureThatWasBefore) {
  Pair pair(false);
  pair.to_server.reset();
  ASSERT_TRUE(until({&pair.server, &pair.client}, [&] { return pair.to_client->failed(); }));
  int told = 0;
  pair.to_client->on_failure([&](ucs_status_t status) {
    EXPECT_NE(status, UCS_OK);
    ++told;
  });
  EXPECT_EQ(told, 0);
  pair.server.progress();
  EXPECT_EQ(told, 1);
}

TEST(UcxListener, SaysThatItsPortIsTaken) {
  UcxContext context;
  UcxWorker worker(context);
  UcxListener first(worker, "127.0.0.1", 0, [](ucp_conn_request_h, std::string) {});
  EXPECT_GT(first.port(), 0);
  EXPECT_THAT(message_of([&] {
                UcxListener(worker, "127.0.0.1", first.port(), [](ucp_conn_request_h, std::string) {});
              }),
              HasSubstr(std::to_string(first.port())));
}

TEST(UcxListener, Rejects) {
  UcxContext context;
  UcxWorker server(context), client(context);
  std::string from;
  std::optional<UcxListener> listener;
  listener.emplace(server, "127.0.0.1", 0, [&](ucp_conn_request_h request, std::string peer) {
    from = peer;
    listener->reject(request);
  });
  auto endpoint = UcxEndpoint::connect(client, "127.0.0.1", listener->port());
  auto request = endpoint.send(1, {}, nullptr, 0);
  EXPECT_TRUE(until({&server, &client}, [&] { return endpoint.failed() && request.done(); }));
  EXPECT_NE(request.status(), UCS_OK);
  EXPECT_TRUE(from.starts_with("127.0.0.1:")) << from;
}

TEST(UcxWorker, ThrowsWhatHandlersThrow) {
  Pair pair;
  int seen = 0;
  pair.server.on_message(1, [&](UcxMessage&& message) {
    ++seen;
    throw std::runtime_error("handler " + std::to_string(message.size()));
  });
  const auto data = pattern(4 << 20);
  for (size_t bytes : {size_t(10), data.size()}) {
    auto request = pair.to_server->send(1, {}, data.data(), bytes);
    EXPECT_THAT(
        [&] {
          until(
              {&pair.client, &pair.server}, [] { return false; }, 5s);
        },
        testing::ThrowsMessage<std::runtime_error>("handler " + std::to_string(bytes)));
    EXPECT_TRUE(pair.until_done(request));
  }
  EXPECT_EQ(seen, 2);
  pair.to_server->send(1, {}, nullptr, 0, [](ucs_status_t) { throw std::runtime_error("completion"); });
  EXPECT_THAT(
      [&] {
        until(
            {&pair.client}, [] { return false; }, 5s);
      },
      testing::ThrowsMessage<std::runtime_error>("completion"));
}

TEST(UcxWorker, IsNotToBeMovedByItsHandlers) {
  Pair pair;
  pair.server.on_message(1, [&](UcxMessage&&) { pair.server.progress(); });
  pair.to_server->send(1, {}, nullptr, 0);
  EXPECT_THROW(until(
                   {&pair.client, &pair.server}, [] { return false; }, 5s),
               CommError);
}

TEST(UcxWorker, CompletionsMayWait) {
  Pair pair;
  int echoed = 0;
  bool nested = false;
  pair.server.on_message(1, [&](UcxMessage&&) { ++echoed; });
  pair.to_server->send(1, {}, nullptr, 0, [&](ucs_status_t) {
    auto second = pair.to_server->send(1, {}, nullptr, 0);
    second.wait(pair.client, 10s);
    nested = true;
  });
  EXPECT_TRUE(until({&pair.server, &pair.client}, [&] { return nested && echoed == 2; }));
}

TEST(UcxWorker, HandlersMayBeReplacedByThemselves) {
  Pair pair;
  std::string seen;
  pair.server.on_message(1, [&](UcxMessage&&) {
    seen += "a";
    pair.server.on_message(1, [&](UcxMessage&&) { seen += "b"; });
    seen += "c";
  });
  pair.to_server->send(1, {}, nullptr, 0);
  pair.to_server->send(1, {}, nullptr, 0);
  EXPECT_TRUE(until({&pair.server, &pair.client}, [&] { return seen.size() == 3; }));
  EXPECT_EQ(seen, "acb");
  EXPECT_THROW(pair.server.on_message(70000, [](UcxMessage&&) {}), CommError);
}

TEST(UcxWorker, DiesBeforeWhatWasMadeOfIt) {
  UcxContext context;
  UcxWorker server(context);
  UcxMemory memory = UcxMemory::allocate(context, 1 << 20);
  auto client = std::make_unique<UcxWorker>(context);
  auto endpoint = UcxEndpoint::connect(*client, server.address());
  auto back = UcxEndpoint::connect(server, client->address());
  std::optional<UcxMessage> kept;
  server.on_message(1, [&](UcxMessage&& message) { kept.emplace(std::move(message)); });
  const auto data = pattern(4 << 20);
  auto request = endpoint.send(1, {}, data.data(), data.size(), [](ucs_status_t) { ADD_FAILURE(); });
  ASSERT_TRUE(until({&server, client.get()}, [&] { return kept.has_value(); }));
  UcxRemoteKey key(endpoint, memory.packed_key());
  client.reset();
  EXPECT_TRUE(request.done());
  EXPECT_NE(request.status(), UCS_OK);
  EXPECT_TRUE(endpoint.failed());
  EXPECT_EQ(key.local_pointer(memory.address()), nullptr);
  request.cancel();
  auto late = endpoint.send(1, {}, nullptr, 0);
  EXPECT_EQ(late.status(), UCS_ERR_CANCELED);
  // Over shared memory the other side is not told, as the process lives (README.md). It closes too, and its
  // receive fails.
  std::vector<std::byte> into(data.size());
  auto received = kept->receive(into.data(), into.size());
  back.close();
  EXPECT_TRUE(until({&server}, [&] { return received.done(); }));
  EXPECT_NE(received.status(), UCS_OK);
}

TEST(UcxRequest, TimesOut) {
  Pair pair;
  std::optional<UcxMessage> kept;
  pair.server.on_message(1, [&](UcxMessage&& message) { kept.emplace(std::move(message)); });
  const auto data = pattern(4 << 20);
  auto request = pair.to_server->send(1, {}, data.data(), data.size(), [](ucs_status_t) { ADD_FAILURE(); });
  try {
    request.wait(pair.client, 50ms);
    FAIL();
  } catch (const UcxError& error) {
    EXPECT_EQ(error.status(), UCS_ERR_TIMED_OUT);
    EXPECT_THAT(error.what(), HasSubstr("4194304 bytes"));
  }
  EXPECT_FALSE(request.done());
  request.cancel();  // no callback any more
  ASSERT_TRUE(until({&pair.server, &pair.client}, [&] { return kept.has_value(); }));
  kept.reset();
  EXPECT_TRUE(pair.until_done(request));
}

TEST(UcxRequest, CancelledBeforeItsCallbackIsCalled) {
  Pair pair;
  ASSERT_TRUE(pair.until_done(pair.to_server->flush()));
  auto request = pair.to_server->send(1, {}, nullptr, 0, [](ucs_status_t) { ADD_FAILURE(); });
  request.cancel();
  EXPECT_TRUE(pair.until_done(request));
  for (int i = 0; i < 10; ++i) pair.client.progress();
}

TEST(UcxWorker, MayBeDestroyedByACompletion) {
  UcxContext context;
  UcxWorker server(context);
  auto client = std::make_unique<UcxWorker>(context);
  auto endpoint = UcxEndpoint::connect(*client, server.address());
  int called = 0;
  endpoint.send(1, {}, nullptr, 0, [&](ucs_status_t) {
    ++called;
    client.reset();
  });
  endpoint.send(1, {}, nullptr, 0, [&](ucs_status_t) { ADD_FAILURE(); });
  const auto end = std::chrono::steady_clock::now() + kGenerous;
  while (client && std::chrono::steady_clock::now() < end) {
    server.progress();
    client->progress();
  }
  EXPECT_EQ(called, 1);
}

TEST(UcxRequest, DoneByDefault) {
  UcxRequest request;
  EXPECT_TRUE(request.done());
  request.cancel();
}

}  // namespace
}  // namespace trireme::test
