// The run's own part of a state file. Internal to the room.
#pragma once

#include <string>

#include "base/hdf5.h"
#include "checkpoint/content.h"

namespace trireme {

constexpr const char* run_group = "/run";
// Holds run_record().
constexpr const char* record_dataset = "/run/record";

// What does not change while a run lives: attributes of /run.
void write_run_constants(const h5::Handle& file, const CheckpointRun& run);
// The rest, as JSON.
std::string run_record(const CheckpointRun& run);

// Both parts; also as version 1 of the format has them: all in attributes. Throws DataError when they are not
// what was written.
CheckpointRun read_run(const h5::Handle& file);

}  // namespace trireme
