#include "inspect/new_run.h"

#include "base/atomic_file.h"
#include "base/error.h"
#include "checkpoint/reader.h"
#include "checkpoint/writer.h"
#include "train/run_directory.h"

namespace trireme {

namespace fs = std::filesystem;

void require_no_checkpoints(const fs::path& run_directory) {
  fs::path checkpoints = RunDirectory(run_directory).checkpoints();
  if (list_checkpoints(checkpoints).empty()) return;
  throw UsageError("{}: holds checkpoints already; name another run directory, or remove them first",
                   checkpoints.string());
}

fs::path make_run(const fs::path& run_directory, const CheckpointContent& content) {
  require_no_checkpoints(run_directory);
  RunDirectory directory(run_directory);
  make_directories(run_directory);
  write_file_atomically(directory.config(), content.run.config);
  return save_checkpoint(directory.checkpoints(), content, KeepRule{});
}

}  // namespace trireme
