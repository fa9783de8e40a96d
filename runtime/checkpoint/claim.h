// A start's claim to a run: one start at a time writes into a run directory, and one that has been taken for
// dead can no longer commit.
//
// Every start has a number and a folder of its own, `checkpoints`/start-0004/, its workshop; the highest
// number is the claim that counts. To claim a run: make the folder aside, with holder.json in it, and rename
// it to the next number (which succeeds for one contender alone, since a rename never replaces a folder that
// holds a file); then rename all lower workshops into one's own. A checkpoint is committed by renaming its
// manifest out of the workshop, so a writer on a cut-off node whose workshop has been taken finds no file to
// rename: there is no moment between a look and a deed. The last workshop stays when a run ends, so that
// numbers only rise.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"

namespace trireme {

// Another start holds the run, or has taken it over from this one. Names the holder (SLURM job, host, pid).
struct ClaimError : CodedError<ExitCode::usage> {
  using CodedError::CodedError;
};
// The job has been started again too often without a newer checkpoint.
struct NoProgressError : CodedError<ExitCode::internal> {
  using CodedError::CodedError;
};

struct Holder;

struct ClaimOptions {
  // The newest step that the run can go on from as this start begins; -1 for none. Asked for once the claim
  // is won.
  std::function<int64_t()> newest_step;
  // Starts in a row of the same SLURM job (requeued, or started again inside its allocation) without a newer
  // newest_step than at the start before, above which NoProgressError is thrown.
  int64_t restarts = 3;
  // How long a holder that can be judged by no other means may be silent (it touches holder.json every
  // heartbeat_seconds) until it is taken for dead.
  double heartbeat_seconds = 5;
  double silence_seconds = 20;
  // The start whose holder has lost its place in its own job (a parameter server that the others have taken
  // for dead): it is taken over, whether its process lives or not, as long as it is the newest. 0: none.
  int64_t succeeds = 0;
  // What a contender finds out meanwhile ("waiting up to 20 s for a sign of life of ...").
  std::function<void(const std::string&)> tell;
};

class RunClaim {
 public:
  // Claims the run whose checkpoints lie in `checkpoints` (made if need be). Throws ClaimError naming the
  // holder when another start lives: by its process where that can be seen (same host, boot and pid
  // namespace), else by what SLURM says of its job, else by its heartbeat. An earlier start of this very
  // SLURM job is taken over at once where it cannot be seen to live. NoProgressError, IoError.
  RunClaim(const std::filesystem::path& checkpoints, const ClaimOptions& options);
  // Leaves word that the start has ended, so that the next need not wait.
  ~RunClaim();
  // The run has come to its end: starting it again is no restart without progress.
  void mark_done();
  // A start with --fresh has emptied the run directory: further starts of its SLURM job, which come with the
  // same command line, must not.
  void mark_emptied();
  bool emptied_by_this_job() const;
  RunClaim(const RunClaim&) = delete;
  RunClaim& operator=(const RunClaim&) = delete;

  int64_t start() const;
  // The folder in which this start's files are made before they are committed.
  const std::filesystem::path& workshop() const;

 private:
  struct State;
  void count_progress(const std::optional<Holder>& former, const ClaimOptions& options);
  std::unique_ptr<State> state_;
};

// The number of the newest start of the run; 0 for none. Throws IoError.
int64_t newest_start(const std::filesystem::path& checkpoints);

// Throws ClaimError when `workshop` has been taken by a later start: what went wrong there went wrong for
// that reason. IoError when it is gone without one: somebody has moved the run directory.
void require_workshop(const std::filesystem::path& workshop);

// Renames `file`, which lies in `workshop`, to `target` and makes that durable. Throws ClaimError when the
// workshop has been taken by a later start, else IoError.
void commit_from_workshop(const std::filesystem::path& workshop, const std::filesystem::path& file,
                          const std::filesystem::path& target);

}  // namespace trireme
