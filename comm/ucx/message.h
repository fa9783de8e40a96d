// An active message as it arrives.
#pragma once

#include <ucp/api/ucp.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "comm/ucx/request.h"

namespace trireme {

struct UcxWorkerState;

// Valid during its handler. Who wants it longer moves it into an object of his own within the handler: header
// and small data are copied then, large eager data and rendezvous descriptors are kept by UCX until the
// object is destroyed. The thread of the worker's only.
class UcxMessage {
 public:
  UcxMessage(UcxMessage&& other);
  UcxMessage& operator=(UcxMessage&&) = delete;
  ~UcxMessage();

  std::span<const std::byte> header() const { return header_; }
  size_t size() const { return size_; }  // bytes of data

  // Eager: the data has come along and lies in data(). Else (rendezvous) the sender holds it until receive()
  // fetches it; data() throws CommError. A message destroyed unreceived is done for its sender.
  bool is_here() const { return !rendezvous_; }
  std::span<const std::byte> data() const;

  // The way back: the endpoint's handle, equal to the get() of the UcxEndpoint over which it came, where this
  // side made one. Valid until that endpoint fails or is closed.
  ucp_ep_h reply_endpoint() const { return reply_; }

  // Brings the data to `into`, once. Throws CommError when `bytes` are fewer than size(), or called again.
  // Only this writes memory: a message announced larger than one allows need not be received.
  UcxRequest receive(void* into, size_t bytes, UcxCompletion callback = {});

 private:
  friend struct UcxWorkerState;
  UcxMessage() = default;

  std::shared_ptr<UcxWorkerState> worker_;
  std::span<const std::byte> header_;
  void* data_ = nullptr;  // rendezvous: UCX's descriptor; nullptr once received
  size_t size_ = 0;
  bool rendezvous_ = false;
  bool persistent_ = false;  // UCX would keep data_ beyond the handler
  bool received_ = false;
  bool* taken_ = nullptr;  // within the handler: set when UCX must keep data_
  ucp_ep_h reply_ = nullptr;
  std::vector<std::byte> own_header_, own_data_;
};

}  // namespace trireme
