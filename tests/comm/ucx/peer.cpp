// The other process of the tests: serves what protocol.h lists until its standard input ends.
//   comm_ucx_peer TRANSPORTS|- MEMORY_BYTES
// Prints a line "PORT ADDRESS KEY MEMORY_ADDRESS" (address and key in hexadecimal) when it is ready.

#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <list>
#include <map>

#include "comm/ucx/context.h"
#include "comm/ucx/endpoint.h"
#include "comm/ucx/listener.h"
#include "comm/ucx/memory.h"
#include "comm/ucx/protocol.h"
#include "comm/ucx/status.h"
#include "comm/ucx/worker.h"

namespace trireme::test {
namespace {

struct Peer {
  Peer(const std::string& transports, size_t bytes)
      : context({.transports = transports}),
        memory(UcxMemory::allocate(context, bytes)),
        worker(context),
        listener(worker, "127.0.0.1", 0, [this](ucp_conn_request_h request, std::string peer) {
          add(UcxEndpoint::accept(worker, request, peer));
        }) {
    for (size_t i = 0; i < bytes; ++i) memory.bytes()[i] = static_cast<std::byte>(i * 7 & 255);
    worker.on_message(kEcho, [this](UcxMessage&& message) {
      auto data = std::make_shared<std::vector<std::byte>>(message.size());
      auto header = std::vector<std::byte>(message.header().begin(), message.header().end());
      message.receive(data->data(), data->size(),
                      [this, data, header, to = message.reply_endpoint()](ucs_status_t status) {
                        if (status == UCS_OK) answer(to, kEchoed, header, data);
                      });
    });
    worker.on_message(kHold, [this](UcxMessage&& message) {
      auto to = message.reply_endpoint();
      held.push_back(std::move(message));
      answer(to, kHeld, {}, std::make_shared<std::vector<std::byte>>());
    });
    worker.on_message(kDrop, [](UcxMessage&&) {});
    worker.on_message(kSendMe, [this](UcxMessage&& message) {
      uint64_t size = 0;
      std::memcpy(&size, message.header().data(), sizeof(size));
      answer(message.reply_endpoint(), kSent, {}, std::make_shared<std::vector<std::byte>>(size));
    });
    worker.on_message(kAddress, [this](UcxMessage&& message) {
      std::vector<std::byte> address(message.data().begin(), message.data().end());
      add(UcxEndpoint::connect(worker, address));
    });
  }

  void add(UcxEndpoint endpoint) {
    ucp_ep_h handle = endpoint.get();
    auto& place = endpoints.emplace_back(std::move(endpoint));
    place.on_failure([this, handle](ucs_status_t status) {
      std::fprintf(stderr, "peer: an endpoint failed: %s\n", ucs_status_string(status));
      endpoints.remove_if([&](const UcxEndpoint& one) { return one.get() == handle; });
    });
  }

  void answer(ucp_ep_h to, unsigned id, std::vector<std::byte> header,
              std::shared_ptr<std::vector<std::byte>> data) {
    for (UcxEndpoint& one : endpoints) {
      if (one.get() == to) one.send(id, header, data->data(), data->size(), [data](ucs_status_t) {});
    }
  }

  UcxContext context;
  UcxMemory memory;
  UcxWorker worker;
  std::list<UcxEndpoint> endpoints;
  std::list<UcxMessage> held;
  UcxListener listener;
};

int serve(const std::string& transports, size_t bytes) {
  Peer peer(transports, bytes);
  std::printf("%d %s %s %lu\n", peer.listener.port(), to_hex(peer.worker.address()).c_str(),
              to_hex(peer.memory.packed_key()).c_str(), static_cast<unsigned long>(peer.memory.address()));
  std::fflush(stdout);
  for (;;) {
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, 0) > 0) return 0;
    peer.worker.wait(std::chrono::milliseconds(20));
  }
}

}  // namespace
}  // namespace trireme::test

int main(int count, char** arguments) {
  if (count != 3) return 64;
  const std::string transports = arguments[1];
  try {
    return trireme::test::serve(transports == "-" ? "" : transports, std::stoull(arguments[2]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "peer: %s\n", error.what());
    return 70;
  }
}
