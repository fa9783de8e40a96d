// Where the ranks of a group sit, and that they agree on what they are about to do.
#pragma once

#include <cstdint>
#include <string_view>

#include "comm/communicator.h"

namespace trireme {

struct Placement {
  int hosts = 1;           // different nodes in the group
  int cores = 1;           // this process may run on
  int host = 0;            // of those, which is this one, in the order of their lowest ranks
  bool leads_host = true;  // this rank is its host's lowest
  int core_sharers = 1;    // ranks on this node whose cores overlap with this one's, itself included
  // Cores a rank may keep busy: cores / core_sharers, at least 1.
  int threads() const;
};

// Collective. Ranks bound to cores of their own share none; unbound ranks of one node share all.
Placement place_ranks(Communicator& communicator);

// A 64-bit fingerprint of bytes (FNV-1a over 8-byte words), to compare ranks with; not cryptographic.
uint64_t fingerprint(const void* data, size_t bytes);

// Collective. Throws CommError "WHAT differ between ranks: 0 and 3, 5" when `value` is not the same on all.
void require_agreement(Communicator& communicator, std::string_view what, uint64_t value);

}  // namespace trireme
