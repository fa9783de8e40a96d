#include "comm/ucx/endpoint.h"

#include "comm/ucx/memory.h"
#include "comm/ucx/socket_address.h"
#include "comm/ucx/status.h"
#include "comm/ucx/worker_state.h"

namespace trireme {
namespace {

// Called by UCX, mostly from within its progress.
void peer_failed(void* argument, ucp_ep_h, ucs_status_t status) {
  auto* endpoint = static_cast<UcxEndpointState*>(argument);
  if (endpoint->closed || endpoint->failure != UCS_OK) return;
  endpoint->failure = status == UCS_OK ? UCS_ERR_CONNECTION_RESET : status;
  endpoint->end_waiting(endpoint->failure);
  endpoint->tell_failure();
}

std::shared_ptr<UcxRequestState> request_of(const UcxEndpointState& endpoint, const char* operation,
                                            size_t bytes, UcxCompletion callback) {
  auto state = std::make_shared<UcxRequestState>();
  state->operation = operation;
  state->bytes = bytes;
  state->peer = endpoint.name;
  state->callback = std::move(callback);
  return state;
}

ucs_status_t usable(const UcxEndpointState& endpoint) {
  if (endpoint.failure != UCS_OK) return endpoint.failure;
  return endpoint.closed ? UCS_ERR_CANCELED : UCS_OK;
}

// Begins an operation now, or once the connection stands.
template <class Begin>
void begin(UcxEndpointState& endpoint, const std::shared_ptr<UcxRequestState>& request, Begin call) {
  UcxWorkerState& worker = *endpoint.worker;
  worker.enlist(request);
  if (auto status = usable(endpoint); status != UCS_OK) {
    worker.finish(request.get(), status);
    return;
  }
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK;
  param.cb.send = ucx_request_done;
  if (endpoint.connected) {
    worker.start(request.get(), param, call);
  } else {
    endpoint.waiting.push_back(
        {request, [&worker, raw = request.get(), param, call] { worker.start(raw, param, call); }});
  }
}

}  // namespace

// UCX 1.13 keeps what is sent before the connection stands, chooses how by what it knows until then, and
// aborts the process when the transport that it gets takes less ("Assertion `max_iov > 1' failed": a message
// of 3000 bytes over shared memory). So nothing is begun before a first flush is done.
void UcxEndpointState::connect_done(ucs_status_t status) {
  if (closed) return;
  if (status != UCS_OK) {
    if (failure == UCS_OK) failure = status;
    end_waiting(failure);
    tell_failure();
    return;
  }
  connected = true;
  // What is begun may fail the endpoint, which ends the others.
  while (!waiting.empty()) {
    Waiting one = std::move(waiting.front());
    waiting.pop_front();
    one.begin();
  }
}

void UcxEndpointState::end_waiting(ucs_status_t status) {
  for (Waiting& one : waiting) worker->finish(one.request.get(), status);
  waiting.clear();
}

void UcxEndpointState::tell_failure() {
  if (!on_failure || told || failure == UCS_OK || closed) return;
  told = true;
  worker->deferred.push_back([endpoint = shared_from_this()] {
    if (endpoint->closed || !endpoint->on_failure) return;
    auto call = std::move(endpoint->on_failure);
    endpoint->on_failure = {};
    call(endpoint->failure);
  });
}

UcxEndpoint::UcxEndpoint(std::shared_ptr<UcxEndpointState> state) : state_(std::move(state)) {}

UcxEndpoint& UcxEndpoint::operator=(UcxEndpoint&& other) noexcept {
  if (this != &other) {
    if (state_) close();
    state_ = std::move(other.state_);
  }
  return *this;
}

UcxEndpoint::~UcxEndpoint() {
  if (state_) close();
}

UcxEndpoint UcxEndpoint::make(UcxWorker& worker, ucp_ep_params_t& params, std::string name) {
  auto state = std::make_shared<UcxEndpointState>();
  state->worker = worker.state_;
  state->name = std::make_shared<const std::string>(std::move(name));
  params.field_mask |= UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER;
  params.err_mode = UCP_ERR_HANDLING_MODE_PEER;
  params.err_handler.cb = peer_failed;
  params.err_handler.arg = state.get();
  check_ucx(ucp_ep_create(worker.get(), &params, &state->handle), "connecting to " + *state->name);
  worker.state_->endpoints.insert(state);
  auto first = request_of(*state, "connecting", 0, [weak = std::weak_ptr(state)](ucs_status_t status) {
    if (auto endpoint = weak.lock()) endpoint->connect_done(status);
  });
  worker.state_->enlist(first);
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK;
  param.cb.send = ucx_request_done;
  worker.state_->start(first.get(), param,
                       [&](const ucp_request_param_t& how) { return ucp_ep_flush_nbx(state->handle, &how); });
  return UcxEndpoint(std::move(state));
}

UcxEndpoint UcxEndpoint::connect(UcxWorker& worker, const std::string& host, uint16_t port) {
  const SocketAddress address(host, port);
  ucp_ep_params_t params{};
  params.field_mask = UCP_EP_PARAM_FIELD_SOCK_ADDR | UCP_EP_PARAM_FIELD_FLAGS;
  params.flags = UCP_EP_PARAMS_FLAGS_CLIENT_SERVER;
  params.sockaddr = address.for_ucx();
  return make(worker, params, address.name());
}

UcxEndpoint UcxEndpoint::connect(UcxWorker& worker, std::span<const std::byte> address, std::string name) {
  ucp_ep_params_t params{};
  params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS;
  params.address = reinterpret_cast<const ucp_address_t*>(address.data());
  return make(worker, params, std::move(name));
}

UcxEndpoint UcxEndpoint::accept(UcxWorker& worker, ucp_conn_request_h request, std::string name) {
  ucp_ep_params_t params{};
  params.field_mask = UCP_EP_PARAM_FIELD_CONN_REQUEST;
  params.conn_request = request;
  return make(worker, params, std::move(name));
}

bool UcxEndpoint::failed() const { return !state_ || usable(*state_) != UCS_OK; }

ucs_status_t UcxEndpoint::failure() const { return state_ ? usable(*state_) : UCS_ERR_CANCELED; }

void UcxEndpoint::on_failure(std::function<void(ucs_status_t)> callback) {
  state_->on_failure = std::move(callback);
  state_->tell_failure();
}

const std::string& UcxEndpoint::name() const { return *state_->name; }

ucp_ep_h UcxEndpoint::get() const { return state_ ? state_->handle : nullptr; }

bool UcxEndpoint::connected() const { return state_ && state_->connected && !failed(); }

UcxRequest UcxEndpoint::send(unsigned id, std::span<const std::byte> header, const void* data, size_t bytes,
                             UcxCompletion callback) {
  auto request = request_of(*state_, "sending a message", bytes, std::move(callback));
  request->header.assign(header.begin(), header.end());
  begin(*state_, request, [to = state_.get(), raw = request.get(), id, data, bytes](ucp_request_param_t how) {
    how.op_attr_mask |= UCP_OP_ATTR_FIELD_FLAGS;
    how.flags = UCP_AM_SEND_FLAG_REPLY;
    return ucp_am_send_nbx(to->handle, id, raw->header.data(), raw->header.size(), data, bytes, &how);
  });
  return UcxRequest(std::move(request));
}

UcxRequest UcxEndpoint::get(void* into, size_t bytes, uint64_t remote_address, const UcxRemoteKey& key,
                            UcxCompletion callback) {
  auto request = request_of(*state_, "getting remote memory", bytes, std::move(callback));
  begin(*state_, request,
        [from = state_.get(), into, bytes, remote_address, rkey = key.get()](const ucp_request_param_t& how) {
          return ucp_get_nbx(from->handle, into, bytes, remote_address, rkey, &how);
        });
  return UcxRequest(std::move(request));
}

UcxRequest UcxEndpoint::put(const void* from, size_t bytes, uint64_t remote_address, const UcxRemoteKey& key,
                            UcxCompletion callback) {
  auto request = request_of(*state_, "putting into remote memory", bytes, std::move(callback));
  begin(*state_, request,
        [to = state_.get(), from, bytes, remote_address, rkey = key.get()](const ucp_request_param_t& how) {
          return ucp_put_nbx(to->handle, from, bytes, remote_address, rkey, &how);
        });
  return UcxRequest(std::move(request));
}

UcxRequest UcxEndpoint::flush(UcxCompletion callback) {
  auto request = request_of(*state_, "flushing", 0, std::move(callback));
  begin(*state_, request,
        [to = state_.get()](const ucp_request_param_t& how) { return ucp_ep_flush_nbx(to->handle, &how); });
  return UcxRequest(std::move(request));
}

void UcxEndpoint::close() { state_->worker->close(state_); }

}  // namespace trireme
