#include "checkpoint/holder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>
#include <system_error>
#include <thread>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/program_output.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr double queue_limit_seconds = 10;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string first_line(const fs::path& path) {
  std::ifstream stream(path);
  std::string line;
  std::getline(stream, line);
  return line;
}

std::string own_pid_namespace() {
  std::error_code error;
  return fs::read_symlink("/proc/self/ns/pid", error).string();
}

struct ProcessState {
  char letter = 0;    // R, S, D, Z, ...
  int64_t start = 0;  // clock ticks after boot
};

// Fields 3 and 22 of /proc/PID/stat (proc(5)); nothing when there is no such process. The second field, the
// program's name in brackets, may hold anything: the last bracket ends it.
std::optional<ProcessState> process_state(int64_t pid) {
  std::string line = first_line(fmt::format("/proc/{}/stat", pid));
  size_t end = line.rfind(')');
  if (end == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(end + 1));
  ProcessState state;
  fields >> state.letter;
  std::string skipped;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  fields >> state.start;
  if (!fields) return std::nullopt;
  return state;
}

bool is_of_this_system(const Holder& holder, const Holder& own) {
  return holder.host == own.host && holder.boot_id == own.boot_id && !own.boot_id.empty() &&
         holder.pid_namespace == own.pid_namespace && !own.pid_namespace.empty();
}

bool process_lives(const Holder& holder) {
  std::optional<ProcessState> state = process_state(holder.pid);
  return state && state->letter != 'Z' && state->letter != 'X' && state->start == holder.process_start;
}

// States of squeue(1) in which nothing of a job runs: waiting (a pending job was requeued, or never ran), or
// over. Not COMPLETING: what was sent TERM may still be saving.
constexpr std::array<std::string_view, 15> not_running{
    "PENDING",   "REQUEUED",      "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT",
    "BOOT_FAIL", "CANCELLED",     "COMPLETED",    "DEADLINE",    "FAILED",
    "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",    "REVOKED",     "TIMEOUT"};

// Whether SLURM has the job on nodes now; nothing when it cannot be asked.
std::optional<bool> job_runs(const std::string& job_id) {
  auto answer = ask_program({"squeue", "-h", "-t", "all", "-j", job_id, "-o", "%A %T"}, queue_limit_seconds);
  if (!answer) return std::nullopt;
  if (answer->code != 0) {
    bool unknown = answer->errors.find("Invalid job id") != std::string::npos;
    return unknown ? std::optional(false) : std::nullopt;
  }
  std::istringstream lines(answer->output);
  std::string id, state;
  while (lines >> id >> state) {  // of an array's first task, other tasks' lines come along
    if (id != job_id) continue;
    if (std::find(not_running.begin(), not_running.end(), state) == not_running.end()) return true;
  }
  return false;
}

// By opening: on NFS that asks the server, while stat may answer from a cache up to a minute old.
std::optional<timespec> modified(const fs::path& workshop) {
  int file = ::open((workshop / Holder::living_name).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  struct stat status {};
  bool good = ::fstat(file, &status) == 0;
  ::close(file);
  if (!good) return std::nullopt;
  return status.st_mtim;
}

bool heart_beats(const fs::path& workshop, double silence_seconds) {
  using Clock = std::chrono::steady_clock;
  constexpr double period = 0.05;
  auto first = modified(workshop);
  // Time in which one could not look (this process stopped, the file system hanging) is no silence.
  for (double silent = 0; silent < silence_seconds;) {
    Clock::time_point before = Clock::now();
    std::this_thread::sleep_for(std::chrono::duration<double>(period));
    auto now = modified(workshop);
    silent += std::min(std::chrono::duration<double>(Clock::now() - before).count(), 2 * period);
    if (!now) {
      if (fs::exists(workshop / Holder::ended_name)) return false;
      continue;
    }
    if (!first || now->tv_sec != first->tv_sec || now->tv_nsec != first->tv_nsec) return true;
  }
  return false;
}

}  // namespace

