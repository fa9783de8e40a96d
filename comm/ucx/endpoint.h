// The endpoint: the way from a worker to one peer.
#pragma once

#include <ucp/api/ucp.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "comm/ucx/request.h"

namespace trireme {

class UcxRemoteKey;
class UcxWorker;
struct UcxEndpointState;

// Tells of its peer's failure (error mode PEER): every operation under way is done with an error then, and
// every later one at once. No operation throws for what the peer or the network does; they throw CommError
// for wrong use only. Nothing connects before the worker makes progress.
class UcxEndpoint {
 public:
  // To a listener. Returns at once; a peer that is not there shows as a failure. Throws CommError when `host`
  // is unknown.
  static UcxEndpoint connect(UcxWorker& worker, const std::string& host, uint16_t port);
  // To the worker whose UcxWorker::address() it is. Uses shared memory within a host (see README.md). `name`
  // for messages. The address must be one that UCX made: it believes every byte of it.
  static UcxEndpoint connect(UcxWorker& worker, std::span<const std::byte> address,
                             std::string name = "a worker's address");
  // The listener's side of a connection.
  static UcxEndpoint accept(UcxWorker& worker, ucp_conn_request_h request,
                            std::string name = "an accepted peer");

  UcxEndpoint(UcxEndpoint&&) noexcept = default;
  UcxEndpoint& operator=(UcxEndpoint&& other) noexcept;
  ~UcxEndpoint();

  bool connected() const;        // what is asked for earlier waits for it
  bool failed() const;           // or closed
  ucs_status_t failure() const;  // UCS_OK as long as it has not failed; UCS_ERR_CANCELED after close()
  // Called once, from progress(), outside of UCX; at the next progress() when it has failed already. Not for
  // close().
  void on_failure(std::function<void(ucs_status_t)> callback);
  const std::string& name() const;
  ucp_ep_h get() const;  // nullptr once closed

  // Message `id` with `header` (copied; at most UcxWorker::largest_header() bytes) and `bytes` bytes of
  // `data`, which must live until done. Small ones are done when UCX has copied them, large ones (rendezvous)
  // when the peer has fetched or dropped them.
  UcxRequest send(unsigned id, std::span<const std::byte> header, const void* data, size_t bytes,
                  UcxCompletion callback = {});
  // From the peer's memory at its address `remote_address`, registered there, whose key is `key`. `into` and
  // `key` must live until done.
  UcxRequest get(void* into, size_t bytes, uint64_t remote_address, const UcxRemoteKey& key,
                 UcxCompletion callback = {});
  // Done when `from` may be written again; it is there after flush(). The peer is not told.
  UcxRequest put(const void* from, size_t bytes, uint64_t remote_address, const UcxRemoteKey& key,
                 UcxCompletion callback = {});
  // Done when everything before it is done at the peer.
  UcxRequest flush(UcxCompletion callback = {});

  // By force: what is under way is done with an error by the time the worker's progress() says so, soon
  // after. Never waits for the peer. Who wants the peer to get everything waits for flush() first.
  void close();

 private:
  friend class UcxRemoteKey;
  explicit UcxEndpoint(std::shared_ptr<UcxEndpointState> state);
  static UcxEndpoint make(UcxWorker& worker, ucp_ep_params_t& params, std::string name);
  std::shared_ptr<UcxEndpointState> state_;
};

}  // namespace trireme
