#include "comm/ucx/memory.h"

#include <cstring>
#include <utility>

#include "comm/ucx/endpoint.h"
#include "comm/ucx/status.h"
#include "comm/ucx/worker_state.h"

namespace trireme {

UcxMemory::UcxMemory(UcxContext& context, void* memory, size_t bytes) : context_(context.handle_) {
  ucp_mem_map_params_t params{};
  params.field_mask =
      UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH | UCP_MEM_MAP_PARAM_FIELD_FLAGS;
  params.address = memory;
  params.length = bytes;
  params.flags = memory == nullptr ? UCP_MEM_MAP_ALLOCATE : 0;
  check_ucx(ucp_mem_map(context_.get(), &params, &handle_),
            fmt::format("{} {} bytes for UCX", memory == nullptr ? "allocating" : "registering", bytes));
  ucp_mem_attr_t attributes{};
  attributes.field_mask = UCP_MEM_ATTR_FIELD_ADDRESS | UCP_MEM_ATTR_FIELD_LENGTH;
  const ucs_status_t status = ucp_mem_query(handle_, &attributes);
  if (status != UCS_OK) {
    ucp_mem_unmap(context_.get(), handle_);
    throw UcxError(status, "asking where allocated memory lies");
  }
  bytes_ = {static_cast<std::byte*>(attributes.address), bytes};
}

UcxMemory UcxMemory::allocate(UcxContext& context, size_t bytes) {
  UcxMemory memory(context, nullptr, bytes);
  std::memset(memory.bytes_.data(), 0, bytes);
  return memory;
}

UcxMemory UcxMemory::map(UcxContext& context, void* memory, size_t bytes) {
  if (memory == nullptr) throw CommError("registering memory with UCX: no memory given");
  return UcxMemory(context, memory, bytes);
}

UcxMemory::UcxMemory(UcxMemory&& other) noexcept
    : context_(std::move(other.context_)),
      handle_(std::exchange(other.handle_, nullptr)),
      bytes_(std::exchange(other.bytes_, {})) {}

UcxMemory::~UcxMemory() {
  if (handle_ != nullptr) ucp_mem_unmap(context_.get(), handle_);
}

std::vector<std::byte> UcxMemory::packed_key() const {
  void* packed = nullptr;
  size_t bytes = 0;
  check_ucx(ucp_rkey_pack(context_.get(), handle_, &packed, &bytes), "packing a key to registered memory");
  auto* first = static_cast<const std::byte*>(packed);
  std::vector<std::byte> copy(first, first + bytes);
  ucp_rkey_buffer_release(packed);
  return copy;
}

UcxRemoteKey::UcxRemoteKey(UcxEndpoint& endpoint, std::span<const std::byte> packed)
    : worker_(endpoint.state_->worker) {
  check_ucx(endpoint.failure(), "unpacking a key to memory of " + endpoint.name());
  check_ucx(ucp_ep_rkey_unpack(endpoint.get(), packed.data(), &handle_),
            "unpacking a key to memory of " + endpoint.name());
  worker_->keys.insert(handle_);
}

UcxRemoteKey::UcxRemoteKey(UcxRemoteKey&& other) noexcept
    : worker_(std::move(other.worker_)), handle_(std::exchange(other.handle_, nullptr)) {}

UcxRemoteKey::~UcxRemoteKey() {
  if (handle_ != nullptr && worker_->keys.erase(handle_) > 0) ucp_rkey_destroy(handle_);
}

void* UcxRemoteKey::local_pointer(uint64_t remote_address) const {
  if (!worker_->keys.contains(handle_)) return nullptr;
  void* pointer = nullptr;
  return ucp_rkey_ptr(handle_, remote_address, &pointer) == UCS_OK ? pointer : nullptr;
}

}  // namespace trireme
