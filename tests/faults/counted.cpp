// No call that changes the run directory gets past the shim: system calls, as strace lists them, against its
// count.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "faults/victim_process.h"
#include "support/run_command.h"

namespace trireme::test {
namespace {

// System calls that change nothing (but for open, which is looked at). What is not known counts.
const std::set<std::string> readers{"access",     "close",  "execve",  "faccessat", "faccessat2",
                                    "fcntl",      "flock",  "fstat",   "fstatfs",   "getcwd",
                                    "getdents64", "ioctl",  "lseek",   "lstat",     "mmap",
                                    "open",       "openat", "pread64", "read",      "readlink",
                                    "readlinkat", "stat",   "statfs",  "statx",     "newfstatat"};

// How often each system call changed something below `folder`. libc's remove() tries a folder as a file
// first: its rmdir belongs to the call that the unlink was counted for.
std::map<std::string, int> changes_in(const std::filesystem::path& trace, const std::string& folder) {
  std::map<std::string, int> changes;
  std::ifstream lines(trace);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string process, call;
    words >> process;
    std::getline(words, call, '(');
    call.erase(0, call.find_first_not_of(' '));
    std::string rest;
    std::getline(words, rest);
    if (call.starts_with("<") || call.find(' ') != std::string::npos) continue;  // resumed; a signal; an exit
    // In quotes, or in brackets after a descriptor: the folder itself, or what is in it.
    auto named = [&rest, &folder](const char* end) { return rest.find(folder + end) != std::string::npos; };
    if (!named("/") && !named("\"") && !named(">")) continue;
    bool opens = call == "open" || call == "openat";
    if (opens && rest.find("O_CREAT") == std::string::npos && rest.find("O_TRUNC") == std::string::npos) {
      continue;
    }
    if ((!readers.contains(call) || opens) && call != "rmdir") ++changes[opens ? "open" : call];
  }
  return changes;
}

// The shim's names for the same.
std::string system_call_of(const std::string& name) {
  if (name == "fopen" || name == "openat" || name == "open64") return "open";
  if (name == "fwrite") return "write";
  if (name == "remove") return "unlink";
  if (name == "pwrite") return "pwrite64";
  if (name == "ftruncate64") return "ftruncate";
  return name;
}

TEST(Counted, every_system_call_that_changes_the_run_directory) {
  CommandResult found = run_command("sh -c 'command -v strace'", 10);
  if (found.code != 0) GTEST_SKIP() << "there is no strace here (apt-get install strace)";
  std::string strace = found.output.substr(0, found.output.find('\n'));
  for (int hosts : {1, 2}) {
    Victims victims(hosts);
    std::filesystem::path run = victims.run_directory("run");
    std::filesystem::path trace = victims.run_directory("trace");
    VictimEnd end = victims.run_traced("run", strace, trace);
    if (end.calls.empty()) GTEST_SKIP() << "strace cannot trace here: " << end.errors;
    ASSERT_EQ(end.code, 0) << end.errors;
    std::map<std::string, int> counted;
    for (const Call& call : end.calls) ++counted[system_call_of(call.name)];
    EXPECT_EQ(changes_in(trace, run.string()), counted);
    EXPECT_GT(end.calls.size(), 100u);
    fmt::print("{} hosts: {} calls counted, {}\n", hosts, end.calls.size(), tally_text(counted));
  }
}

}  // namespace
}  // namespace trireme::test
