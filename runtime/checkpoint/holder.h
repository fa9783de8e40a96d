// Who holds a run: what a start says of itself in its workshop, and whether it lives. Internal to the room.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace trireme {

struct Holder {
  // The name of its file in the workshop; renamed to ended_name when the start ends, which works on a full
  // disk too.
  static constexpr const char* living_name = "holder.json";
  static constexpr const char* ended_name = "ended.json";

  int64_t start = 0;
  std::string host;
  int64_t pid = 0;
  int64_t process_start = 0;  // clock ticks after boot: with the pid it names one process
  std::string boot_id;
  std::string pid_namespace;
  std::string job_id;  // SLURM's; empty outside of it, like the next three
  std::string step_id;
  std::string restart_count;
  std::string cluster;
  int64_t newest_step = -1;             // that the run could go on from when this start began
  int64_t starts_without_progress = 0;  // in a row, of one SLURM job, this one included
  bool emptied = false;                 // a start of this job with --fresh has emptied the run directory
  bool done = false;                    // the run has come to its end
  bool ended = false;                   // by the file's name
};

// This process.
Holder own_holder();
std::string holder_json(const Holder& holder);
// Of a workshop; nothing when there is none or it is damaged.
std::optional<Holder> read_holder(const std::filesystem::path& workshop);
// Whether both are starts of one SLURM job.
bool is_same_job(const Holder& one, const Holder& other);
// "SLURM job 17 (process 4711 on n2, start 4)"
std::string describe(const Holder& holder);

// How long a holder is watched for a sign of life when nothing else is known, and who is told of it.
struct Patience {
  double silence_seconds = 20;
  std::function<void(const std::string&)> tell;
};

// Whether the holder of `workshop` (nothing: its file is damaged or not there yet) lives, as a start of this
// process must see it:
//   1. it has ended: no;
//   2. it is a process of this host, boot and pid namespace: as the system says (a zombie is dead);
//   3. an earlier start of the same SLURM job: no, since SLURM starts a job anew, or its script a step, when
//   the one
//      before is over, or cut off (fencing makes this safe);
//   4. another SLURM job: no, when SLURM's queue can be read and does not have it running;
//   5. else by its heartbeat: its file's time of modification changes within `patience` (only values of that
//   one clock
//      are compared).
bool lives(const std::filesystem::path& workshop, const std::optional<Holder>& holder,
           const Patience& patience);

}  // namespace trireme
