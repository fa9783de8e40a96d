// The journal of a sweep: append-only, one writer, a line a record, each with a checksum over itself and all
// lines before it. Whoever has the journal has the sweep.
//
//   TRJ1 <16 hex digits> {"n": 0, "time": ..., "event": "start", ...}\n
//
// The digits are XXH3-64 of the digits of the line before (of "trireme sweep journal" for the first) and of
// the JSON text: a line that is changed, missing, doubled or moved is found. What is not found is an end that
// was cut off between two lines.
//
// A write that was cut short by a kill or a power failure leaves one torn line at the end: a last line
// without its newline, or with zero bytes where a disk had not yet got what its length promised. That one is
// dropped, and told of; a whole last line with a wrong checksum is damage like any other.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/claim.h"
#include "sweep/record.h"

namespace trireme {

struct JournalContent {
  std::vector<Record> records;
  uint64_t bytes = 0;  // of whole, good lines
  std::string torn;    // what follows them, for a warning: empty if nothing does
  std::string chain;   // the digits of the last good line; empty before the first
};

// Reads what is there; an absent file is an empty journal. A torn last line is left out, and is in `torn`.
// Throws DataError "FILE:LINE: ..." for anything else that is wrong, saying how to go on from the lines
// before it, and IoError.
JournalContent read_journal(const std::filesystem::path& path);

// The lines that have come since `content` was read, by whoever writes: a reader beside the writer, on any
// node. What is not whole yet is left for later (zero bytes are what network file systems show of an append
// that is under way), in `torn`. Returns the new records; `content` has them too. Throws as read_journal().
std::vector<Record> read_more(const std::filesystem::path& path, JournalContent& content);

// "FILE: the end of a line was not written (37 bytes after record 41): dropped, ..." of a journal with a torn
// line.
std::string torn_warning(const std::filesystem::path& path, const JournalContent& content);

struct JournalOptions {
  // Begin a new journal in place of the one that is there, unless a start of this SLURM job has done so
  // before (it is requeued with the same command line). Called between the two: it removes what else the
  // former sweep has left.
  std::function<void()> start_over = {};
  // Told of a torn line, of waiting for a sign of life of another writer, of a new start that is none.
  std::function<void(const std::string&)> tell = {};
  // How far what is in the journal has come, and how many starts of a SLURM job in a row (requeued, or
  // started again inside its allocation) may find it no further than the start before. Without: any number.
  std::function<int64_t(const std::vector<Record>&)> progress = {};
  int64_t restarts = 3;
  // Of ClaimOptions.
  double heartbeat_seconds = 5;
  double silence_seconds = 20;
};

// The one who writes. Takes the journal over as a start takes a run over (checkpoint/claim.h), by the folder
// "N.claim" beside "N.trj": no locks, at once where the former writer's process is dead, or was an earlier
// start of this SLURM job. It goes on in a copy that is renamed into place, so whoever was taken for dead and
// lives writes into a file without a name, and finds out.
class JournalWriter {
 public:
  // Throws ClaimError when another live writer has it, NoProgressError when its job has been started in vain
  // too often, DataError as read_journal(), IoError.
  explicit JournalWriter(const std::filesystem::path& path, const JournalOptions& options = {});
  // Syncs, as far as that can be done, and gives the journal free.
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  // What was there when it was taken over.
  const JournalContent& content() const;

  // Numbers and dates the record, writes its line by one pwrite(2), so that it survives this process, and
  // returns it. It survives the machine once a thread of its own has fsynced it, within half a second or at
  // once after sync(). Throws IoError: on a full disk nothing of the line stays, and the next append may do
  // better; once an fsync has failed nothing can be appended any more. ClaimError when another has taken the
  // journal over.
  Record append(Record record);
  // Waits until all that was appended is on the disk. Throws IoError.
  void sync();
  // The sweep has come to its end: starting it again is no start in vain. Throws IoError.
  void mark_done();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Removes a journal that nobody writes any more, damaged or not. Throws ClaimError when a live writer has it,
// IoError.
void remove_journal(const std::filesystem::path& path, const JournalOptions& options = {});

}  // namespace trireme
