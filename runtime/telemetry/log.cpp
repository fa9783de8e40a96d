#include "telemetry/log.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>

#include "base/error.h"

namespace trireme {
namespace {

const char* name_of(LogLevel level) {
  switch (level) {
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "?";
}

// "2026-01-31 12:00:00.123", local time.
std::string time_stamp() {
  auto now = std::chrono::system_clock::now();
  std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return fmt::format("{}.{:03}", text, milliseconds);
}

// What takes a status away whose end the cursor stands at: carriage return and "erase to the end of the line"
// (ECMA-48 EL); of several lines, up to the first (CUU) and "erase to the end of the screen" (ED).
std::string erase(std::string_view status) {
  auto more = std::count(status.begin(), status.end(), '\n');
  return more == 0 ? "\r\x1b[K" : fmt::format("\r\x1b[{}A\x1b[J", more);
}

void put(std::FILE* stream, std::string_view text) { std::fwrite(text.data(), 1, text.size(), stream); }

}  // namespace

Logger::Logger(LogOptions options)
    : options_(std::move(options)),
      terminal_(options_.rank == 0 && !options_.quiet ? options_.console : nullptr) {
  if (options_.rank == 0 && !options_.file.empty()) {
    file_ = std::fopen(options_.file.c_str(), "ae");
    if (file_ == nullptr) {
      throw IoError("{}: cannot open the log: {}", options_.file.string(), std::strerror(errno));
    }
    std::setvbuf(file_, nullptr, _IOLBF, 0);
  }
}

Logger::~Logger() {
  set_status("");
  if (file_ != nullptr) std::fclose(file_);
}

void Logger::append_line(LogLevel level, std::string_view message) {
  if (file_ == nullptr) return;
  put(file_, fmt::format("{} {} {}\n", time_stamp(), name_of(level), message));
}

void Logger::write(LogLevel level, std::string_view message) {
  if (options_.rank != 0 && level == LogLevel::info) return;
  std::lock_guard lock(mutex_);
  append_line(level, message);
  if (options_.console == nullptr || (options_.quiet && level == LogLevel::info)) return;
  // One fwrite a line: lines of several ranks share a pipe.
  std::string line;
  if (!status_.empty()) line += erase(status_);
  if (level != LogLevel::info) line += fmt::format("{}: ", name_of(level));
  if (options_.rank != 0) line += fmt::format("rank {} on {}: ", options_.rank, options_.host);
  line += message;
  line += '\n';
  line += status_;
  put(options_.console, line);
  std::fflush(options_.console);
}

void Logger::write_to_file(LogLevel level, std::string_view message) {
  std::lock_guard lock(mutex_);
  append_line(level, message);
}

void Logger::set_status(std::string_view text) {
  if (!terminal_.exists()) return;
  std::lock_guard lock(mutex_);
  if (status_.empty() && text.empty()) return;
  std::string line = erase(status_);
  line += text;
  put(options_.console, line);
  std::fflush(options_.console);
  status_ = text;
}

}  // namespace trireme
