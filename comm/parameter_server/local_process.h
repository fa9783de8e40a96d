// Whether a process of this very machine is still there: the quickest way to notice a death.
#pragma once

#include <cstdint>
#include <string>

namespace trireme {

// Names the machine, its boot and the process namespace: processes with equal names see each other. Empty
// where the system does not tell.
std::string process_space();

// That the process is gone for sure.
bool process_is_gone(int64_t process);

// UCX_TLS where the config leaves it open: all but UCX's own shared memory, whose queues stand still for ever
// for everybody when a sender is killed in the middle of an entry. Empty where the environment says UCX_TLS.
std::string ucx_transports(const std::string& asked);

}  // namespace trireme
