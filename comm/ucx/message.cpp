#include "comm/ucx/message.h"

#include <cstring>

#include "comm/ucx/status.h"
#include "comm/ucx/worker_state.h"

namespace trireme {

UcxMessage::UcxMessage(UcxMessage&& other)
    : worker_(std::move(other.worker_)),
      header_(other.header_),
      data_(std::exchange(other.data_, nullptr)),
      size_(other.size_),
      rendezvous_(other.rendezvous_),
      persistent_(other.persistent_),
      received_(other.received_),
      taken_(std::exchange(other.taken_, nullptr)),
      reply_(other.reply_),
      own_header_(std::move(other.own_header_)),
      own_data_(std::move(other.own_data_)) {
  if (taken_ == nullptr) return;
  // Leaving the handler: whatever dies with it must be had.
  own_header_.assign(header_.begin(), header_.end());
  header_ = own_header_;
  if (rendezvous_ || persistent_) {
    if (data_ != nullptr) *taken_ = true;
  } else if (size_ > 0) {
    auto* first = static_cast<const std::byte*>(data_);
    own_data_.assign(first, first + size_);
    data_ = own_data_.data();
  }
  taken_ = nullptr;
}

UcxMessage::~UcxMessage() {
  // In the handler UCX is told by what that returns; what is ours frees itself.
  if (taken_ != nullptr || data_ == nullptr || (!rendezvous_ && !persistent_)) return;
  if (worker_ && worker_->worker != nullptr) ucp_am_data_release(worker_->worker, data_);
}

std::span<const std::byte> UcxMessage::data() const {
  if (rendezvous_) {
    throw CommError("the {} bytes of this message are still at the sender's: receive() fetches them", size_);
  }
  return {static_cast<const std::byte*>(data_), size_};
}

UcxRequest UcxMessage::receive(void* into, size_t bytes, UcxCompletion callback) {
  if (received_) throw CommError("a message of {} bytes can be received only once", size_);
  if (bytes < size_) throw CommError("a message of {} bytes does not fit into {}", size_, bytes);
  if (!worker_ || worker_->worker == nullptr) throw CommError("receive() after the worker was destroyed");
  received_ = true;
  auto state = std::make_shared<UcxRequestState>();
  state->operation = "receiving a message";
  state->bytes = size_;
  state->callback = std::move(callback);
  if (!rendezvous_) {
    if (size_ > 0) std::memcpy(into, data_, size_);
    return worker_->finished(std::move(state), UCS_OK);
  }
  ucp_request_param_t param{};
  param.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK;
  param.cb.recv_am = ucx_receive_done;
  // UCX owns the descriptor from here on, whatever it answers; within the handler it wants to hear so.
  if (taken_ != nullptr) *taken_ = true;
  void* descriptor = std::exchange(data_, nullptr);
  worker_->enlist(state);
  worker_->start(state.get(), param, [&](const ucp_request_param_t& how) {
    return ucp_am_recv_data_nbx(worker_->worker, descriptor, into, size_, &how);
  });
  return UcxRequest(std::move(state));
}

ucs_status_t UcxWorkerState::arrived(void* handler, const void* header, size_t header_length, void* data,
                                     size_t length, const ucp_am_recv_param_t* param) {
  auto* ours = static_cast<Handler*>(handler);
  UcxWorkerState* worker = ours->worker;
  bool taken = false;
  if (worker->shut || !ours->call) return UCS_OK;
  try {
    UcxMessage message;
    message.worker_ = worker->self.lock();
    message.header_ = {static_cast<const std::byte*>(header), header_length};
    message.data_ = data;
    message.size_ = length;
    message.rendezvous_ = (param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) != 0;
    message.persistent_ = (param->recv_attr & UCP_AM_RECV_ATTR_FLAG_DATA) != 0;
    if (param->recv_attr & UCP_AM_RECV_ATTR_FIELD_REPLY_EP) message.reply_ = param->reply_ep;
    message.taken_ = &taken;
    ours->call(std::move(message));
  } catch (...) {
    worker->errors.push_back(std::current_exception());
  }
  return taken ? UCS_INPROGRESS : UCS_OK;
}

}  // namespace trireme
