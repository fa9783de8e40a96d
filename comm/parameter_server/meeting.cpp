#include "comm/parameter_server/meeting.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"

namespace trireme {
namespace {

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

std::vector<std::byte> bytes_of(const std::string& hex) {
  if (hex.empty() || hex.size() % 2 != 0) throw CommError("an address of {} digits", hex.size());
  std::vector<std::byte> bytes(hex.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i) {
    unsigned value = 0;
    const char* end = hex.data() + 2 * i + 2;
    if (std::from_chars(end - 2, end, value, 16).ptr != end) throw CommError("{} is no address", hex);
    bytes[i] = static_cast<std::byte>(value);
  }
  return bytes;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string launch_identity() {
  std::string identity;
  for (const char* name : {"SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT", "PMIX_NAMESPACE"}) {
    if (std::string value = variable(name); !value.empty()) identity += fmt::format("{}={} ", name, value);
  }
  return identity;
}

void write_meeting(const std::filesystem::path& file, const ServerMeeting& meeting) {
  nlohmann::json servers = nlohmann::json::array();
  for (const ServerCard& card : meeting.servers) {
    servers.push_back({{"server", card.server},
                       {"host", card.host},
                       {"process", card.process},
                       {"space", card.space},
                       {"token", fmt::format("{:016x}", card.token)},
                       {"address", hex(card.address)}});
  }
  nlohmann::json json = {{"version", 1},
                         {"job", meeting.job},
                         {"session", fmt::format("{:016x}", meeting.session)},
                         {"epoch", meeting.epoch},
                         {"coordinator", meeting.coordinator},
                         {"ready", meeting.ready},
                         {"over", meeting.over},
                         {"code", meeting.end.code},
                         {"text", meeting.end.text},
                         {"pieces", meeting.pieces},
                         {"shards", meeting.shards},
                         {"start", meeting.start},
                         {"servers", servers}};
  write_file_atomically(file, json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  std::error_code ignored;
  std::filesystem::permissions(file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write,
                               ignored);
}

std::string meeting_trouble(const std::filesystem::path& file, const std::string& job) {
  std::error_code error;
  std::filesystem::file_status status = std::filesystem::status(file, error);
  if (status.type() == std::filesystem::file_type::not_found) return "there is no such file";
  if (error) return fmt::format("it cannot be looked at: {}", error.message());
  if (status.type() != std::filesystem::file_type::regular) return "it is no file: move it away";
  std::optional<ServerMeeting> meeting = read_meeting(file);
  if (!meeting) {
    try {
      read_file(file);
    } catch (const std::exception& unreadable) {
      return unreadable.what();
    }
    return "it is torn, or of another version: remove it";
  }
  if (!job.empty() && meeting->job != job)
    return fmt::format("it is of another job ({}, not {})",
                       meeting->job.empty() ? "without a name" : meeting->job, job);
  if (meeting->over) return fmt::format("it is of a job that is over: {}", meeting->end.text);
  if (!meeting->ready) return "not all servers have come";
  return "the servers that it names do not answer: it is of a job that has died, or the network is cut";
}

std::optional<ServerMeeting> read_meeting(const std::filesystem::path& file) {
  try {
    if (!std::filesystem::is_regular_file(file)) return std::nullopt;  // reading a pipe would not end
    nlohmann::json json = nlohmann::json::parse(read_file(file));
    if (json.at("version") != 1) return std::nullopt;
    ServerMeeting meeting;
    meeting.job = json.at("job");
    meeting.session = std::stoull(json.at("session").get<std::string>(), nullptr, 16);
    meeting.epoch = json.at("epoch");
    meeting.coordinator = json.at("coordinator");
    meeting.ready = json.at("ready");
    meeting.over = json.at("over");
    meeting.end = {json.at("code"), json.at("text")};
    meeting.pieces = json.at("pieces");
    meeting.shards = json.at("shards");
    meeting.start = json.at("start");
    for (const nlohmann::json& server : json.at("servers")) {
      meeting.servers.push_back({server.at("server"),
                                 std::stoull(server.at("token").get<std::string>(), nullptr, 16),
                                 server.at("process"), server.at("host"), server.at("space"),
                                 bytes_of(server.at("address").get<std::string>())});
    }
    return meeting;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

}  // namespace trireme
