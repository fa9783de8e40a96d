// The context: UCX as this process configures it, and the memory and workers that come of it.
#pragma once

#include <ucp/api/ucp.h>

#include <memory>
#include <string>

namespace trireme {

struct UcxOptions {
  // UCX_TLS: the transports that may be taken, "tcp" or "posix,cma,tcp,self" for instance. Empty: what the
  // environment says, or else UCX's own choice.
  std::string transports = "";
  // How often UCX looks whether peers that say nothing are still there. What it costs is a wake-up of every
  // worker at that pace.
  double keepalive_seconds = 1;
};

// Active messages, gets and puts, wake-up; peers' failures are noticed over shared memory too. Any number of
// threads may make workers of it at once. It lives until the last worker and memory of it are gone, whatever
// the order of destruction.
class UcxContext {
 public:
  // Throws UcxError when UCX finds no transport, or not the ones asked for.
  explicit UcxContext(const UcxOptions& options = {});
  ucp_context_h get() const { return handle_.get(); }

 private:
  friend class UcxWorker;
  friend class UcxMemory;
  std::shared_ptr<ucp_context> handle_;
};

}  // namespace trireme
