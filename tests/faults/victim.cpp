// A whole run of a tiny net, for the shim to break: claim, training, checkpoints beside it,
// keeping two of them; a run that is there goes on. Says each step when it is done, and the parameters' hash
// at the end.
//
//   faults_victim DATA.h5 RUN-DIRECTORY HOSTS [--fresh]    a rank, a thread here, on each of so many hosts:
//   all write faults_victim --replace CHECKPOINTS 1        saves one step twice: the second takes the place
//   of the first
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "base/error.h"
#include "checkpoint/writer.h"
#include "comm/thread_ranks.h"
#include "config/config.h"
#include "faults/victim_run.h"
#include "train/train.h"

namespace {

using namespace trireme;

// Past stdio: what was said is there when the process is killed.
void say(const std::string& line) {
  [[maybe_unused]] ssize_t told = ::write(STDOUT_FILENO, line.data(), line.size());
}

// Of the rank that this thread is.
thread_local int host = 0;

int train_it(const std::string& data, const std::string& run_directory, int hosts, bool fresh) {
  Config config = test::victim_config(data);
  int code = 0;
  run_ranks(hosts, [&](Communicator& communicator) {
    host = communicator.rank();
    TrainOptions options;
    options.run_directory = run_directory;
    options.quiet = true;
    options.fresh = fresh;
    if (host > 0) {
      train(config, communicator, options);
      return;
    }
    options.hooks.after_step = [](const TrainRecord& record) { say(fmt::format("step {}\n", record.step)); };
    options.hooks.after_checkpoint = [](int64_t step) { say(fmt::format("checkpoint {}\n", step)); };
    TrainResult result = train(config, communicator, options);
    say(fmt::format("sha256 {}\n", result.parameters_sha256));
    code = static_cast<int>(result.state == Outcome::finished ? ExitCode::done : ExitCode::stopped);
  });
  return code;
}

int replace_it(const std::string& checkpoints) {
  for (int version : {1, 2}) {
    test::VictimState state(version);
    save_checkpoint(checkpoints, state.content, {1});
    say(fmt::format("saved {}\n", version));
  }
  return 0;
}

}  // namespace

// In place of libc's: ranks of one process on several hosts.
extern "C" int gethostname(char* name, size_t length) noexcept {
  std::snprintf(name, length, "victim-host-%d", host);
  return 0;
}

int main(int argc, char** argv) {
  if (argc < 4) return static_cast<int>(ExitCode::usage);
  try {
    if (std::string(argv[1]) == "--replace") return replace_it(argv[2]);
    return train_it(argv[1], argv[2], std::stoi(argv[3]), argc > 4 && std::string(argv[4]) == "--fresh");
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "internal error: %s\n", error.what());
    return static_cast<int>(ExitCode::internal);
  }
}
