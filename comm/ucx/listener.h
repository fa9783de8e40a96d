// The listener: a TCP port where endpoints connect to.
#pragma once

#include <ucp/api/ucp.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace trireme {

class UcxWorker;
struct UcxListenerState;

class UcxListener {
 public:
  // Called from progress(), outside of UCX, with the request and the peer's "ADDRESS:PORT". Must
  // UcxEndpoint::accept() it (on this worker) or reject() it; one that it leaves by an exception before
  // either is lost with the listener.
  using ConnectionHandler = std::function<void(ucp_conn_request_h, std::string)>;

  // Listens at `host` (a name or address; "0.0.0.0" for everywhere) and `port`, 0 for a free one. Throws
  // UcxError when the port is taken.
  UcxListener(UcxWorker& worker, const std::string& host, uint16_t port, ConnectionHandler handler);
  UcxListener(UcxListener&&) noexcept = default;
  UcxListener& operator=(UcxListener&&) = delete;
  ~UcxListener();

  uint16_t port() const;
  void reject(ucp_conn_request_h request);

 private:
  std::shared_ptr<UcxListenerState> state_;
};

}  // namespace trireme
