// Who has which trial number, when several jobs work on one sweep: a file a number, without locks.
//
// claims/000123 is a hard link to claims/worker-7, a file that holds its worker's name. link(2) either makes
// the name or finds it taken, on NFS and Lustre too, and the name has its owner from its first moment: a
// worker that was killed before its journal told of the number finds it again. Everybody takes the lowest
// number that is free, so none is left out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include "sweep/history.h"

namespace trireme {

class TrialClaims {
 public:
  // `folder`: the sweep's. One process at a time is worker `worker` (it holds that journal). Throws IoError.
  TrialClaims(const std::filesystem::path& folder, int64_t worker);

  // A number for a new trial, this worker's alone: one that it had claimed before, and of which no journal
  // tells and nobody has been given, or else the next. Nothing where that would be `limit` or above (0: no
  // limit). A few microseconds on a local disk, a few round trips on a network's. Throws IoError.
  std::optional<int64_t> claim(const History& history, int64_t limit = 0);
  // A number from claim() that came to no trial: the next claim() gives it again.
  void give_back(int64_t number) { unused_.insert(number); }

 private:
  std::filesystem::path path_of(int64_t number) const;
  void write_name();
  void look_around(const History& history);
  bool take(int64_t number);
  bool is_our_link(int64_t number) const;

  std::filesystem::path folder_;
  std::filesystem::path name_file_;
  std::string name_;
  std::set<int64_t> unused_;
  int64_t next_ = 0;  // all lower ones are claimed
  bool looked_ = false;
};

}  // namespace trireme
