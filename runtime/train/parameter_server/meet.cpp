#include "train/parameter_server/meet.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "base/atomic_file.h"
#include "base/error.h"
#include "comm/parameter_server/clock.h"
#include "train/placement.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr const char* meeting_name = "parameter_server.json";
constexpr const char* notice_prefix = "parameter_server-";
constexpr std::chrono::milliseconds look_pause{20};

fs::path notice_file(const fs::path& run_directory, const std::string& job) {
  return run_directory / fmt::format("{}{:016x}.json", notice_prefix, fingerprint(job.data(), job.size()));
}

}  // namespace

fs::path meeting_file(const fs::path& run_directory) { return run_directory / meeting_name; }

Met wait_for_meeting(const fs::path& run_directory, const std::string& job, double limit_seconds,
                     const std::function<bool()>& stop) {
  double begin = steady_seconds();
  while (!stop || !stop()) {
    std::optional<ServerMeeting> meeting = read_meeting(meeting_file(run_directory));
    if (meeting && (job.empty() || meeting->job == job)) {
      if (!meeting->over) return {std::move(meeting), std::nullopt};
      bool may_go_on = job.empty() && meeting->end.code == static_cast<int32_t>(ExitCode::stopped);
      if (!may_go_on) return {std::nullopt, meeting->end};
    }
    if (!job.empty()) {
      std::optional<ServerMeeting> notice = read_meeting(notice_file(run_directory, job));
      if (notice && notice->job == job) return {std::nullopt, notice->end};
    }
    if (steady_seconds() - begin > limit_seconds) {
      throw CommError(
          "no parameter server has told within {:.0f} s where it is: {} should say so. Do all processes see "
          "this "
          "folder, and does the first server run?",
          limit_seconds, meeting_file(run_directory).string());
    }
    std::this_thread::sleep_for(look_pause);
  }
  return {};
}

void leave_notice(const fs::path& run_directory, const std::string& job, const EndOfJob& end) {
  if (job.empty()) return;  // a process alone: nobody waits
  try {
    make_directories(run_directory);
    ServerMeeting notice;
    notice.job = job;
    notice.over = true;
    notice.end = end;
    write_meeting(notice_file(run_directory, job), notice);
  } catch (const std::exception&) {
    // They wait in vain, then, and say so.
  }
}

void remove_notices(const fs::path& run_directory) {
  std::error_code error;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(run_directory, error)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with(notice_prefix) && name.ends_with(".json")) found.push_back(entry.path());
  }
  for (const fs::path& one : found) fs::remove(one, error);
}

}  // namespace trireme
