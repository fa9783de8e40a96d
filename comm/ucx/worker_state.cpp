#include "comm/ucx/worker_state.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>

#include "comm/ucx/status.h"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

int checked(int descriptor, const char* what) {
  if (descriptor < 0) throw CommError("{}: {}", what, std::strerror(errno));
  return descriptor;
}

void watch(int epoll, int descriptor) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = descriptor;
  checked(epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event), "epoll_ctl for a UCX worker");
}

ucs_status_t drop(void*, const void*, size_t, void*, size_t, const ucp_am_recv_param_t*) { return UCS_OK; }

void set_handler(ucp_worker_h worker, unsigned id, ucp_am_recv_callback_t call, void* argument) {
  ucp_am_handler_param_t param{};
  param.field_mask =
      UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG;
  param.id = id;
  param.cb = call;
  param.arg = argument;
  check_ucx(ucp_worker_set_am_recv_handler(worker, &param),
            fmt::format("receiving messages of number {}", id));
}

// UCX 1.13 calls whatever lies in its table, which it does not clear, for a number that was never given a
// handler: a message of an unknown number, which anybody can send, takes the process down. So all numbers get
// one. The highest first: the table grows once.
void drop_all_numbers(ucp_worker_h worker) {
  for (unsigned id = UINT16_MAX; id > 0; --id) set_handler(worker, id, drop, nullptr);
  set_handler(worker, 0, drop, nullptr);
}

}  // namespace

