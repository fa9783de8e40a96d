// How the processes of a launch find each other, or hear that there is nothing to do.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "comm/parameter_server/meeting.h"

namespace trireme {

// Where the servers of the run that lives in `run_directory` say how they are reached.
std::filesystem::path meeting_file(const std::filesystem::path& run_directory);

struct Met {
  std::optional<ServerMeeting> meeting;  // one that is under way
  std::optional<EndOfJob> over;          // the job is over, or has not come to begin
};

// Waits until server 0 of `job` has written the meeting (it need not be ready), or the job is over. An empty
// `job`: whatever run is there; one that was stopped is waited for, since it may be about to go on. Nothing
// in both when stop() turns true. Throws CommError after `limit_seconds`.
Met wait_for_meeting(const std::filesystem::path& run_directory, const std::string& job, double limit_seconds,
                     const std::function<bool()>& stop);

// Server 0 could not begin, or has nothing to do: tells those of its launch who wait for the meeting, in a
// file of their own, since the meeting may be another job's. What cannot be written is not told.
void leave_notice(const std::filesystem::path& run_directory, const std::string& job, const EndOfJob& end);
// Of earlier launches.
void remove_notices(const std::filesystem::path& run_directory);

}  // namespace trireme
