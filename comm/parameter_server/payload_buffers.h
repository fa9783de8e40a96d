// Memory for payloads, used again and again: fresh memory of many megabytes costs more than filling it.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "base/buffer.h"

namespace trireme {

class PayloadBuffers {
 public:
  // At least `bytes` bytes; comes back here when the last owner lets it go, on any thread, also after this
  // object is gone.
  std::shared_ptr<Buffer> take(size_t bytes) {
    std::unique_ptr<Buffer> buffer;
    {
      std::lock_guard lock(state_->mutex);
      for (auto free = state_->free.begin(); free != state_->free.end(); ++free) {
        if ((*free)->bytes() < bytes || (*free)->bytes() > 2 * bytes + 4096) continue;
        buffer = std::move(*free);
        state_->free.erase(free);
        break;
      }
    }
    if (!buffer) buffer = std::make_unique<Buffer>(bytes);
    return {buffer.release(), [state = state_](Buffer* used) {
              std::unique_ptr<Buffer> owned(used);
              std::lock_guard lock(state->mutex);
              if (state->free.size() >= most_free) state->free.erase(state->free.begin());
              state->free.push_back(std::move(owned));
            }};
  }

 private:
  static constexpr size_t most_free = 16;
  struct State {
    std::mutex mutex;
    std::vector<std::unique_ptr<Buffer>> free;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace trireme
