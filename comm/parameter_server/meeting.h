// Where the processes of a job find each other: a file on the shared file system, in the run directory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "comm/parameter_server/messages.h"

namespace trireme {

struct ServerMeeting {
  std::string job;       // of the launch: launch_identity()
  uint64_t session = 0;  // drawn by the first coordinator; who does not know it is refused
  uint64_t epoch = 0;    // of the shard map
  int32_t coordinator = 0;
  bool ready = false;  // all servers are there
  bool over = false;
  EndOfJob end;  // where it is over
  int32_t pieces = 0;
  int32_t shards = 0;
  int64_t start = 0;  // what the layer above wants workers to know of where the run begins
  std::vector<ServerCard> servers;
};

// What tells one launch from another, from the launcher's environment; "" without a launcher.
std::string launch_identity();

// Whole or not at all; readable by the user alone. Throws IoError.
void write_meeting(const std::filesystem::path& file, const ServerMeeting& meeting);
// nullopt where there is none, or none that can be understood (a newer version's, a torn copy).
std::optional<ServerMeeting> read_meeting(const std::filesystem::path& file);
// For who has waited in vain: why what lies there is of no use to members of `job` (empty: of any).
std::string meeting_trouble(const std::filesystem::path& file, const std::string& job);

}  // namespace trireme
