#include "comm/fatal_signals.h"

#include <execinfo.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "comm/world.h"

namespace trireme {
namespace {

constexpr std::array fatal_signals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
constexpr unsigned last_words_seconds = 10;
constexpr int deepest_stack = 64;
constexpr size_t longest_path = 4096;
constexpr size_t stack_bytes = size_t{64} << 10;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

// What the handler needs, which is given nothing but the signal.
struct Handled {
  std::array<char, 256> who{};           // "trireme-train: error: rank 0 on n1: "; empty until it is known
  std::array<char, longest_path> note{};  // no note while it is empty
  std::array<std::byte, stack_bytes> stack{};  // of the main thread's handler, whose own may have overflowed
  std::array<struct sigaction, fatal_signals.size()> former{};  // a sanitizer's, which has more to say
  std::atomic<int> dying_of{0};
  std::atomic<pid_t> dying{0};  // thread
};
Handled handled;

// ---- From here on only what is safe in a signal handler (POSIX.1-2017, 2.4.3) -------------------------------

[[noreturn]] void die_of(int signal) {
  struct sigaction end {};
  end.sa_handler = SIG_DFL;
  for (size_t i = 0; sanitized && i < fatal_signals.size(); ++i) {
    if (fatal_signals[i] == signal) end = handled.former[i];
  }
  ::sigaction(signal, &end, nullptr);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  ::raise(signal);
  ::_exit(128 + signal);
}

void out_of_time(int) { die_of(handled.dying_of); }

// The last words may wait for a lock that the fault left taken.
void limit_last_words() {
  struct sigaction action {};
  action.sa_handler = out_of_time;
  ::sigaction(SIGALRM, &action, nullptr);
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  ::pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
  ::alarm(last_words_seconds);
}

void leave_note(int signal) {
  if (handled.note.front() == '\0') return;
  int file = ::open(handled.note.data(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return;
  std::array<char, 3> digits{static_cast<char>('0' + signal / 10), static_cast<char>('0' + signal % 10), '\n'};
  [[maybe_unused]] ssize_t written = ::write(file, digits.data(), digits.size());
  ::close(file);
}

// A line of at most its length; what does not fit is left out.
class Line {
 public:
  void add(std::string_view text) {
    size_t fits = std::min(text.size(), text_.size() - 1 - used_);
    std::memcpy(text_.data() + used_, text.data(), fits);
    used_ += fits;
  }
  void add(uint64_t number, int base) {
    std::array<char, 20> digits;
    add({digits.data(), std::to_chars(digits.begin(), digits.end(), number, base).ptr});
  }
  void print() {
    text_[used_++] = '\n';
    [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, text_.data(), used_);
  }

 private:
  std::array<char, 512> text_;
  size_t used_ = 0;
};

// A call of a null pointer has no frame to unwind from: who made it stands on top of the stack.
void print_caller_of_nothing(const void* context) {
#if defined(__x86_64__)
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  if (registers[REG_RIP] != 0) return;
  void* caller = *reinterpret_cast<void**>(registers[REG_RSP]);
  ::backtrace_symbols_fd(&caller, 1, STDERR_FILENO);
#endif
}

void print_last_words(int signal, const siginfo_t& info, const void* context) {
  Line line;
  line.add(handled.who.data());
  line.add("signal ");
  line.add(static_cast<uint64_t>(signal), 10);
  const char* name = ::sigdescr_np(signal);
  if (name != nullptr) {
    char first = static_cast<char>(name[0] | 0x20);  // in small letters
    line.add(", ");
    line.add({&first, 1});
    line.add(name + 1);
  }
  if (info.si_code <= 0) {
    line.add(", sent by process ");
    line.add(static_cast<uint64_t>(info.si_pid), 10);
  } else {
    line.add(", at address 0x");
    line.add(reinterpret_cast<uintptr_t>(info.si_addr), 16);
  }
  line.add("; the stack, innermost first:");
  line.print();
  print_caller_of_nothing(context);
  std::array<void*, deepest_stack> frames;
  int depth = ::backtrace(frames.data(), deepest_stack);
  ::backtrace_symbols_fd(frames.data(), depth, STDERR_FILENO);
}

void handle(int signal, siginfo_t* info, void* context) {
  int first = 0;
  if (!handled.dying_of.compare_exchange_strong(first, signal)) {
    if (handled.dying == ::gettid()) die_of(first);  // of another fault in its last words
    while (true) ::pause();                          // another thread ends us both
  }
  handled.dying = ::gettid();
  limit_last_words();
  leave_note(signal);
  if (!sanitized) print_last_words(signal, *info, context);
  die_of(signal);
}

// ---- Up to here ---------------------------------------------------------------------------------------------

void take_signals() {
  void* frame = nullptr;
  ::backtrace(&frame, 1);  // which loads a library the first time
  stack_t stack{};
  stack.ss_sp = handled.stack.data();
  stack.ss_size = handled.stack.size();
  ::sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_ONSTACK | SA_SIGINFO;
  for (size_t i = 0; i < fatal_signals.size(); ++i) {
    struct sigaction former {};
    ::sigaction(fatal_signals[i], &action, &former);
    bool is_ours = (former.sa_flags & SA_SIGINFO) != 0 && former.sa_sigaction == handle;
    if (!is_ours) handled.former[i] = former;
  }
}

}  // namespace

void tell_fatal_signals(const std::string& program) {
  if (std::getenv("UCX_HANDLE_ERRORS") != nullptr) return;
  std::string who = fmt::format("{}: error: rank {} on {}: ", program, rank_from_environment(), host_name());
  who.resize(std::min(who.size(), handled.who.size() - 1));
  std::memcpy(handled.who.data(), who.c_str(), who.size() + 1);
  take_signals();
}

void tell_fatal_signals_again() {
  if (handled.who.front() != '\0') take_signals();
}

FatalSignalNote::FatalSignalNote(const std::filesystem::path& file) {
  const std::string& path = file.native();
  if (path.size() >= longest_path) return;  // nothing can be there
  std::memcpy(handled.note.data() + 1, path.c_str() + 1, path.size());
  std::atomic_signal_fence(std::memory_order_seq_cst);
  handled.note.front() = path.front();
}

FatalSignalNote::~FatalSignalNote() { handled.note.front() = '\0'; }

}  // namespace trireme
