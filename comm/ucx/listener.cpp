#include "comm/ucx/listener.h"

#include <deque>

#include "comm/ucx/socket_address.h"
#include "comm/ucx/status.h"
#include "comm/ucx/worker_state.h"

namespace trireme {

struct UcxListenerState {
  std::shared_ptr<UcxWorkerState> worker;
  ucp_listener_h handle = nullptr;
  UcxListener::ConnectionHandler handler;
  std::deque<ucp_conn_request_h> waiting;  // that the handler has not been told of
  std::weak_ptr<UcxListenerState> self;
};

namespace {

std::string peer_of(ucp_conn_request_h request) {
  ucp_conn_request_attr_t attributes{};
  attributes.field_mask = UCP_CONN_REQUEST_ATTR_FIELD_CLIENT_ADDR;
  if (ucp_conn_request_query(request, &attributes) != UCS_OK) return "?";
  return SocketAddress(attributes.client_address).name();
}

// Called by UCX from within its progress.
void wants_in(ucp_conn_request_h request, void* argument) {
  auto* listener = static_cast<UcxListenerState*>(argument);
  listener->waiting.push_back(request);
  listener->worker->deferred.push_back([weak = listener->self] {
    auto state = weak.lock();
    if (!state || state->waiting.empty()) return;
    ucp_conn_request_h next = state->waiting.front();
    state->waiting.pop_front();
    state->handler(next, peer_of(next));
  });
}

}  // namespace

UcxListener::UcxListener(UcxWorker& worker, const std::string& host, uint16_t port, ConnectionHandler handler)
    : state_(std::make_shared<UcxListenerState>()) {
  state_->self = state_;
  state_->worker = worker.state_;
  state_->handler = std::move(handler);
  const SocketAddress address(host, port);
  ucp_listener_params_t params{};
  params.field_mask = UCP_LISTENER_PARAM_FIELD_SOCK_ADDR | UCP_LISTENER_PARAM_FIELD_CONN_HANDLER;
  params.sockaddr = address.for_ucx();
  params.conn_handler.cb = wants_in;
  params.conn_handler.arg = state_.get();
  check_ucx(ucp_listener_create(worker.get(), &params, &state_->handle), "listening at " + address.name());
}

UcxListener::~UcxListener() {
  if (!state_ || state_->worker->worker == nullptr) return;
  for (ucp_conn_request_h request : state_->waiting) ucp_listener_reject(state_->handle, request);
  state_->waiting.clear();
  ucp_listener_destroy(state_->handle);
}

uint16_t UcxListener::port() const {
  ucp_listener_attr_t attributes{};
  attributes.field_mask = UCP_LISTENER_ATTR_FIELD_SOCKADDR;
  check_ucx(ucp_listener_query(state_->handle, &attributes), "asking for a listener's port");
  return SocketAddress(attributes.sockaddr).port();
}

void UcxListener::reject(ucp_conn_request_h request) {
  check_ucx(ucp_listener_reject(state_->handle, request), "rejecting a connection");
}

}  // namespace trireme
