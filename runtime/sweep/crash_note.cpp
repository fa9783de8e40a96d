#include "sweep/crash_note.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cstring>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr std::array fatal_signals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
constexpr size_t longest_path = 4096;
constexpr size_t stack_bytes = size_t{64} << 10;

// What a handler needs, which is given nothing but a number: no note while the path is empty.
struct Handled {
  std::array<char, longest_path> path{};
  std::array<struct sigaction, fatal_signals.size()> former{};
  std::array<std::byte, stack_bytes> stack{};  // for a stack that has overflowed
};
Handled handled;

fs::path note_path(const fs::path& run_directory) { return run_directory / "crashed"; }

// May call what is safe in a signal handler alone (POSIX.1-2017, 2.4.3).
void write_note(int signal) {
  int file = ::open(handled.path.data(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file >= 0) {
    std::array<char, 3> digits{static_cast<char>('0' + signal / 10), static_cast<char>('0' + signal % 10),
                               '\n'};
    [[maybe_unused]] ssize_t written = ::write(file, digits.data(), digits.size());
    ::close(file);
  }
  // As it would have been, by the same signal: it comes when this returns, if the fault does not come first.
  for (size_t i = 0; i < fatal_signals.size(); ++i) {
    if (fatal_signals[i] == signal) ::sigaction(signal, &handled.former[i], nullptr);
  }
  ::raise(signal);
}

}  // namespace

CrashNote::CrashNote(const fs::path& run_directory, bool first) {
  std::string path = note_path(run_directory).string();
  if (path.size() >= longest_path) return;  // the run itself will not go far there
  std::error_code ignored;
  if (first) fs::remove(path, ignored);
  std::memcpy(handled.path.data(), path.c_str(), path.size() + 1);
  stack_t stack{};
  stack.ss_sp = handled.stack.data();
  stack.ss_size = handled.stack.size();
  ::sigaltstack(&stack, &former_stack_);
  struct sigaction action {};
  action.sa_handler = write_note;
  action.sa_flags = SA_ONSTACK;
  for (size_t i = 0; i < fatal_signals.size(); ++i)
    ::sigaction(fatal_signals[i], &action, &handled.former[i]);
}

CrashNote::~CrashNote() {
  if (handled.path.front() == '\0') return;
  for (size_t i = 0; i < fatal_signals.size(); ++i)
    ::sigaction(fatal_signals[i], &handled.former[i], nullptr);
  ::sigaltstack(&former_stack_, nullptr);
  handled.path.front() = '\0';
}

TrialRunner leave_crash_notes(TrialRunner runner) {
  return [runner = std::move(runner)](const TrialOrder& order, Communicator& group,
                                      const std::function<Verdict(const TrialMeasure&)>& report,
                                      KeptState* kept, const std::function<bool()>& stop) {
    std::error_code ignored;  // the run itself will say so
    if (group.rank() == 0) fs::create_directories(order.run_directory, ignored);
    CrashNote note(order.run_directory, group.rank() == 0);
    return runner(order, group, report, kept, stop);
  };
}

std::optional<std::string> read_crash_note(const fs::path& run_directory) {
  std::ifstream file(note_path(run_directory));
  if (!file) return std::nullopt;
  int signal = 0;
  if (!(file >> signal)) return "a fatal signal";
  const char* name = ::sigdescr_np(signal);
  std::string text = "signal " + std::to_string(signal);
  if (name == nullptr) return text;
  text += std::string(", ") + name;
  char& letter = text[text.size() - std::strlen(name)];
  letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return text;
}

}  // namespace trireme
