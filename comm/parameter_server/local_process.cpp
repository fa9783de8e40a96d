#include "comm/parameter_server/local_process.h"

#include <signal.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace trireme {

std::string process_space() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  std::getline(file, boot);
  std::error_code error;
  std::filesystem::path space = std::filesystem::read_symlink("/proc/self/ns/pid", error);
  if (boot.empty() || error) return "";
  return boot + " " + space.string();
}

std::string ucx_transports(const std::string& asked) {
  if (!asked.empty()) return asked;
  return std::getenv("UCX_TLS") != nullptr ? "" : "^posix,sysv";
}

bool process_is_gone(int64_t process) {
  return ::kill(static_cast<pid_t>(process), 0) != 0 && errno == ESRCH;
}

}  // namespace trireme
