// The few sockets that the watchdog needs: TCP over IPv4, fixed-size frames.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "comm/watch_table.h"

namespace trireme {

enum class WatchWord : uint32_t { hello, status, goodbye, failing, beat, end };

// What goes over a connection, in the byte order of the machine: a job's nodes are alike.
struct WatchFrame {
  WatchWord word = WatchWord::status;
  int32_t rank = 0;
  uint64_t token = 0;  // of the job: a stranger does not know it
  int32_t code = 0;    // end: the exit code
  uint32_t unused = 0;
  RankStatus status = {};
};

// Owns a descriptor.
class Socket {
 public:
  explicit Socket(int descriptor = -1) : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();
  int descriptor() const { return descriptor_; }
  bool open() const { return descriptor_ >= 0; }
  void close();

 private:
  int descriptor_;
};

// A connection that carries frames. Never blocks.
class FrameSocket {
 public:
  explicit FrameSocket(Socket socket) : socket_(std::move(socket)) {}
  int descriptor() const { return socket_.descriptor(); }
  bool open() const { return socket_.open(); }
  // Where the peer's buffer is full the frame is dropped: the next one says more.
  void send(const WatchFrame& frame);
  // Takes what has come; the connection is closed at its end or error. True with a whole frame.
  bool receive(WatchFrame& frame);
  void close() { socket_.close(); }

 private:
  Socket socket_;
  std::array<char, sizeof(WatchFrame)> inbox_{};
  size_t filled_ = 0;
};

// How rank 0's watchdog can be reached, as all ranks are told.
struct WatchAddress {
  std::array<char, 64> host{};
  std::array<uint32_t, 16> addresses{};  // IPv4, network byte order; 0: no more
  uint16_t port = 0;
  uint64_t token = 0;
};

// Listens on a port of the system's choice on all interfaces, and says how to get there. CommError when the
// system refuses.
Socket listen_anywhere(WatchAddress& address);
// Tries all addresses in turn, loopback first on rank 0's own host. Not open when none of them answers within
// `seconds`.
Socket connect_to(const WatchAddress& address, double seconds);
// A connection that waits to be accepted, or one that is not open.
Socket accept_from(const Socket& listener);

}  // namespace trireme