UcxWorkerState::UcxWorkerState(std::shared_ptr<ucp_context> context_handle)
    : context(std::move(context_handle)),
      signals(checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd for a UCX worker")),
      events(checked(epoll_create1(EPOLL_CLOEXEC), "epoll for a UCX worker")) {
  ucp_worker_params_t params{};
  params.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
  params.thread_mode = UCS_THREAD_MODE_SERIALIZED;
  check_ucx(ucp_worker_create(context.get(), &params, &worker), "making a worker");
  try {
    drop_all_numbers(worker);
    check_ucx(ucp_worker_get_efd(worker, &ucx_events), "asking for a worker's event descriptor");
    watch(events.get(), ucx_events);
    watch(events.get(), signals.get());
  } catch (...) {
    ucp_worker_destroy(worker);
    throw;
  }
}

UcxWorkerState::~UcxWorkerState() { shut_down(); }

bool UcxWorkerState::progress() {
  if (inside)
    throw CommError("a UCX message handler called progress() or wait(): leave that to the worker's loop");
  if (worker == nullptr) throw CommError("progress() of a UCX worker that was destroyed");
  inside = true;
  bool happened = ucp_worker_progress(worker) != 0;
  inside = false;
  if (!closing.empty()) move_closing();
  if (completed.empty() && deferred.empty() && errors.empty()) return happened;
  run_callbacks();
  return true;
}

// Only what was there at the beginning: who answers every completion with an operation that is done at once
// would else never come out.
void UcxWorkerState::run_callbacks() {
  auto alive = self.lock();  // a callback may destroy the worker
  for (size_t left = completed.size(); left > 0 && !completed.empty(); --left) {
    auto state = std::move(completed.front());
    completed.pop_front();
    auto callback = std::move(state->callback);
    if (callback) callback(state->status);  // else cancelled meanwhile
  }
  for (size_t left = deferred.size(); left > 0 && !deferred.empty(); --left) {
    auto call = std::move(deferred.front());
    deferred.pop_front();
    call();
  }
  if (!errors.empty()) {
    auto error = errors.front();
    errors.pop_front();
    std::rethrow_exception(error);
  }
}

bool UcxWorkerState::arm() {
  if (!completed.empty() || !deferred.empty() || !errors.empty()) return false;
  for (const Closing& one : closing) {
    if (one.request == nullptr) return false;
  }
  ucs_status_t status = ucp_worker_arm(worker);
  if (status == UCS_ERR_BUSY) return false;
  check_ucx(status, "arming a worker's event descriptor");
  return true;
}

bool UcxWorkerState::wait(std::chrono::nanoseconds limit) {
  if (progress()) return true;
  const auto start = Clock::now();
  const auto end = start + limit;
  for (auto now = start; now < std::min(end, start + UcxWorker::kSpin); now = Clock::now()) {
    if (progress()) return true;
  }
  for (;;) {
    const auto left = std::max(std::chrono::nanoseconds(0), std::chrono::nanoseconds(end - Clock::now()));
    if (arm()) {
      pollfd descriptors[] = {{ucx_events, POLLIN, 0}, {signals.get(), POLLIN, 0}};
      timespec span{};
      span.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(left).count();
      span.tv_nsec = (left % std::chrono::seconds(1)).count();
      // Interrupted by a signal: whoever caught it may want to look at something.
      if (ppoll(descriptors, 2, &span, nullptr) < 0 && errno == EINTR) return progress();
    }
    eventfd_t count = 0;
    const bool signalled = eventfd_read(signals.get(), &count) == 0;
    if (progress()) return true;
    if (signalled || Clock::now() >= end) return false;
  }
}

void UcxWorkerState::on_message(unsigned id, UcxWorker::MessageHandler handler) {
  if (id > UINT16_MAX) throw CommError("UCX message number {}: at most {}", id, UINT16_MAX);
  auto state = std::make_shared<Handler>(Handler{this, std::move(handler)});
  set_handler(worker, id, arrived, state.get());
  auto& place = handlers[id];
  // The one that is replaced may be the one that is running.
  if (place) deferred.push_back([old = std::move(place)] {});
  place = std::move(state);
}

void UcxWorkerState::close(const std::shared_ptr<UcxEndpointState>& endpoint) {
  if (endpoint->closed) return;
  endpoint->closed = true;
  ucp_ep_h handle = std::exchange(endpoint->handle, nullptr);
  endpoint->on_failure = {};
  endpoint->end_waiting(UCS_ERR_CANCELED);
  endpoints.erase(endpoint);
  if (inside) {
    closing.push_back({endpoint, handle, nullptr});  // UCX is in the middle of something that may use it
  } else {
    close_now(endpoint, handle);
  }
}

void UcxWorkerState::close_now(std::shared_ptr<UcxEndpointState> endpoint, ucp_ep_h handle) {
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
  param.flags = UCP_EP_CLOSE_FLAG_FORCE;
  ucs_status_ptr_t answer = ucp_ep_close_nbx(handle, &param);
  if (UCS_PTR_IS_PTR(answer)) closing.push_back({std::move(endpoint), handle, answer});
}

void UcxWorkerState::move_closing() {
  std::vector<Closing> now;
  now.swap(closing);
  for (Closing& one : now) {
    if (one.request == nullptr) {
      close_now(std::move(one.endpoint), one.handle);
    } else if (ucp_request_check_status(one.request) == UCS_INPROGRESS) {
      closing.push_back(std::move(one));
    } else {
      ucp_request_free(one.request);
    }
  }
}

void UcxWorkerState::shut_down() {
  if (worker == nullptr) return;
  shut = true;
  while (!endpoints.empty()) {
    auto endpoint = *endpoints.begin();
    close(endpoint);
    if (endpoint->failure == UCS_OK) endpoint->failure = UCS_ERR_CANCELED;
  }
  // Closing by force takes some rounds, and no answer of anybody's; should it yet hang, ucp_worker_destroy()
  // does the rest.
  const auto end = Clock::now() + std::chrono::milliseconds(200);
  while ((!closing.empty() || !under_way.empty()) && Clock::now() < end) {
    ucp_worker_progress(worker);
    move_closing();
  }
  for (ucp_rkey_h key : keys) ucp_rkey_destroy(key);
  keys.clear();
  ucp_worker_destroy(worker);
  worker = nullptr;
  while (!under_way.empty()) finish(under_way.back().get(), UCS_ERR_CANCELED);
  closing.clear();
  completed.clear();
  deferred.clear();
  errors.clear();
  handlers.clear();
}

}  // namespace trireme
