// An operation under way.
#pragma once

#include <ucp/api/ucp.h>

#include <chrono>
#include <functional>
#include <memory>

namespace trireme {

class UcxWorker;
struct UcxRequestState;

// Told how an operation ended: UCS_OK or why not. Always called from UcxWorker::progress() or wait(), never
// from within the call that began the operation, and outside of UCX, so that it may do anything: send, close
// endpoints, throw (progress() throws it then).
using UcxCompletion = std::function<void(ucs_status_t)>;

// A send, get, put, flush or receive. Destroying it while under way is safe: the operation goes on and its
// callback is called; the memory that it reads or writes must stay until then, or until its endpoint is
// closed and `done`.
class UcxRequest {
 public:
  UcxRequest() = default;  // done, UCS_OK
  UcxRequest(UcxRequest&&) noexcept = default;
  UcxRequest& operator=(UcxRequest&&) noexcept = default;

  bool done() const;
  ucs_status_t status() const;  // UCS_INPROGRESS until done

  // Makes progress until done. Throws UcxError when the operation failed, and one of UCS_ERR_TIMED_OUT when
  // it is still under way after `limit` (it stays under way; nothing is cancelled).
  void wait(UcxWorker& worker, std::chrono::nanoseconds limit);

  // Drops the callback, and asks UCX to stop. UCX 1.13 takes back nothing that it has begun (no send, get, or
  // receive of rendezvous data): where the memory must be free now, close the endpoint, which completes
  // everything.
  void cancel();

 private:
  friend class UcxEndpoint;
  friend class UcxMessage;
  friend struct UcxWorkerState;
  explicit UcxRequest(std::shared_ptr<UcxRequestState> state);
  std::shared_ptr<UcxRequestState> state_;
};

}  // namespace trireme
