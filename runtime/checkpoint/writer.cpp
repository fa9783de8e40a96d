#include "checkpoint/writer.h"

#include "base/atomic_file.h"
#include "base/error.h"
#include "checkpoint/claim.h"
#include "checkpoint/manifest.h"
#include "checkpoint/saver.h"

namespace trireme {

std::filesystem::path save_checkpoint(const std::filesystem::path& checkpoints,
                                      const CheckpointContent& content, const KeepRule& keep) {
  RunClaim claim(checkpoints, {});
  Saver saver({checkpoints, claim.workshop(), claim.start()}, keep, 1);
  saver.copy(content);
  saver.write();
  saver.wait();
  for (const SaveReport& report : saver.take_reports()) {
    if (!report.error.empty()) throw IoError("{}", report.error);
  }
  return checkpoints / step_folder_name(content.run.step);
}

}  // namespace trireme
