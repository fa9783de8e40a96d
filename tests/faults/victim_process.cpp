#include "faults/victim_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "base/error.h"
#include "checkpoint/manifest.h"
#include "checkpoint/reader.h"
#include "faults/victim_run.h"
#include "support/toy_images.h"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr auto victim_limit = std::chrono::seconds(60);

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The number after the last `word` that begins a line; 0: none.
int64_t last_number(const std::string& text, const std::string& word) {
  int64_t last = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(word + " ")) last = std::stoll(line.substr(word.size() + 1));
  }
  return last;
}

// Into `calls` and `hit`.
void read_calls(const fs::path& path, VictimEnd& end) {
  std::map<int64_t, Call> found;  // two threads: lines may come out of order
  std::istringstream lines(text_of(path));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    int64_t number = 0;
    if (line.starts_with("done ")) {
      std::string done;
      int64_t result = 0;
      words >> done >> number >> result;
      found[number].ended = true;
      found[number].result = result;
    } else if (line.starts_with("meant ")) {
      end.hit = std::stoll(line.substr(6));
    } else {
      std::string name, called;
      words >> number >> name;
      std::getline(words >> std::ws, called);
      found[number].name = name;
      found[number].path = called;
    }
  }
  // A thread that was killed after it took its number has left no line.
  if (!found.empty()) end.calls.resize(static_cast<size_t>(found.rbegin()->first));
  for (auto& [number, call] : found) end.calls.at(static_cast<size_t>(number - 1)) = std::move(call);
}

// The environment of this process without what would change the victim, and with the shim's.
std::vector<std::string> environment_with(const std::vector<std::string>& more) {
  std::vector<std::string> words = more;
  words.emplace_back("OMP_NUM_THREADS=1");
  for (char** one = environ; *one != nullptr; ++one) {
    std::string word = *one;
    if (word.starts_with("SLURM_") || word.starts_with("OMP_NUM_THREADS=") || word.starts_with("FAULTS_"))
      continue;
    words.push_back(word);
  }
  return words;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

int wait_for(pid_t pid) {
  Clock::time_point begin = Clock::now();
  int status = 0;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (Clock::now() - begin > victim_limit) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, &status, 0);
      return 124;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

// Of all that may lie in checkpoints/.
std::string wrong_with_checkpoints(const fs::path& checkpoints, int64_t least) {
  int starts = 0;
  int64_t whole = 0;
  for (const std::string& name : names_in(checkpoints)) {
    std::set<std::string> inside = names_in(checkpoints / name);
    if (name.starts_with("start-")) {
      ++starts;
      if (inside.size() != 1) return fmt::format("leftovers in {}: {}", name, joined(inside));
      continue;
    }
    if (step_of_folder_name(name) < 0) return fmt::format("a leftover in checkpoints/: {}", name);
    std::set<std::string> named{Manifest::file_name};
    try {
      Checkpoint checkpoint(checkpoints / name);
      for (const ManifestFile& file : read_manifest(checkpoints / name).files) named.insert(file.name);
    } catch (const Error& error) {
      return fmt::format("no whole checkpoint: {}", error.what());
    }
    if (inside != named) return fmt::format("leftovers in {}: {}", name, joined(inside));
    ++whole;
  }
  if (starts != 1) return fmt::format("{} starts' folders", starts);
  if (whole < least || whole > victim_keep) return fmt::format("{} checkpoints", whole);
  return "";
}

}  // namespace

int64_t VictimEnd::last_step() const { return last_number(output, "step"); }

int64_t VictimEnd::last_saved() const { return last_number(output, "saved"); }

int64_t VictimEnd::last_commit() const {
  int64_t last = 0;
  for (const Call& call : calls) {
    fs::path path = call.path;
    int64_t step = step_of_folder_name(path.parent_path().filename().string());
    if (call.name.starts_with("rename") && call.ended && call.result == 0 &&
        path.filename() == Manifest::file_name) {
      last = std::max(last, step);
    }
  }
  return last;
}

Victims::Victims(int hosts) : hosts_(hosts) { write_toy_images(folder_ / "data.h5", {.count = 64}); }

VictimEnd Victims::run(const std::string& name, const Fault* fault) const {
  return start({{}, folder_ / "data.h5", {}}, name, fault);
}

VictimEnd Victims::run_afresh(const std::string& name, const Fault* fault) const {
  return start({{}, folder_ / "data.h5", {"--fresh"}}, name, fault);
}

