#include "comm/ucx/worker.h"

#include <sys/eventfd.h>

#include "comm/ucx/status.h"
#include "comm/ucx/worker_state.h"

namespace trireme {

UcxWorker::UcxWorker(UcxContext& context) : state_(std::make_shared<UcxWorkerState>(context.handle_)) {
  state_->self = state_;
}

UcxWorker::~UcxWorker() {
  if (state_) state_->shut_down();
}

bool UcxWorker::progress() { return state_->progress(); }

bool UcxWorker::wait(std::chrono::nanoseconds limit) { return state_->wait(limit); }

void UcxWorker::signal() noexcept { eventfd_write(state_->signals.get(), 1); }

int UcxWorker::event_descriptor() const { return state_->events.get(); }

bool UcxWorker::arm() { return state_->arm(); }

void UcxWorker::on_message(unsigned id, MessageHandler handler) {
  state_->on_message(id, std::move(handler));
}

std::vector<std::byte> UcxWorker::address() const {
  ucp_address_t* address = nullptr;
  size_t bytes = 0;
  check_ucx(ucp_worker_get_address(state_->worker, &address, &bytes), "asking for a worker's address");
  auto* first = reinterpret_cast<const std::byte*>(address);
  std::vector<std::byte> copy(first, first + bytes);
  ucp_worker_release_address(state_->worker, address);
  return copy;
}

size_t UcxWorker::largest_header() const {
  ucp_worker_attr_t attributes{};
  attributes.field_mask = UCP_WORKER_ATTR_FIELD_MAX_AM_HEADER;
  check_ucx(ucp_worker_query(state_->worker, &attributes), "asking for the largest header");
  return attributes.max_am_header;
}

ucp_worker_h UcxWorker::get() const { return state_->worker; }

}  // namespace trireme
