#include "comm/ucx/socket_address.h"

#include <netdb.h>
#include <netinet/in.h>

#include <cstring>

#include "base/error.h"

namespace trireme {

SocketAddress::SocketAddress(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int trouble = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (trouble != 0) throw CommError("the host \"{}\": {}", host, gai_strerror(trouble));
  std::memcpy(&address_, found->ai_addr, found->ai_addrlen);
  length_ = found->ai_addrlen;
  freeaddrinfo(found);
}

SocketAddress::SocketAddress(const sockaddr_storage& address)
    : address_(address),
      length_(address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in)) {}

uint16_t SocketAddress::port() const {
  return ntohs(address_.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&address_)->sin6_port
                                              : reinterpret_cast<const sockaddr_in*>(&address_)->sin_port);
}

std::string SocketAddress::name() const {
  char host[NI_MAXHOST] = "?";
  getnameinfo(reinterpret_cast<const sockaddr*>(&address_), length_, host, sizeof(host), nullptr, 0,
              NI_NUMERICHOST);
  return fmt::format("{}:{}", host, port());
}

}  // namespace trireme
