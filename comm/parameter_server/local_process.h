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

}  // namespace trireme
