// What comm_ucx_peer (peer.cpp) and the tests that start it say to each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::test {

/** Numbers of messages to the peer, and of its own. */
enum PeerMessage : unsigned {
  kEcho = 1,  ///< answers kEchoed with the same header and data
  kEchoed = 2,
  kHold = 3,    ///< keeps the message, unreceived
  kDrop = 4,    ///< does nothing
  kSendMe = 5,  ///< answers kSent with as many bytes of data as the header's uint64_t says
  kSent = 6,
  kAddress = 7,  ///< data is the sender's worker address: answers go there from now on
  kHeld = 8,     ///< the answer to kHold
};

inline std::string to_hex(const std::vector<std::byte>& bytes) {
  std::string text;
  for (std::byte one : bytes) {
    for (int nibble : {static_cast<int>(one) >> 4, static_cast<int>(one) & 15})
      text += "0123456789abcdef"[nibble];
  }
  return text.empty() ? "-" : text;
}

inline std::vector<std::byte> from_hex(const std::string& text) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

}  // namespace trireme::test
