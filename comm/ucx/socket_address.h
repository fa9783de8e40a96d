// A host and port as the system's calls and UCX want them. For comm/ucx/*.cpp.
#pragma once

#include <sys/socket.h>
#include <ucp/api/ucp.h>
#include <ucs/type/status.h>

#include <cstdint>
#include <string>

namespace trireme {

class SocketAddress {
 public:
  // Throws CommError when the host is unknown.
  SocketAddress(const std::string& host, uint16_t port);
  explicit SocketAddress(const sockaddr_storage& address);

  ucs_sock_addr_t for_ucx() const { return {reinterpret_cast<const sockaddr*>(&address_), length_}; }
  uint16_t port() const;
  std::string name() const;  // "ADDRESS:PORT"

 private:
  sockaddr_storage address_{};
  socklen_t length_ = 0;
};

}  // namespace trireme
