// Starting the victim with a fault, and judging what it has left.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "faults/victim_run.h"
#include "support/temporary_folder.h"

namespace trireme::test {

// What the shim is to do; see shim.cpp.
struct Fault {
  int64_t at = 0;         // number of the call, from 1; 0: calls are counted alone
  std::string deed;       // kill-before, kill-after, fail, fail-on, short, short-on
  int error = 0;          // errno
  std::string only = {};  // calls of this name alone are counted; empty: all
};

// A call of the victim below its run directory.
struct Call {
  std::string name;  // of libc's function
  std::string path;  // of two, the second
  bool ended = false;
  int64_t result = 0;  // as returned; of a failure made by the shim the negative errno
};

struct VictimEnd {
  int code = -1;  // exit code; 128 + number for a signal
  std::string output;
  std::string errors;
  std::vector<Call> calls;  // in order of their beginning
  int64_t hit = 0;          // number, from 1, of the one that the fault hit; 0: none
  // That call's name, "" for none; and with its path.
  std::string hit_name() const { return hit == 0 ? "" : calls[static_cast<size_t>(hit - 1)].name; }
  std::string hit_text() const {
    return hit == 0 ? "no call" : hit_name() + " " + calls[static_cast<size_t>(hit - 1)].path;
  }
  // The newest step of which the victim said that it was done; 0: none.
  int64_t last_step() const;
  // The last version of a step that it said was saved; 0: none.
  int64_t last_saved() const;
  // The newest step whose manifest had been renamed into place, as far as the victim saw that; 0: none.
  int64_t last_commit() const;
};

// The toy data, and a folder for runs. All runs are on so many hosts.
class Victims {
 public:
  explicit Victims(int hosts = 1);
  std::filesystem::path run_directory(const std::string& name) const { return folder_ / name; }
  // Runs the victim to its end. With the shim where `fault` is given. A victim that has not ended after 60 s
  // is killed: its code is 124.
  VictimEnd run(const std::string& name, const Fault* fault) const;
  VictimEnd run(const std::string& name) const { return run(name, nullptr); }
  // As run() with a fault that only counts, by `strace` (its path); the system calls are listed in `trace`.
  VictimEnd run_traced(const std::string& name, const std::string& strace,
                       const std::filesystem::path& trace) const;
  // As run(), with --fresh: what is there goes first.
  VictimEnd run_afresh(const std::string& name, const Fault* fault) const;
  // As run(), with `name` as the folder of checkpoints in which one step is saved twice.
  VictimEnd replace(const std::string& name, const Fault* fault) const;
  void copy(const std::string& from, const std::string& to) const;
  void remove(const std::string& name) const;

 private:
  struct Arguments {
    std::vector<std::string> before;  // of the victim's own name: what runs it
    std::string first;
    std::vector<std::string> last;
  };
  VictimEnd start(const Arguments& arguments, const std::string& name, const Fault* fault) const;
  TemporaryFolder folder_;
  int hosts_;
};

// What is wrong with it, or "". A run that has ended well: summary.json says finished with this hash, the
// newest two checkpoints are whole, and nothing else lies in checkpoints/ but one start's folder.
// It has victim_keep checkpoints, or `least` and more.
std::string wrong_with_finished_run(const std::filesystem::path& run_directory, const std::string& sha256,
                                    int64_t least = victim_keep);

// "parameters_sha256" of its summary.json, "" when there is none.
std::string sha256_of(const std::filesystem::path& run_directory);

// The step of the newest checkpoint, 0 where there is none. `wrong` gets what is wrong: every folder with a
// manifest must be a whole checkpoint.
int64_t newest_whole_step(const std::filesystem::path& run_directory, std::string& wrong);

// Calls deal(i) for i below `count`, from two threads.
void deal_out(size_t count, const std::function<void(size_t)>& deal);

// Whether the long form of the tests is asked for (ctest label soak).
bool all_of_them();

// "rename 18, write 120": how often each name occurs.
std::string tally_text(const std::map<std::string, int>& tally);

}  // namespace trireme::test
