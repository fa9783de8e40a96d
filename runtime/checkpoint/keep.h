// Which checkpoints stay, and how the others go.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/reader.h"

namespace trireme {

// A checkpoint stays if any of these wants it.
struct KeepRule {
  int64_t newest = 0;  // so many of the newest; 0: all of them
  int64_t every = 0;   // those of steps that are multiples of this; 0: none
  int64_t best = 0;    // so many of the best by `metric`, of those that follow a validation of their own step
  std::string metric =
      "loss";  // "accuracy": the highest is best; of all others the lowest. Of equals the newest
};

// Those of `checkpoints` (newest first, as list_checkpoints() has them) that `rule` lets go. One whose
// manifest cannot be read is none of the newest: it goes when it is older than all of these.
std::vector<CheckpointEntry> not_kept(const std::vector<CheckpointEntry>& checkpoints, const KeepRule& rule);

// First the manifest, renamed into `workshop` (a RunClaim's) and that made durable, then the files: a kill in
// between leaves a leftover and never a checkpoint with files missing, and a start whose workshop was taken
// deletes nothing. Throws ClaimError, IoError when the manifest could not be taken away; what of the files
// cannot be removed stays a leftover.
void delete_checkpoint(const std::filesystem::path& checkpoint, const std::filesystem::path& workshop);

// Removes what killed writers left in step folders: files that their folder's manifest does not name (all,
// where there is no manifest), but none of a start later than `start`. Never fails: what stays is tried again
// next time. Folders with a manifest that cannot be read are left alone.
void remove_leftovers(const std::filesystem::path& checkpoints, int64_t start);

// What follows a save of `step`, the run's newest: checkpoints of later steps go, since the run has left them
// behind (they were damaged, or it went back), and those that `rule` lets go, and leftovers. Never fails:
// what stays is tried again next time.
void tidy_up(const std::filesystem::path& checkpoints, const std::filesystem::path& workshop, int64_t start,
             int64_t step, const KeepRule& rule);

// "state-0004-1.h5": shard 1 of start 4; `again` is one that replaces such a file of the same step and start.
std::string state_file_name(int64_t start, int shard, bool again);
// The start in such a name; 0 for any other name.
int64_t start_of_file_name(const std::string& name);

}  // namespace trireme
