// The run directory: runs/<name>/ with config.toml, metrics.jsonl, summary.json, log.txt, checkpoints/. Rank
// 0 alone writes it, but for a failure's summary, which any rank may leave.
#pragma once

#include <filesystem>
#include <string>

#include "config/config.h"
#include "telemetry/summary.h"

namespace trireme {

class RunDirectory {
 public:
  explicit RunDirectory(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path config() const { return path_ / "config.toml"; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path summary() const { return path_ / "summary.json"; }
  std::filesystem::path log() const { return path_ / "log.txt"; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }

  // Removes what an earlier run left in it (checkpoints, metrics, summary, log, config) and nothing else.
  // `workshop` is that of the caller's RunClaim. Throws IoError, ClaimError.
  void empty(const std::filesystem::path& workshop) const;
  // The same, but for checkpoints, which stay. Throws IoError.
  void remove_notes() const;
  // Whether summary.json says that the run is finished; false when there is none or it cannot be understood.
  bool says_finished() const;
  // Removes an earlier start's summary: from now on it would be wrong.
  void begin() const;

 private:
  std::filesystem::path path_;
};

}  // namespace trireme
