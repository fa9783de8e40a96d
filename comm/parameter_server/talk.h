// What the threads of servers and workers that talk have in common.
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "comm/parameter_server/messages.h"
#include "comm/ucx/endpoint.h"
#include "comm/ucx/worker.h"

namespace trireme {

// Work that other threads leave for the one that talks.
class Inbox {
 public:
  explicit Inbox(UcxWorker& worker) : worker_(worker) {}
  // Any thread.
  void post(std::function<void()> what) {
    {
      std::lock_guard lock(mutex_);
      work_.push_back(std::move(what));
    }
    worker_.signal();
  }
  // The thread that talks: what has been posted until now, in order.
  void work() {
    std::deque<std::function<void()>> work;
    {
      std::lock_guard lock(mutex_);
      work.swap(work_);
    }
    for (auto& what : work) what();
  }

 private:
  UcxWorker& worker_;
  std::mutex mutex_;
  std::deque<std::function<void()>> work_;
};

// A control message as it travels: the sender's token, the word, the packed body.
struct ControlMessage {
  uint64_t token = 0;
  Word word{};
  std::span<const std::byte> body;
};

// Sends one; what becomes of it shows by the endpoint.
void send_control(UcxEndpoint& endpoint, uint64_t token, Word word, const std::vector<std::byte>& body);
// Calls `then` with the message's bytes: now, or, of one that is longer than some 16 KiB (UCX lets the
// receiver fetch it), later from progress(). `fetching` counts those under way, and lives as long as the
// worker. Throws CommError where it is too long, or too many are under way.
void fetch_control(UcxMessage& message, int& fetching, std::function<void(std::span<const std::byte>)> then);
// Throws CommError where they are too few to be one.
ControlMessage parse_control(std::span<const std::byte> data);

// A hello of this process: host, number, address; session, token and fingerprint as given.
Hello hello_of(const UcxWorker& worker, uint64_t session, uint64_t token, uint64_t fingerprint);
// Not to be guessed.
uint64_t draw_token();

}  // namespace trireme
