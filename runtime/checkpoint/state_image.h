// A shard of the state as an HDF5 file in memory, laid out once and filled again at every save. Internal to
// the room.
//
// Names and shapes do not change while a run lives, so neither does the file but for the values in it: HDF5
// lays the file out once, with room for every tensor, and a save copies tensors to their places. What changes
// beside them (the step and the like) is one text of fixed room. So a save costs one copy of the state, and
// what is copied to is what is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/hashed_file.h"
#include "checkpoint/content.h"

namespace trireme {

constexpr const char* parameters_group = "/parameters";
constexpr const char* optimizer_group = "/optimizer";
constexpr const char* state_group = "/state";

class StateImage {
 public:
  // Lays out the file for content of these names and shapes. Throws CheckpointError when content is
  // inconsistent (a shape that does not fit its values, a name used twice or empty), IoError.
  // HDF5 writes its own part into `layout`, a file that is removed at once: what is reserved in it takes no
  // room there.
  StateImage(const CheckpointContent& content, const std::filesystem::path& layout);

  // Whether `content` has the names and shapes, and the constant part of the run, that the file was laid out
  // for.
  bool fits(const CheckpointContent& content) const;
  // Copies the values in, with so many threads. `content` fits. False when a parameter is not a finite
  // number: looked at on the way, since the values are in the cache then.
  bool fill(const CheckpointContent& content, int threads);

  // Where the values of an optimizer slot's tensor go that content has `later`; null when it is not in this
  // file. To be filled between fill() and the write.
  float* place(const std::string& slot, const std::string& tensor);

  const PageMemory& memory() const { return memory_; }

 private:
  // In the order of content: parameters, slots, states.
  std::vector<size_t> addresses_;
  size_t record_address_ = 0;
  size_t record_bytes_ = 0;
  std::map<std::string, size_t> slot_addresses_;  // by slot/tensor
  std::string identity_;
  PageMemory memory_;
};

}  // namespace trireme
