// Saving beside the training: the state is copied, the run goes on, and a thread hashes, writes and commits
// the copy.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "checkpoint/content.h"
#include "checkpoint/keep.h"

namespace trireme {

// Where a start of a run saves to.
struct SaveTarget {
  std::filesystem::path checkpoints;
  std::filesystem::path workshop;  // of the start's RunClaim
  int64_t start = 0;
  // This writer's part of the state: one of `shards`, which all see the same folders. Shard 0 commits.
  int shard = 0;
  int shards = 1;
};

// How a save ended.
struct SaveReport {
  int64_t step = 0;
  uint64_t bytes = 0;        // of this writer's file
  double copy_seconds = 0;   // the state was copied: training stood still
  double write_seconds = 0;  // hashed, written and committed, beside the training; without deleting old ones
  bool direct = false;       // written past the page cache
  std::string error;         // empty: the checkpoint exists (of shards but 0: the part is written)
  bool taken_over = false;   // a later start holds the run: this one must not go on
};

class StateImage;
struct ManifestFile;

// The copy is the file itself (StateImage), so a save takes the state's size in memory once more, and there
// is one copy: a save that is still being written is never overtaken, the next waits for it.
//
// A commit: the file is written into step-0000000938/ under a name of this start and made durable; shard 0
// waits for the records that the others leave in the workshop, writes the manifest there, and renames it into
// the folder. Then checkpoints that `keep` lets go are deleted, and those of later steps: a run that saves
// here has left them behind (they were damaged, or it went back). A kill at any point leaves the whole
// checkpoint or none, and never harms another.
class Saver {
 public:
  Saver(SaveTarget target, KeepRule keep, int threads);
  // Waits for what is being written.
  ~Saver();
  Saver(const Saver&) = delete;
  Saver& operator=(const Saver&) = delete;

  // Lays out the file for content of these names and shapes in a thread of its own, so that the first save
  // need not. Values are not read.
  void prepare(const CheckpointContent& content);
  // Waits for the save before, and copies this shard's part of `content`. Returns false, and there is nothing
  // to write, when a parameter of it is not a finite number. Throws CheckpointError when content is
  // inconsistent, IoError, std::bad_alloc.
  bool copy(const CheckpointContent& content);
  // After copy(): where the values of an optimizer slot's tensor go that content has `later`; null when it is
  // in another shard.
  float* place(const std::string& slot, const std::string& tensor);
  // Begins to write what was copied.
  void write();
  // While a save is being written.
  bool busy() const { return busy_.load(std::memory_order_acquire); }
  // Whether the writing of this writer's file has failed, in the newest save.
  bool part_failed() const;
  // Waits until this writer's file is written (or its writing has failed); the reason, or "".
  std::string wait_for_part();
  // Waits for the commit.
  void wait();
  // Shard 0, between wait_for_part() and wait(): another's part will not come.
  void give_up(const std::string& reason);
  // Saves that have ended since take_reports() was called.
  int reports() const { return reports_waiting_.load(std::memory_order_acquire); }
  std::vector<SaveReport> take_reports();

  const SaveTarget& target() const { return target_; }

 private:
  void run(SaveReport report);
  void save_part(SaveReport& report, std::chrono::steady_clock::time_point begin);
  void commit(int64_t step, const ManifestFile& own);
  void wait_for_record(const std::filesystem::path& record);
  void set_part(const std::string& error);
  void add_report(SaveReport report);

  SaveTarget target_;
  KeepRule keep_;
  int threads_;
  std::unique_ptr<StateImage> image_;
  std::thread preparing_;
  std::thread writing_;
  SaveReport copied_;  // the save that write() is to begin
  CheckpointRun run_;  // its record
  int64_t saves_ = 0;  // counted alike by all writers: names their records
  std::atomic<bool> busy_{false};
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  bool part_written_ = false;
  std::string part_error_;
  std::string given_up_;
  std::vector<SaveReport> reports_;
  std::atomic<int> reports_waiting_{0};
};

// This shard's tensors of a whole state: whole tensors, in order, about an equal number of bytes a shard.
CheckpointContent shard_of(const CheckpointContent& content, int shard, int shards);

}  // namespace trireme
