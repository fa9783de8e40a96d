#include "train/job_end.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#include "base/program_output.h"
#include "comm/signals.h"

namespace trireme {
namespace {

constexpr double first_limit_seconds = 10;  // for SLURM to answer, before the first step
constexpr double limit_seconds = 5;         // between steps
constexpr double ask_again_seconds = 60;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Unix seconds of "2026-11-21T10:00:00", local time, or of the number itself.
std::optional<double> time_of(const std::string& text) {
  if (auto seconds = number(text)) return seconds;
  std::tm parts{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr || *rest != '\0') return std::nullopt;
  parts.tm_isdst = -1;
  return static_cast<double>(std::mktime(&parts));
}

// The value of `key` in the line of this job ("JobId=7 JobName=... EndTime=..."); a job array's number brings
// lines of its other tasks, too.
std::string value_of(const std::string& lines, const std::string& job, std::string_view key) {
  std::istringstream stream(lines);
  for (std::string line; std::getline(stream, line);) {
    if (!line.starts_with("JobId=" + job + " ")) continue;
    size_t at = line.find(fmt::format(" {}=", key));
    if (at == std::string::npos) return "";
    at += key.size() + 2;
    return line.substr(at, line.find(' ', at) - at);
  }
  return "";
}

}  // namespace

double JobEnd::unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

JobEnd::JobEnd(double before_end_seconds, std::function<double()> clock)
    : before_(before_end_seconds),
      clock_(std::move(clock)),
      job_(variable("SLURM_JOB_ID")),
      asked_(-std::numeric_limits<double>::infinity()) {
  if (before_ <= 0 || job_.empty()) return;
  if (auto end = number(variable("SLURM_JOB_END_TIME"))) {
    end_ = *end;
  } else if (ask(first_limit_seconds) == Answer::none) {
    note_ = fmt::format(
        "SLURM does not say when job {} ends (scontrol show job {}): the run stops early by SLURM's signal "
        "alone",
        job_, job_);
  }
  if (end_ == 0) return;
  double left = end_ - clock_();
  set_margin(clock_());
  if (margin_ < before_) {
    note_ = fmt::format(
        "the job has only {:.0f} s left: the run stops {:.0f} s before its end, not {:.0f} s as "
        "checkpoint.before_end_seconds says",
        std::max(left, 0.0), margin_, before_);
  }
}

void JobEnd::set_margin(double now) {
  margin_ = std::max(margin_, std::clamp((end_ - now) / 2, 0.0, before_));
}

bool JobEnd::near() {
  if (near_ || end_ == 0) return near_;
  double now = clock_();
  if (end_ - now > margin_) return false;
  if (now - asked_ >= ask_again_seconds) {
    asked_ = now;
    if (ask(limit_seconds) == Answer::no_end) end_ = 0;
    if (end_ == 0) return false;
    now = clock_();
    set_margin(now);
    if (end_ - now > margin_) return false;
  }
  near_ = true;
  note_ = fmt::format("the job ends in {:.0f} s by SLURM", std::max(end_ - now, 0.0));
  return true;
}

// Sets end_ where SLURM names one.
JobEnd::Answer JobEnd::ask(double limit) {
  // A user's SLURM_TIME_FORMAT may have any shape; seconds mean the same in every time zone.
  auto lines = program_output({"scontrol", "show", "job", "-o", job_}, limit, {"SLURM_TIME_FORMAT=%s"});
  if (!lines) return Answer::none;
  std::string text = value_of(*lines, job_, "EndTime");
  if (text == "Unknown" || text == "NONE") return Answer::no_end;
  auto end = time_of(text);
  if (!end) return Answer::none;
  end_ = *end;
  return Answer::end;
}

std::function<bool()> stop_by_signal_or_job_end(const std::string& program, double before_end_seconds) {
  if (before_end_seconds <= 0) return stop_requested;
  auto job_end = std::make_shared<JobEnd>(before_end_seconds);
  if (!job_end->note().empty()) std::fprintf(stderr, "%s: %s\n", program.c_str(), job_end->note().c_str());
  return [job_end, program, told = false]() mutable {
    if (stop_requested()) return true;
    if (!job_end->near()) return false;
    if (!told)
      std::fprintf(stderr, "%s: %s: saving and stopping\n", program.c_str(), job_end->note().c_str());
    told = true;
    return true;
  };
}

}  // namespace trireme
