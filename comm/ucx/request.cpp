#include "comm/ucx/request.h"

#include "comm/ucx/status.h"
#include "comm/ucx/worker_state.h"

namespace trireme {

std::string UcxRequestState::describe() const {
  std::string text = operation;
  if (bytes > 0) text += fmt::format(" of {} bytes", bytes);
  if (peer) text += fmt::format(" ({})", *peer);
  return text;
}

UcxRequest::UcxRequest(std::shared_ptr<UcxRequestState> state) : state_(std::move(state)) {}

bool UcxRequest::done() const { return status() != UCS_INPROGRESS; }

ucs_status_t UcxRequest::status() const { return state_ ? state_->status : UCS_OK; }

void UcxRequest::wait(UcxWorker& worker, std::chrono::nanoseconds limit) {
  if (!state_) return;
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    const auto left = end - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds(0)) throw UcxError(UCS_ERR_TIMED_OUT, state_->describe());
    worker.wait(left);
  }
  if (status() != UCS_OK) throw UcxError(status(), state_->describe());
}

void UcxRequest::cancel() {
  if (!state_) return;
  state_->callback = {};
  if (state_->status == UCS_INPROGRESS && state_->handle != nullptr) {
    ucp_request_cancel(state_->worker->worker, state_->handle);
  }
}

void UcxWorkerState::enlist(const std::shared_ptr<UcxRequestState>& state) {
  state->worker = this;
  state->place = under_way.size();
  under_way.push_back(state);
}

UcxRequest UcxWorkerState::finished(std::shared_ptr<UcxRequestState> state, ucs_status_t status) {
  enlist(state);
  finish(state.get(), status);
  return UcxRequest(std::move(state));
}

void UcxWorkerState::finish(UcxRequestState* state, ucs_status_t status) {
  if (starting == state) starting = nullptr;
  state->status = status;
  state->handle = nullptr;
  state->worker = nullptr;
  // The last one takes its place, so that taking one out costs the same however many there are.
  auto kept = std::move(under_way[state->place]);
  if (state->place + 1 < under_way.size()) {
    under_way[state->place] = std::move(under_way.back());
    under_way[state->place]->place = state->place;
  }
  under_way.pop_back();
  if (kept->callback && !shut) completed.push_back(std::move(kept));
}

void ucx_request_done(void* request, ucs_status_t status, void* state) {
  auto* ours = static_cast<UcxRequestState*>(state);
  ours->worker->finish(ours, status);
  ucp_request_free(request);
}

void ucx_receive_done(void* request, ucs_status_t status, size_t, void* state) {
  ucx_request_done(request, status, state);
}

}  // namespace trireme
