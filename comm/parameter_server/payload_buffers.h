// Memory for payloads, used again and again: fresh memory of many megabytes costs more than filling it.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "comm/parameter_server/shared_bytes.h"

namespace trireme {

// Shared, so that a server on the same machine need not have it sent.
class PayloadBuffers {
 public:
  // At least `bytes` bytes; comes back here when the last owner lets it go, on any thread, also after this
  // object is gone.
  std::shared_ptr<SharedBytes> take(size_t bytes) {
    std::shared_ptr<SharedBytes> buffer;
    {
      std::lock_guard lock(state_->mutex);
      for (auto free = state_->free.begin(); free != state_->free.end(); ++free) {
        if ((*free)->size() < bytes || (*free)->size() > 2 * bytes + 4096) continue;
        buffer = std::move(*free);
        state_->free.erase(free);
        break;
      }
    }
    if (!buffer) buffer = SharedBytes::create(bytes);
    SharedBytes* used = buffer.get();
    return {used, [state = state_, buffer](SharedBytes*) mutable {
              std::lock_guard lock(state->mutex);
              if (state->retired.erase(buffer.get()) > 0) return;
              if (state->free.size() >= most_free) state->free.erase(state->free.begin());
              state->free.push_back(std::move(buffer));
            }};
  }

  // It will not be used again: somebody else may go on reading it. What he has opened stays his.
  void retire(const std::shared_ptr<SharedBytes>& buffer) {
    if (buffer == nullptr) return;
    std::lock_guard lock(state_->mutex);
    state_->retired.insert(buffer.get());
  }

 private:
  static constexpr size_t most_free = 16;
  struct State {
    std::mutex mutex;
    std::vector<std::shared_ptr<SharedBytes>> free;
    std::set<const SharedBytes*> retired;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace trireme
