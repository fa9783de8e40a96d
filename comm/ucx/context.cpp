#include "comm/ucx/context.h"

#include <cstdlib>

#include "comm/ucx/status.h"

namespace trireme {
namespace {

void set(ucp_config_t* config, const char* key, const std::string& value) {
  check_ucx(ucp_config_modify(config, key, value.c_str()), fmt::format("UCX_{}={}", key, value));
}

// Whether these transports (a value of UCX_TLS) may hold one that maps the peer's memory. UCX warns of a
// setting that nobody reads.
bool may_share_memory(const std::string& transports) {
  if (transports.empty()) return true;
  bool excludes = transports.front() == '^';
  if (excludes) return transports.find("posix") == std::string::npos || transports.find("sysv") == std::string::npos;
  for (const char* name : {"all", "sm", "shm", "shared_memory", "mm", "posix", "sysv", "xpmem"}) {
    if (transports.find(name) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

UcxContext::UcxContext(const UcxOptions& options) {
  // One event a look: with several, a connection that fails is closed by the first, and the second aborts the
  // process (UCX 1.13, tcp_iface.c:307). ucp_config_modify does not reach this one.
  ::setenv("UCX_TCP_MAX_POLL", "1", /*overwrite=*/0);
  ucp_config_t* read = nullptr;
  check_ucx(ucp_config_read(nullptr, nullptr, &read),
            "reading UCX's configuration (UCX_* in the environment)");
  std::unique_ptr<ucp_config_t, decltype(&ucp_config_release)> config(read, ucp_config_release);
  if (!options.transports.empty()) set(read, "TLS", options.transports);
  // Without it an endpoint that tells of failures does without shared memory.
  const char* environment = std::getenv("UCX_TLS");
  if (may_share_memory(!options.transports.empty() ? options.transports : environment ? environment : "")) {
    set(read, "MM_ERROR_HANDLING", "y");
  }
  set(read, "KEEPALIVE_INTERVAL", fmt::format("{:.0f}ms", options.keepalive_seconds * 1e3));

  ucp_params_t params{};
  params.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_MT_WORKERS_SHARED | UCP_PARAM_FIELD_NAME;
  params.features = UCP_FEATURE_AM | UCP_FEATURE_RMA | UCP_FEATURE_WAKEUP;
  params.mt_workers_shared = 1;
  params.name = "trireme";
  ucp_context_h made = nullptr;
  check_ucx(ucp_init(&params, read, &made),
            options.transports.empty()
                ? std::string("starting UCX")
                : fmt::format("starting UCX with the transports {}", options.transports));
  handle_ = std::shared_ptr<ucp_context>(made, ucp_cleanup);
}

}  // namespace trireme
