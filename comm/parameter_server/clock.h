// Seconds since some moment, for deadlines.
#pragma once

#include <chrono>

namespace trireme {

inline double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace trireme
