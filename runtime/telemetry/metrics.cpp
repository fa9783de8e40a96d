#include "telemetry/metrics.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/atomic_file.h"
#include "base/error.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;  // its dump() writes nan and infinity as null

// The whole lines of `text` that hold an object whose step is at most `last_step`.
std::string lines_up_to(std::string_view text, int64_t last_step) {
  std::string kept;
  for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    std::string_view line = text.substr(0, end + 1);
    text.remove_prefix(end + 1);
    Json object = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object()) continue;
    auto step = object.find("step");
    if (step != object.end() && step->is_number_integer() && step->get<int64_t>() <= last_step) kept += line;
  }
  return kept;
}

}  // namespace

MetricsWriter::MetricsWriter(const fs::path& path, int64_t resume_step) : path_(path) {
  if (fs::exists(path)) {
    std::string text = read_file(path);
    std::string kept = resume_step > 0 ? lines_up_to(text, resume_step) : std::string();
    if (kept != text) write_file_atomically(path, kept);
  }
  file_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (file_ < 0) throw IoError("{}: cannot open for appending: {}", path.string(), std::strerror(errno));
}

MetricsWriter::~MetricsWriter() {
  if (file_ >= 0) ::close(file_);
}

void MetricsWriter::append(const char* text, size_t bytes) {
  ssize_t written = -1;
  do {
    written = ::write(file_, text, bytes);
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(bytes)) return;
  // A short write means that no more fits; take the torn line back.
  std::string reason = written < 0 ? std::strerror(errno) : std::strerror(ENOSPC);
  struct stat status {};
  if (written > 0 && ::fstat(file_, &status) == 0) {
    [[maybe_unused]] int ignored = ::ftruncate(file_, status.st_size - written);
  }
  throw IoError("{}: cannot append: {}", path_.string(), reason);
}

void MetricsWriter::write(const TrainRecord& record) {
  Json object = {{"event", "train"},
                 {"step", record.step},
                 {"epoch", record.epoch},
                 {"samples", record.samples},
                 {"loss", record.loss},
                 {"learning_rate", record.learning_rate},
                 {"samples_per_second", record.samples_per_second},
                 {"data_seconds", record.data_seconds},
                 {"compute_seconds", record.compute_seconds},
                 {"exchange_seconds", record.exchange_seconds},
                 {"checkpoint_seconds", record.checkpoint_seconds}};
  if (record.gradient_norm) object["gradient_norm"] = *record.gradient_norm;
  std::string line = object.dump() + '\n';
  append(line.data(), line.size());
}

void MetricsWriter::write(const ValidationRecord& record) {
  Json object = {{"event", "validation"},
                 {"step", record.step},
                 {"epoch", record.epoch},
                 {"loss", record.loss},
                 {"accuracy", record.accuracy}};
  std::string line = object.dump() + '\n';
  append(line.data(), line.size());
}

}  // namespace trireme
