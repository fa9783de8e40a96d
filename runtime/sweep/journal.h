// The journal of a sweep: append-only, one writer, a line a record, each with a checksum over itself and all
// lines before it. Whoever has the journal has the sweep.
//
//   TRJ1 <16 hex digits> {"n": 0, "time": ..., "event": "start", ...}\n
//
// The digits are XXH3-64 of the digits of the line before (of "trireme sweep journal" for the first) and of
// the JSON text: a line that is changed, missing, doubled or moved is found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "sweep/record.h"

namespace trireme {

struct JournalContent {
  std::vector<Record> records;
  uint64_t bytes = 0;  // of whole, good lines
  std::string
      torn;  // a last line without its end, or one that is last and broken: what was dropped, for a warning
  std::string chain;  // the digits of the last good line
};

// Reads what is there; an absent file is an empty journal. A torn last line is left out and told of. Throws
// DataError "FILE:LINE: ..." for anything else that is wrong, and IoError.
JournalContent read_journal(const std::filesystem::path& path);

// The lines that have come since `content` was read, by whoever writes: a reader beside the writer. A last
// line that is not whole yet is left for later. Returns the new records; `content` has them too.
std::vector<Record> read_more(const std::filesystem::path& path, JournalContent& content);

class JournalWriter {
 public:
  // Takes the journal over: `content` is what read_journal() gave; a torn end is cut off. Refuses
  // (ClaimError, 64, or what the run directory's claim uses) when another live writer has it. Throws IoError.
  JournalWriter(const std::filesystem::path& path, JournalContent content);
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  // Numbers and dates the record, writes its line by one write(2), so that it survives this process, and
  // returns it. It survives the machine once a thread of its own has fsynced it, within half a second or at
  // once after sync(). Throws IoError (disk full: what was half written is cut off again).
  Record append(Record record);
  // Waits until all that was appended is on the disk. Throws IoError.
  void sync();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trireme
