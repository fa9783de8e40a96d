#include "telemetry/process.h"

#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>

#include "base/error.h"

namespace trireme {

double seconds_since_process_start() {
  std::ifstream file("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  // proc(5): field 22 is the start time in clock ticks since boot. Field 2, the name in parentheses, may hold
  // anything, so count from its end: field 3 follows.
  size_t at = text.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  if (at == std::string::npos)
    throw IoError("/proc/self/stat: cannot read this process's start time: is /proc mounted?");
  double ticks = std::strtod(text.c_str() + at + 1, nullptr);
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);  // the clock of field 22, also where time was suspended
  double seconds = static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) -
                   ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return seconds > 0 ? seconds : 0;
}

}  // namespace trireme
