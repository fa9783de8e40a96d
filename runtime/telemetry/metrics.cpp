#include "telemetry/metrics.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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

std::string figures_text(const ValidationRecord& record) {
  std::string text;
  for_each_figure(record, [&text](std::string name, double value) {
    std::replace(name.begin(), name.end(), '_', ' ');
    text += fmt::format("{}{} {:.4f}", text.empty() ? "" : ", ", name, value);
  });
  return text;
}

void for_each_figure(const ValidationRecord& record,
                     const std::function<void(const char* name, double value)>& tell) {
  tell("loss", record.loss);
  if (record.accuracy) tell("accuracy", *record.accuracy);
  if (record.perplexity) tell("perplexity", *record.perplexity);
  if (record.generator_loss) tell("generator_loss", *record.generator_loss);
  if (record.discriminator_loss) tell("discriminator_loss", *record.discriminator_loss);
}

MetricsWriter::MetricsWriter(const fs::path& path, int64_t resume_step,
                             std::function<void(const std::string&)> lost)
    : path_(path), lost_(std::move(lost)) {
  open(resume_step);
}

MetricsWriter::~MetricsWriter() { close(); }

void MetricsWriter::rewind(int64_t step) {
  close();
  try {
    open(step);
  } catch (const IoError& error) {
    if (!lost_) throw;
    if (lost_lines_++ == 0) lost_(error.what());
  }
}

void MetricsWriter::open(int64_t step) {
  if (fs::exists(path_)) {
    std::string text = read_file(path_);
    std::string kept = step > 0 ? lines_up_to(text, step) : std::string();
    if (kept != text) write_file_atomically(path_, kept);
  }
  file_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (file_ < 0) throw IoError("{}: cannot open for appending: {}", path_.string(), std::strerror(errno));
}

void MetricsWriter::close() {
  if (file_ >= 0) ::close(file_);
  file_ = -1;
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
  std::string message = fmt::format("{}: cannot append: {}", path_.string(), reason);
  if (!lost_) throw IoError("{}", message);
  if (lost_lines_++ == 0) lost_(message);
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
                 {"exchange_hidden_seconds", record.exchange_hidden_seconds},
                 {"checkpoint_seconds", record.checkpoint_seconds}};
  auto add = [&object](const char* name, const std::optional<double>& value) {
    if (value) object[name] = *value;
  };
  add("gradient_norm", record.gradient_norm);
  add("generator_loss", record.generator_loss);
  add("discriminator_loss", record.discriminator_loss);
  add("learning_rate_factor", record.learning_rate_factor);
  add("loss_scale", record.loss_scale);
  if (record.skipped_steps > 0) object["skipped_steps"] = record.skipped_steps;
  std::string line = object.dump() + '\n';
  append(line.data(), line.size());
}

void MetricsWriter::write(const CheckpointRecord& record) {
  Json object = {{"event", "checkpoint"},
                 {"step", record.step},
                 {"state", record.error.empty() ? "written" : "failed"},
                 {"stall_seconds", record.stall_seconds},
                 {"write_seconds", record.write_seconds},
                 {"bytes", record.bytes},
                 {"direct", record.direct}};
  if (!record.error.empty()) object["error"] = record.error;
  std::string line = object.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
  append(line.data(), line.size());
}

void MetricsWriter::write(const ParameterServerRecord& record) {
  Json workers = Json::array();
  for (const ParameterServerRecord::Worker& worker : record.by_worker) {
    workers.push_back({{"worker", worker.worker},
                       {"present", worker.present},
                       {"pieces", worker.pieces},
                       {"wait_seconds", worker.wait_seconds}});
  }
  Json object = {{"event", "parameter_server"},
                 {"step", record.step},
                 {"workers", record.workers},
                 {"workers_lost", record.workers_lost},
                 {"pushes_per_second", record.pushes_per_second},
                 {"pulls_per_second", record.pulls_per_second},
                 {"pushed_bytes", record.pushed_bytes},
                 {"pulled_bytes", record.pulled_bytes},
                 {"torn_blocks", record.torn_blocks},
                 {"mean_staleness", record.mean_staleness},
                 {"staleness", record.staleness},
                 {"duplicates", record.duplicates},
                 {"fenced", record.fenced},
                 {"refused", record.refused},
                 {"by_worker", workers}};
  std::string line = object.dump() + '\n';
  append(line.data(), line.size());
}

void MetricsWriter::write(const ValidationRecord& record) {
  Json object = {{"event", "validation"}, {"step", record.step}, {"epoch", record.epoch}};
  for_each_figure(record, [&object](const char* name, double value) { object[name] = value; });
  std::string line = object.dump() + '\n';
  append(line.data(), line.size());
}

}  // namespace trireme
