#include "checkpoint/saver.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "base/atomic_file.h"
#include "base/error.h"
#include "checkpoint/claim.h"
#include "checkpoint/manifest.h"
#include "checkpoint/state_image.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

size_t bytes_of(const NamedTensor& tensor) {
  return static_cast<size_t>(tensor.shape.elements()) * sizeof(float);
}

size_t bytes_of(const std::vector<NamedTensor>& tensors) {
  size_t bytes = 0;
  for (const NamedTensor& tensor : tensors) bytes += bytes_of(tensor);
  return bytes;
}

// Copies those of `tensors` whose middle lies in the shard's stretch of the whole state; `at` moves on.
std::vector<NamedTensor> pick(const std::vector<NamedTensor>& tensors, size_t& at, size_t total, int shard,
                              int shards) {
  std::vector<NamedTensor> picked;
  for (const NamedTensor& tensor : tensors) {
    size_t middle = at + bytes_of(tensor) / 2;
    at += bytes_of(tensor);
    auto owner = static_cast<double>(middle) * shards / static_cast<double>(std::max<size_t>(total, 1));
    if (std::min(static_cast<int>(owner), shards - 1) == shard) picked.push_back(tensor);
  }
  return picked;
}

// What a shard's writer tells shard 0, through the workshop.
fs::path record_path(const SaveTarget& target, int64_t save, int shard) {
  return target.workshop / fmt::format("save-{:06}-shard-{}.json", save, shard);
}

fs::path layout_path(const SaveTarget& target) {
  return target.workshop / fmt::format("layout-{}.h5", target.shard);
}

std::string record_json(const ManifestFile& file, const std::string& error) {
  return nlohmann::json{{"name", file.name}, {"bytes", file.bytes}, {"xxh3_128", file.hash}, {"error", error}}
      .dump();
}

// The file of such a record. Throws IoError with the writer's reason when it has failed.
ManifestFile read_record(const fs::path& path, int shard) {
  auto record = nlohmann::json::parse(read_file(path));
  if (auto error = record.at("error").get<std::string>(); !error.empty()) {
    throw IoError("shard {}: {}", shard, error);
  }
  return {record.at("name").get<std::string>(), record.at("bytes").get<uint64_t>(),
          record.at("xxh3_128").get<std::string>()};
}

// So that shard 0 need not wait for what will not come; where even this cannot be written, ranks tell each
// other.
void leave_failure(const fs::path& record, const std::string& error) noexcept {
  try {
    write_file_atomically(record, record_json({}, error));
  } catch (const std::exception&) {
  }
}

// Whether the checkpoint that `directory` already holds names this file.
bool names_file(const fs::path& directory, const std::string& name) {
  if (is_absent(directory / Manifest::file_name)) return false;
  try {
    return std::ranges::count(read_manifest(directory).files, name, &ManifestFile::name) > 0;
  } catch (const std::exception&) {
    return true;  // one that cannot be read may have named anything
  }
}

// This folder alone: where the run directory was moved away, nothing of it is made anew.
void make_step_folder(const fs::path& directory) {
  std::error_code error;
  fs::create_directory(directory, error);
  if (error) throw IoError("{}: cannot create the directory: {}", directory.string(), error.message());
}

}  // namespace

CheckpointContent shard_of(const CheckpointContent& content, int shard, int shards) {
  if (shards == 1) return content;
  size_t total = bytes_of(content.parameters) + bytes_of(content.states);
  for (const OptimizerSlot& slot : content.slots) total += bytes_of(slot.tensors);
  size_t at = 0;
  CheckpointContent part;
  part.run = content.run;
  part.parameters = pick(content.parameters, at, total, shard, shards);
  for (const OptimizerSlot& slot : content.slots) {
    part.slots.push_back({slot.name, pick(slot.tensors, at, total, shard, shards), slot.later});
  }
  part.states = pick(content.states, at, total, shard, shards);
  return part;
}

Saver::Saver(SaveTarget target, KeepRule keep, int threads)
    : target_(std::move(target)), keep_(std::move(keep)), threads_(threads) {}

Saver::~Saver() {
  give_up("the run has ended");
  if (preparing_.joinable()) preparing_.join();
  wait();
}

void Saver::prepare(const CheckpointContent& content) {
  if (image_ || preparing_.joinable()) return;
  auto lay_out = [this, part = shard_of(content, target_.shard, target_.shards)] {
    try {
      image_ = std::make_unique<StateImage>(part, layout_path(target_));
    } catch (const std::exception&) {
      // copy() meets it again, where it can be told.
    }
  };
  try {
    preparing_ = std::thread(std::move(lay_out));
  } catch (const std::system_error&) {
    // No thread to be had: the first copy() lays it out.
  }
}

bool Saver::copy(const CheckpointContent& content) {
  if (preparing_.joinable()) preparing_.join();
  wait();
  Clock::time_point begin = Clock::now();
  CheckpointContent part = shard_of(content, target_.shard, target_.shards);
  if (!image_ || !image_->fits(part)) {
    image_.reset();
    image_ = std::make_unique<StateImage>(part, layout_path(target_));
  }
  bool finite = image_->fill(part, threads_);
  run_ = content.run;
  copied_ = {};
  copied_.step = content.run.step;
  copied_.bytes = image_->memory().bytes();
  copied_.copy_seconds = seconds_since(begin);
  return finite;
}

float* Saver::place(const std::string& slot, const std::string& tensor) {
  return image_->place(slot, tensor);
}

