// The worker: the queues of one thread, and its sleep.
#pragma once

#include <ucp/api/ucp.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "comm/ucx/context.h"
#include "comm/ucx/message.h"

namespace trireme {

struct UcxWorkerState;

// One a thread; nothing of it may be called by two threads at once but signal(). Endpoints, keys and requests
// of it may outlive it: they are then closed, and requests done with UCS_ERR_CANCELED. A completion may
// destroy it, a message handler may not.
class UcxWorker {
 public:
  // Called with each message of its number from within progress(); see UcxMessage. May send and receive, and
  // may close endpoints (which then happens after it returned), but must not call progress() or wait(). What
  // it throws progress() throws.
  using MessageHandler = std::function<void(UcxMessage&&)>;

  explicit UcxWorker(UcxContext& context);
  UcxWorker(UcxWorker&&) noexcept = default;
  UcxWorker& operator=(UcxWorker&&) = delete;
  ~UcxWorker();

  // Moves everything that can be moved, calls handlers, completions and failures' callbacks. Whether anything
  // happened. Throws what these threw, one exception a call.
  bool progress();

  // Makes progress until something happened (true), or signal() or the limit came (false). Looks for kSpin,
  // then sleeps.
  bool wait(std::chrono::nanoseconds limit);
  static constexpr std::chrono::microseconds kSpin{20};

  // Ends a wait() that another thread is in, or else its next one at once. Any thread, any number of times.
  void signal() noexcept;

  // For an event loop of the caller's: readable once something arrives or signal() was called, if arm() said
  // true beforehand. Not armed: call progress() until it says false, and arm again.
  int event_descriptor() const;
  bool arm();

  // Messages of number `id` (below 65536) are for `handler` from now on; empty: they are dropped.
  void on_message(unsigned id, MessageHandler handler);

  // Where others reach this worker without a listener: for UcxEndpoint::connect(worker, address).
  std::vector<std::byte> address() const;

  // The largest header that a message may have, in bytes.
  size_t largest_header() const;

  ucp_worker_h get() const;

 private:
  friend class UcxEndpoint;
  friend class UcxListener;
  friend class UcxRequest;
  std::shared_ptr<UcxWorkerState> state_;
};

}  // namespace trireme
