// What a run says: to the console and to log.txt, with one status line (the progress bar) that never gets
// mixed up with other output. An object handed around, not a global.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "telemetry/terminal.h"

namespace trireme {

enum class LogLevel { info, warning, error };

struct LogOptions {
  std::filesystem::path file = {};  // log.txt, appended to; empty for none. Only rank 0 opens it.
  std::FILE* console = stderr;      // null for none
  bool quiet = false;               // the console gets warnings and errors only
  int rank = 0;
  std::string host = {};
};

// Rank 0 writes everything to both places: log.txt with date, time and level ("2026-01-31 12:00:00.123 info
// MESSAGE"), the console without ("MESSAGE", "warning: MESSAGE"). Other ranks write only warnings and errors,
// only to the console, as "warning: rank 3 on n2: MESSAGE". May be called from any thread.
class Logger {
 public:
  // Throws IoError when the file cannot be opened.
  explicit Logger(LogOptions options);
  ~Logger();
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  template <class... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) {
    if (options_.rank == 0) write(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void warning(fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) {
    write(LogLevel::error, fmt::format(format, std::forward<Args>(args)...));
  }

  void write(LogLevel level, std::string_view message);
  // Into log.txt alone (rank 0).
  void write_to_file(LogLevel level, std::string_view message);

  // The status: a line, or several with newlines between (fewer than the terminal has), redrawn below
  // whatever is logged; empty takes it away. Only drawn on a terminal, by rank 0, when not quiet.
  void set_status(std::string_view text);
  // Whether a status line can be drawn.
  bool has_terminal() const { return terminal_.exists(); }
  int terminal_columns() const { return terminal_.columns(); }  // 80 when unknown
  int terminal_rows() const { return terminal_.rows(); }        // 24 when unknown

 private:
  void append_line(LogLevel level, std::string_view message);  // to the file; the lock is held
  LogOptions options_;
  std::FILE* file_ = nullptr;
  ConsoleTerminal terminal_;
  std::string status_;
  std::mutex mutex_;
};

}  // namespace trireme
