// Memory that peers may read and write, and the keys to theirs.
#pragma once

#include <ucp/api/ucp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "comm/ucx/context.h"

namespace trireme {

class UcxEndpoint;
struct UcxWorkerState;

// Registered memory. Peers must have stopped using it before it is destroyed.
class UcxMemory {
 public:
  // UCX's own, zeroed, of a kind that processes of this host can map. Throws UcxError where there is not
  // enough, naming the bytes.
  static UcxMemory allocate(UcxContext& context, size_t bytes);
  // The caller's, which must outlive this. Gets of it on the same host go through the kernel (cma), where it
  // allows them, or tcp.
  static UcxMemory map(UcxContext& context, void* memory, size_t bytes);

  UcxMemory(UcxMemory&& other) noexcept;
  UcxMemory& operator=(UcxMemory&&) = delete;
  ~UcxMemory();

  std::span<std::byte> bytes() const { return bytes_; }
  uint64_t address() const { return reinterpret_cast<uint64_t>(bytes_.data()); }  // what peers call it
  std::vector<std::byte> packed_key() const;  // for UcxRemoteKey at the peers

 private:
  UcxMemory(UcxContext& context, void* memory, size_t bytes);
  std::shared_ptr<ucp_context> context_;
  ucp_mem_h handle_ = nullptr;
  std::span<std::byte> bytes_;
};

// The key to a peer's memory, by way of one endpoint. `packed` must be what the peer's packed_key() said: UCX
// believes every byte.
class UcxRemoteKey {
 public:
  UcxRemoteKey(UcxEndpoint& endpoint, std::span<const std::byte> packed);
  UcxRemoteKey(UcxRemoteKey&& other) noexcept;
  UcxRemoteKey& operator=(UcxRemoteKey&&) = delete;
  ~UcxRemoteKey();

  ucp_rkey_h get() const { return handle_; }
  // Where this process sees the peer's `remote_address`, valid as long as the key; nullptr where it does not
  // (another host, memory that is not allocate()'s).
  void* local_pointer(uint64_t remote_address) const;

 private:
  std::shared_ptr<UcxWorkerState> worker_;
  ucp_rkey_h handle_ = nullptr;
};

}  // namespace trireme
