// state.h5: a checkpoint's content as an HDF5 file. Internal to the room.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/hdf5.h"
#include "checkpoint/content.h"

namespace trireme {

constexpr const char* parameters_group = "/parameters";
constexpr const char* optimizer_group = "/optimizer";
constexpr const char* state_group = "/state";
constexpr const char* run_group = "/run";

// The file's bytes, built in memory. Throws CheckpointError when content is inconsistent.
std::vector<std::byte> build_state_file(const CheckpointContent& content);

// The attributes of /run. Throws DataError when they are not what build_state_file writes.
CheckpointRun read_run(const h5::Handle& file);

}  // namespace trireme
