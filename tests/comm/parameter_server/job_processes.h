// Starting, killing and judging the processes of a toy job (toy_job.cpp).
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/process.h"
#include "support/temporary_folder.h"

namespace trireme::test {

struct ToyJob {
  int servers = 1;
  int workers = 2;
  std::vector<std::string> arguments;  // "--name", "value", ...

  TemporaryFolder folder;
  std::vector<std::unique_ptr<Process>> server, worker;

  void start() {
    for (int i = 0; i < servers; ++i) start_server(i);
    for (int i = 0; i < workers; ++i) start_worker();
  }
  void start_server(int index) {
    server.push_back(begin("server", fmt::format("server-{}", index), {"--index", std::to_string(index)}));
  }
  void start_worker(std::vector<std::string> more = {}) {
    worker.push_back(begin("worker", fmt::format("worker-{}", worker.size()), std::move(more)));
  }
  // Everything that was said.
  std::string all() const {
    std::string text;
    for (const auto& one : server) text += "--- server\n" + one->output();
    for (const auto& one : worker) text += "--- worker\n" + one->output();
    return text;
  }

 private:
  std::unique_ptr<Process> begin(const std::string& role, const std::string& name,
                                 std::vector<std::string> more) {
    std::vector<std::string> words{TOY_JOB,     role,
                                   "--servers", std::to_string(servers),
                                   "--pieces",  std::to_string(workers),
                                   "--meeting", (folder / "meeting.json").string()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    words.insert(words.end(), more.begin(), more.end());
    return std::make_unique<Process>(words, (folder / name).string());
  }
};

}  // namespace trireme::test
