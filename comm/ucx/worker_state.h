// What the classes of this folder share behind their handles. For comm/ucx/*.cpp only.
#pragma once

#include <ucp/api/ucp.h>

#include <atomic>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/descriptor.h"
#include "comm/ucx/worker.h"

namespace trireme {

struct UcxRequestState {
  ucs_status_t status = UCS_INPROGRESS;
  UcxWorkerState* worker = nullptr;  // while under way
  size_t place = 0;                  // in the worker's list of those under way
  void* handle = nullptr;            // UCX's request, while under way
  UcxCompletion callback;
  std::vector<std::byte> header;  // UCX reads it until done
  const char* operation = "";     // for messages
  size_t bytes = 0;
  std::shared_ptr<const std::string> peer;  // may be null

  std::string describe() const;
};

struct UcxEndpointState : std::enable_shared_from_this<UcxEndpointState> {
  std::shared_ptr<UcxWorkerState> worker;
  std::shared_ptr<const std::string> name;
  ucp_ep_h handle = nullptr;  // nullptr once closed
  bool closed = false;
  bool connected = false;
  // What was asked for before the connection stood, with what begins it.
  struct Waiting {
    std::shared_ptr<UcxRequestState> request;
    std::function<void()> begin;
  };
  std::deque<Waiting> waiting;
  ucs_status_t failure = UCS_OK;
  bool told = false;  // the callback was called, or will be at the next progress()
  std::function<void(ucs_status_t)> on_failure;

  void connect_done(ucs_status_t status);
  void end_waiting(ucs_status_t status);
  void tell_failure();
};

struct UcxWorkerState {
  UcxWorkerState(std::shared_ptr<ucp_context> context_handle);
  ~UcxWorkerState();
  UcxWorkerState(const UcxWorkerState&) = delete;

  // ---- what UcxWorker does
  bool progress();
  bool wait(std::chrono::nanoseconds limit);
  bool arm();
  // Closes all endpoints and the worker; what is under way is done with an error. No callback is called any
  // more.
  void shut_down();

  // ---- requests
  // Begins: from here on the request is under way, and its worker knows it.
  void enlist(const std::shared_ptr<UcxRequestState>& state);
  // Calls UCX by `begin`, a function of the parameters, for a request that is enlisted.
  template <class Begin>
  void start(UcxRequestState* state, ucp_request_param_t param, Begin&& begin);
  // A request that is done already.
  UcxRequest finished(std::shared_ptr<UcxRequestState> state, ucs_status_t status);
  void finish(UcxRequestState* state, ucs_status_t status);

  // ---- endpoints
  void close(const std::shared_ptr<UcxEndpointState>& endpoint);
  void close_now(std::shared_ptr<UcxEndpointState> endpoint, ucp_ep_h handle);

  // ---- messages
  struct Handler {
    UcxWorkerState* worker;
    UcxWorker::MessageHandler call;
  };
  void on_message(unsigned id, UcxWorker::MessageHandler handler);
  static ucs_status_t arrived(void* handler, const void* header, size_t header_length, void* data,
                              size_t length, const ucp_am_recv_param_t* param);

  struct Closing {
    std::shared_ptr<UcxEndpointState> endpoint;
    ucp_ep_h handle;
    void* request;  // nullptr: not begun
  };

  std::shared_ptr<ucp_context> context;
  ucp_worker_h worker = nullptr;  // nullptr once shut down
  int ucx_events = -1;            // UCX's own descriptor
  Descriptor signals;             // an eventfd
  Descriptor events;              // an epoll of both
  bool inside = false;            // of ucp_worker_progress
  bool shut = false;
  std::map<unsigned, std::shared_ptr<Handler>> handlers;
  std::vector<std::shared_ptr<UcxRequestState>> under_way;
  UcxRequestState* starting = nullptr;                     // whose call to UCX has not returned
  std::deque<std::shared_ptr<UcxRequestState>> completed;  // whose callbacks wait to be called
  std::deque<std::function<void()>> deferred;  // what callbacks of UCX's left to be done outside of it
  std::deque<std::exception_ptr> errors;       // thrown by message handlers
  std::unordered_set<std::shared_ptr<UcxEndpointState>> endpoints;
  std::vector<Closing> closing;
  std::unordered_set<ucp_rkey_h> keys;
  // For messages, which keep it alive.
  std::weak_ptr<UcxWorkerState> self;

 private:
  void run_callbacks();
  void move_closing();
};

void ucx_request_done(void* request, ucs_status_t status, void* state);
void ucx_receive_done(void* request, ucs_status_t status, size_t length, void* state);

template <class Begin>
void UcxWorkerState::start(UcxRequestState* state, ucp_request_param_t param, Begin&& begin) {
  param.op_attr_mask |= UCP_OP_ATTR_FIELD_USER_DATA;
  param.user_data = state;
  starting = state;
  ucs_status_ptr_t answer = begin(param);
  // While this call lasted the operation may have ended by its callback, and be gone.
  if (std::exchange(starting, nullptr) == nullptr) return;
  if (UCS_PTR_IS_PTR(answer)) {
    state->handle = answer;
  } else {
    finish(state, UCS_PTR_STATUS(answer));
  }
}

}  // namespace trireme