Holder own_holder() {
  Holder holder;
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  holder.host = host;
  holder.pid = ::getpid();
  if (auto state = process_state(holder.pid)) holder.process_start = state->start;
  holder.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  holder.pid_namespace = own_pid_namespace();
  holder.job_id = environment("SLURM_JOB_ID");
  holder.step_id = environment("SLURM_STEP_ID");
  holder.restart_count = environment("SLURM_RESTART_COUNT");
  holder.cluster = environment("SLURM_CLUSTER_NAME");
  return holder;
}

std::string holder_json(const Holder& holder) {
  nlohmann::ordered_json object = {{"start", holder.start},
                                   {"host", holder.host},
                                   {"pid", holder.pid},
                                   {"process_start", holder.process_start},
                                   {"boot_id", holder.boot_id},
                                   {"pid_namespace", holder.pid_namespace},
                                   {"slurm_job", holder.job_id},
                                   {"slurm_step", holder.step_id},
                                   {"slurm_restart_count", holder.restart_count},
                                   {"slurm_cluster", holder.cluster},
                                   {"newest_step", holder.newest_step},
                                   {"starts_without_progress", holder.starts_without_progress},
                                   {"emptied", holder.emptied},
                                   {"done", holder.done}};
  return object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

std::optional<Holder> read_holder(const fs::path& workshop) {
  std::error_code ignored;
  bool ended = fs::exists(workshop / Holder::ended_name, ignored);
  try {
    auto object =
        nlohmann::json::parse(read_file(workshop / (ended ? Holder::ended_name : Holder::living_name)));
    Holder holder;
    holder.start = object.at("start").get<int64_t>();
    holder.host = object.at("host").get<std::string>();
    holder.pid = object.at("pid").get<int64_t>();
    holder.process_start = object.at("process_start").get<int64_t>();
    holder.boot_id = object.at("boot_id").get<std::string>();
    holder.pid_namespace = object.at("pid_namespace").get<std::string>();
    holder.job_id = object.at("slurm_job").get<std::string>();
    holder.step_id = object.at("slurm_step").get<std::string>();
    holder.restart_count = object.value("slurm_restart_count", "");
    holder.cluster = object.value("slurm_cluster", "");
    holder.newest_step = object.at("newest_step").get<int64_t>();
    holder.starts_without_progress = object.at("starts_without_progress").get<int64_t>();
    holder.emptied = object.at("emptied").get<bool>();
    holder.done = object.at("done").get<bool>();
    holder.ended = ended;
    return holder;
  } catch (const Error&) {
  } catch (const nlohmann::json::exception&) {
  }
  if (!ended) return std::nullopt;
  Holder holder;  // nobody knows who, but it has ended
  holder.ended = true;
  return holder;
}

bool is_same_job(const Holder& one, const Holder& other) {
  return !one.job_id.empty() && one.job_id == other.job_id && one.cluster == other.cluster;
}

std::string describe(const Holder& holder) {
  std::string process = fmt::format("process {} on {}, start {}", holder.pid, holder.host, holder.start);
  return holder.job_id.empty() ? process : fmt::format("SLURM job {} ({})", holder.job_id, process);
}

bool lives(const fs::path& workshop, const std::optional<Holder>& holder, const Patience& patience) {
  if (holder) {
    if (holder->ended) return false;
    Holder own = own_holder();
    if (is_of_this_system(*holder, own)) return process_lives(*holder);
    if (is_same_job(*holder, own)) return false;
    // Another cluster's job numbers say nothing here.
    if (!holder->job_id.empty() && (own.cluster.empty() || own.cluster == holder->cluster)) {
      auto runs = job_runs(holder->job_id);
      if (runs && !*runs) return false;
    }
  }
  if (patience.tell) {
    patience.tell(fmt::format("{} may hold the run: looking up to {:.0f} s for a sign of life",
                              holder ? describe(*holder) : workshop.string(), patience.silence_seconds));
  }
  return heart_beats(workshop, patience.silence_seconds);
}

}  // namespace trireme
