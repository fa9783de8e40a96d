// verify: every file of a checkpoint against the manifest, and the whole by opening it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "inspect/report.h"
#include "inspect/where.h"

namespace trireme {

struct VerifiedFile {
  std::string name;
  uint64_t bytes = 0;      // as the manifest says
  std::string fault = {};  // empty: good
};

struct VerifiedCheckpoint {
  std::filesystem::path directory;
  std::vector<VerifiedFile> files;  // the manifest first
  std::string fault = {};           // of the whole, where every file is as it was written
  bool good() const;
};

// What cannot be read at all is as bad as what is damaged.
VerifiedCheckpoint verify_checkpoint(const std::filesystem::path& directory);

// The one that was named, or all that have a manifest. MissingInputError when there is none.
Report verify_report(const Where& where);

}  // namespace trireme
