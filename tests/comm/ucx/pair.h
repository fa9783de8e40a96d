// Two workers that talk to each other: what most tests of this folder begin with.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "comm/ucx/context.h"
#include "comm/ucx/endpoint.h"
#include "comm/ucx/listener.h"
#include "comm/ucx/memory.h"
#include "comm/ucx/status.h"
#include "comm/ucx/worker.h"

namespace trireme::test {

using namespace std::chrono_literals;

constexpr auto kGenerous = std::chrono::seconds(30);

template <class Value>
std::span<const std::byte> bytes_of(const Value& value) {
  return std::as_bytes(std::span<const Value, 1>(&value, 1));
}

inline std::vector<std::byte> pattern(size_t bytes, unsigned seed = 1) {
  std::vector<std::byte> made(bytes);
  for (size_t i = 0; i < bytes; ++i) made[i] = static_cast<std::byte>((i * 131 + (i >> 9) + seed) & 255);
  return made;
}

/** Makes progress on all workers until `done`; false when the time is over. */
inline bool until(std::initializer_list<UcxWorker*> workers, const std::function<bool()>& done,
                  std::chrono::nanoseconds limit = kGenerous) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    bool happened = false;
    for (UcxWorker* one : workers) happened = one->progress() || happened;
    if (!happened) std::this_thread::yield();
  }
  return true;
}

/** One context, two workers moved by the same thread; `client` reaches `server` through a listener or by its
 * address. */
struct Pair {
  explicit Pair(bool by_address = true, const std::string& transports = "")
      : context({.transports = transports}), server(context), client(context) {
    if (by_address) {
      to_server = std::make_unique<UcxEndpoint>(UcxEndpoint::connect(client, server.address()));
      to_client = std::make_unique<UcxEndpoint>(UcxEndpoint::connect(server, client.address()));
    } else {
      listener = std::make_unique<UcxListener>(
          server, "127.0.0.1", 0, [this](ucp_conn_request_h request, std::string peer) {
            to_client = std::make_unique<UcxEndpoint>(UcxEndpoint::accept(server, request, peer));
          });
      to_server = std::make_unique<UcxEndpoint>(UcxEndpoint::connect(client, "127.0.0.1", listener->port()));
      EXPECT_TRUE(until({&server, &client}, [&] { return to_client != nullptr; }));
    }
  }
  bool until_done(const UcxRequest& request) {
    return until({&server, &client}, [&] { return request.done(); });
  }

  UcxContext context;
  UcxWorker server, client;
  std::unique_ptr<UcxListener> listener;
  std::unique_ptr<UcxEndpoint> to_server, to_client;
};

}  // namespace trireme::test
