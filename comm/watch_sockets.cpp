#include "comm/watch_sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "comm/world.h"

namespace trireme {
namespace {

void prepare(int descriptor) {
  ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  int yes = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

bool is_loopback(uint32_t address) { return (ntohl(address) >> 24) == 127; }

void list_addresses(WatchAddress& address) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return;
  size_t found = 0;
  for (const ifaddrs* one = list; one != nullptr && found < address.addresses.size(); one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET || (one->ifa_flags & IFF_UP) == 0)
      continue;
    sockaddr_in inet{};
    std::memcpy(&inet, one->ifa_addr, sizeof inet);
    address.addresses[found++] = inet.sin_addr.s_addr;
  }
  ::freeifaddrs(list);
}

Socket connect_once(uint32_t host, uint16_t port, int milliseconds) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.open()) return socket;
  prepare(socket.descriptor());
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = host;
  if (::connect(socket.descriptor(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return socket;
  pollfd waiting{socket.descriptor(), POLLOUT, 0};
  int error = errno;
  socklen_t size = sizeof error;
  bool answered = error == EINPROGRESS && ::poll(&waiting, 1, milliseconds) == 1 &&
                  ::getsockopt(socket.descriptor(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
  if (!answered) socket.close();
  return socket;
}

}  // namespace

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

Socket::~Socket() { close(); }

void Socket::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

void FrameSocket::send(const WatchFrame& frame) {
  if (!open()) return;
  // A frame is far smaller than a socket's buffer: it goes whole or not at all, but for a peer that has not
  // read for a very long time, who is given up then.
  ssize_t sent = ::send(descriptor(), &frame, sizeof frame, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0 && sent != static_cast<ssize_t>(sizeof frame)) close();
}

bool FrameSocket::receive(WatchFrame& frame) {
  if (!open()) return false;
  ssize_t got = ::recv(descriptor(), inbox_.data() + filled_, inbox_.size() - filled_, MSG_DONTWAIT);
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) close();
  if (got <= 0) return false;
  filled_ += static_cast<size_t>(got);
  if (filled_ < inbox_.size()) return false;
  std::memcpy(&frame, inbox_.data(), sizeof frame);
  filled_ = 0;
  return true;
}

Socket listen_anywhere(WatchAddress& address) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_ANY);
  socklen_t size = sizeof here;
  bool good = socket.open() && ::bind(socket.descriptor(), reinterpret_cast<sockaddr*>(&here), size) == 0 &&
              ::listen(socket.descriptor(), SOMAXCONN) == 0 &&
              ::getsockname(socket.descriptor(), reinterpret_cast<sockaddr*>(&here), &size) == 0;
  if (!good) {
    throw CommError(
        "rank 0 on {}: the watchdog cannot listen: {}; set comm.timeout_seconds to 0 to do without it",
        host_name(), std::strerror(errno));
  }
  prepare(socket.descriptor());
  address.port = ntohs(here.sin_port);
  std::strncpy(address.host.data(), host_name().c_str(), address.host.size() - 1);
  list_addresses(address);
  if (::getrandom(&address.token, sizeof address.token, 0) != static_cast<ssize_t>(sizeof address.token)) {
    throw CommError("rank 0 on {}: the watchdog got no random number: {}", host_name(), std::strerror(errno));
  }
  return socket;
}

Socket connect_to(const WatchAddress& address, double seconds) {
  bool same_host = host_name() == address.host.data();
  auto milliseconds = static_cast<int>(seconds * 1000);
  for (bool loopback : {true, false}) {
    if (loopback && !same_host) continue;
    for (uint32_t host : address.addresses) {
      if (host == 0 || is_loopback(host) != loopback) continue;
      Socket socket = connect_once(host, address.port, milliseconds);
      if (socket.open()) return socket;
    }
  }
  return Socket();
}

Socket accept_from(const Socket& listener) {
  Socket socket(::accept4(listener.descriptor(), nullptr, nullptr, SOCK_CLOEXEC));
  if (socket.open()) prepare(socket.descriptor());
  return socket;
}

}  // namespace trireme