VictimEnd Victims::run_traced(const std::string& name, const std::string& strace,
                              const fs::path& trace) const {
  const Fault counting;
  return start({{strace, "-f", "-y", "-s", "0", "-o", trace}, folder_ / "data.h5", {}}, name, &counting);
}

VictimEnd Victims::replace(const std::string& name, const Fault* fault) const {
  return start({{}, "--replace", {}}, name, fault);
}

VictimEnd Victims::start(const Arguments& arguments, const std::string& name, const Fault* fault) const {
  fs::path log = folder_ / (name + ".calls");
  fs::path output = folder_ / (name + ".output");
  fs::path errors = folder_ / (name + ".errors");
  fs::remove(log);
  std::vector<std::string> more;
  if (fault != nullptr) {
    more = {"LD_PRELOAD=" TRIREME_FAULTS_SHIM,
            "FAULTS_ROOT=" + run_directory(name).string(),
            "FAULTS_LOG=" + log.string(),
            "FAULTS_AT=" + std::to_string(fault->at),
            "FAULTS_ONLY=" + fault->only,
            "FAULTS_DO=" + fault->deed,
            "FAULTS_ERROR=" + std::to_string(fault->error)};
  }
  std::vector<std::string> command = arguments.before;
  for (const std::string& word : {std::string(TRIREME_BINARY_DIR "/bin/faults_victim"), arguments.first,
                                  run_directory(name).string(), std::to_string(hosts_)}) {
    command.push_back(word);
  }
  command.insert(command.end(), arguments.last.begin(), arguments.last.end());
  std::vector<std::string> environment = environment_with(more);
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ::posix_spawn_file_actions_addopen(&files, 2, errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  pid_t pid = -1;
  int error = ::posix_spawn(&pid, command[0].c_str(), &files, nullptr, pointers(command).data(),
                            pointers(environment).data());
  ::posix_spawn_file_actions_destroy(&files);
  if (error != 0) throw std::runtime_error("cannot start " + command[0]);
  VictimEnd end;
  end.code = wait_for(pid);
  end.output = text_of(output);
  end.errors = text_of(errors);
  if (fault != nullptr) read_calls(log, end);
  return end;
}

void Victims::copy(const std::string& from, const std::string& to) const {
  fs::copy(run_directory(from), run_directory(to), fs::copy_options::recursive);
}

void Victims::remove(const std::string& name) const {
  for (const char* kind : {"", ".calls", ".output", ".errors"}) fs::remove_all(folder_ / (name + kind));
}

std::string sha256_of(const fs::path& run_directory) {
  nlohmann::json summary =
      nlohmann::json::parse(text_of(run_directory / "summary.json"), nullptr, /*allow_exceptions=*/false);
  return summary.is_object() ? summary.value("parameters_sha256", "") : "";
}

std::string wrong_with_finished_run(const fs::path& run_directory, const std::string& sha256, int64_t least) {
  nlohmann::json summary =
      nlohmann::json::parse(text_of(run_directory / "summary.json"), nullptr, /*allow_exceptions=*/false);
  if (!summary.is_object() || summary.value("state", "") != "finished") {
    return "summary.json does not say finished: " + text_of(run_directory / "summary.json");
  }
  if (summary.value("parameters_sha256", "") != sha256) return "other parameters";
  if (summary.value("steps", int64_t{0}) != victim_steps) return "another number of steps";
  return wrong_with_checkpoints(run_directory / "checkpoints", least);
}

int64_t newest_whole_step(const fs::path& run_directory, std::string& wrong) {
  int64_t newest = 0;
  for (const CheckpointEntry& entry : list_checkpoints(run_directory / "checkpoints")) {
    try {
      Checkpoint checkpoint(entry.directory);
      newest = std::max(newest, checkpoint.run().step);
    } catch (const Error& error) {
      wrong += fmt::format("not whole: {}\n", error.what());
    }
  }
  return newest;
}

void deal_out(size_t count, const std::function<void(size_t)>& deal) {
  std::atomic<size_t> next{0};
  auto work = [&] {
    for (size_t i = next++; i < count; i = next++) deal(i);
  };
  std::future<void> other = std::async(std::launch::async, work);
  work();
  other.get();
}

bool all_of_them() { return std::getenv("TRIREME_FAULTS_ALL") != nullptr; }

std::string tally_text(const std::map<std::string, int>& tally) {
  std::string text;
  for (const auto& [name, count] : tally)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
  return text;
}

}  // namespace trireme::test