void Saver::write() {
  ++saves_;
  {
    std::lock_guard lock(mutex_);
    part_written_ = false;
    part_error_.clear();
    given_up_.clear();
  }
  busy_ = true;
  try {
    writing_ = std::thread(&Saver::run, this, copied_);
  } catch (const std::system_error& error) {
    copied_.error = fmt::format("no thread to write it in: {}", error.what());
    set_part(copied_.error);
    add_report(copied_);
  }
}

void Saver::run(SaveReport report) {
  Clock::time_point begin = Clock::now();
  try {
    try {
      save_part(report, begin);
    } catch (const IoError&) {
      require_workshop(target_.workshop);
      throw;
    }
  } catch (const std::exception& error) {
    report.error = error.what();
    report.taken_over = dynamic_cast<const ClaimError*>(&error) != nullptr;
    set_part(report.error);
  }
  if (!report.error.empty()) report.write_seconds = seconds_since(begin);
  add_report(std::move(report));
}

void Saver::add_report(SaveReport report) {
  {
    std::lock_guard lock(mutex_);
    reports_.push_back(std::move(report));
  }
  reports_waiting_.fetch_add(1, std::memory_order_release);
  busy_.store(false, std::memory_order_release);
}

void Saver::set_part(const std::string& error) {
  {
    std::lock_guard lock(mutex_);
    part_written_ = true;
    part_error_ = error;
  }
  changed_.notify_all();
}

void Saver::save_part(SaveReport& report, Clock::time_point begin) {
  fs::path directory = target_.checkpoints / step_folder_name(report.step);
  ManifestFile file;
  fs::path record = record_path(target_, saves_, target_.shard);
  try {
    make_step_folder(directory);
    sync_directory(target_.checkpoints);
    // A checkpoint of this step stays whole until the new manifest is renamed over the old one: so the new
    // file takes a name that the old manifest does not use.
    file.name = state_file_name(target_.start, target_.shard, false);
    if (names_file(directory, file.name)) file.name = state_file_name(target_.start, target_.shard, true);
    file.bytes = image_->memory().bytes();
    HashedFile written = write_hashed_file(directory / file.name, image_->memory());
    file.hash = written.xxh3;
    report.direct = written.direct;
    sync_directory(directory);
    if (target_.shard > 0) write_file_atomically(record, record_json(file, ""));
  } catch (const std::exception& error) {
    // The folder is shard 0's to take away: another shard may be between making it and writing into it, and
    // would blame the folder's absence instead of what went wrong here.
    std::error_code ignored;
    if (target_.shard > 0) {
      leave_failure(record, error.what());
    } else {
      fs::remove(directory, ignored);  // an empty one alone
    }
    throw;
  }
  set_part("");
  if (target_.shard > 0) {
    report.write_seconds = seconds_since(begin);
    return;
  }
  try {
    commit(report.step, file);
    report.write_seconds = seconds_since(begin);
  } catch (...) {
    // Where the manifest came into place and this alone could not be made durable, the checkpoint is there,
    // for all that one can see, and it may have replaced another of its step: its file stays.
    std::error_code ignored;
    if (!names_file(directory, file.name)) fs::remove(directory / file.name, ignored);
    fs::remove(directory, ignored);
    throw;
  }
  // The checkpoint exists: what goes wrong from here on is no failure of the save.
  tidy_up(target_.checkpoints, target_.workshop, target_.start, report.step, keep_);
}

void Saver::commit(int64_t step, const ManifestFile& own) {
  Manifest manifest;
  manifest.step = step;
  manifest.epoch = run_.epoch;
  manifest.start = target_.start;
  manifest.validation = run_.validation;
  manifest.files.push_back(own);
  for (int shard = 1; shard < target_.shards; ++shard) {
    fs::path record = record_path(target_, saves_, shard);
    wait_for_record(record);
    manifest.files.push_back(read_record(record, shard));
    std::error_code ignored;
    fs::remove(record, ignored);
  }
  fs::path aside = target_.workshop / fmt::format("{}.manifest.json", step_folder_name(step));
  write_file_atomically(aside, manifest_json(manifest));
  commit_from_workshop(target_.workshop, aside,
                       target_.checkpoints / step_folder_name(step) / Manifest::file_name);
}

void Saver::wait_for_record(const fs::path& record) {
  std::error_code ignored;
  for (auto pause = std::chrono::milliseconds(1); !fs::exists(record, ignored);
       pause = std::min(pause * 2, std::chrono::milliseconds(50))) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, pause, [this] { return !given_up_.empty(); });
    if (!given_up_.empty()) throw IoError("not all parts of it were written: {}", given_up_);
  }
}

bool Saver::part_failed() const {
  std::lock_guard lock(mutex_);
  return part_written_ && !part_error_.empty();
}

std::string Saver::wait_for_part() {
  std::unique_lock lock(mutex_);
  if (!writing_.joinable()) return part_error_;
  changed_.wait(lock, [this] { return part_written_; });
  return part_error_;
}

void Saver::wait() {
  if (writing_.joinable()) writing_.join();
}

void Saver::give_up(const std::string& reason) {
  {
    std::lock_guard lock(mutex_);
    given_up_ = reason;
  }
  changed_.notify_all();
}

std::vector<SaveReport> Saver::take_reports() {
  std::lock_guard lock(mutex_);
  reports_waiting_ = 0;
  return std::exchange(reports_, {});
}

}  // namespace trireme
