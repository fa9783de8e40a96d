#include "train/parameter_server/run.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "comm/parameter_server/meeting.h"
#include "train/parameter_server/server_run.h"
#include "train/parameter_server/worker_run.h"

namespace trireme {
namespace {

EndOfJob end_of(const std::exception& error) {
  const auto* typed = dynamic_cast<const Error*>(&error);
  return {static_cast<int32_t>(typed != nullptr ? typed->code() : ExitCode::internal), error.what()};
}

// Both in one process: the worker in a thread of its own.
EndOfJob run_both(ProcessSetting setting) {
  std::atomic<bool> over{false};
  std::mutex mutex;
  std::optional<EndOfJob> failure;
  TrainOptions worker_options = setting.options;
  worker_options.stop_requested = {};  // the server's to notice
  ProcessSetting of_worker{setting.config, worker_options, setting.launch, setting.roles, setting.job, {}, {}};
  of_worker.server_is_over = [&over] { return over.load(); };
  setting.worker_failure = [&] {
    std::lock_guard lock(mutex);
    return failure;
  };
  std::thread worker([&] {
    try {
      run_worker(of_worker);
    } catch (const std::exception& error) {
      std::lock_guard lock(mutex);
      failure = end_of(error);
      if (setting.options.console != nullptr)
        fmt::print(setting.options.console, "worker of rank {} on {}: {}\n", setting.launch.rank, host_name(),
                   error.what());
    }
  });
  EndOfJob end;
  std::exception_ptr thrown;
  try {
    end = run_server(setting, true);
  } catch (...) {
    thrown = std::current_exception();
  }
  over = true;
  worker.join();
  if (thrown) std::rethrow_exception(thrown);
  return end;
}

}  // namespace

int run_parameter_server(const Config& config, const Launch& launch, const Roles& roles,
                         const TrainOptions& options) {
  ProcessSetting setting{config, options, launch, roles, roles.joins ? "" : launch_identity()};
  if (roles.serves() && roles.works) return run_both(setting).code;
  if (roles.serves()) return run_server(setting, false).code;
  EndOfJob end = run_worker(setting);
  bool told_by_others = end.code == static_cast<int32_t>(ExitCode::done) || end.text.starts_with("stopped");
  if (!told_by_others && options.console != nullptr) {
    fmt::print(options.console, "worker of rank {} on {}: {}\n", launch.rank, host_name(), end.text);
  }
  return end.code;
}

}  // namespace trireme
