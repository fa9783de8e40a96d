// Who a process believes to be, from the environment that launchers give; and being asked to stop.
#include "comm/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "comm/mpi_defaults.h"
#include "comm/run_main.h"
#include "comm/signals.h"

namespace trireme {
namespace {

using testing::HasSubstr;

// Replaces all variables that matter by the given ones, and puts them back.
class Environment {
 public:
  explicit Environment(const std::map<std::string, std::string>& wanted) {
    for (const char* name : names_) {
      if (const char* value = std::getenv(name)) former_[name] = value;
      ::unsetenv(name);
    }
    for (const auto& [name, value] : wanted) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const char* name : names_) ::unsetenv(name);
    for (const auto& [name, value] : former_) ::setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  static constexpr std::array<const char*, 15> names_{"OMPI_COMM_WORLD_SIZE",
                                                      "OMPI_COMM_WORLD_RANK",
                                                      "OMPI_COMM_WORLD_LOCAL_SIZE",
                                                      "PMIX_RANK",
                                                      "SLURM_STEP_ID",
                                                      "SLURM_STEP_NUM_TASKS",
                                                      "SLURM_PROCID",
                                                      "SLURM_STEP_TASKS_PER_NODE",
                                                      "SLURM_NODEID",
                                                      "SLURM_NTASKS",
                                                      "SLURM_CPUS_ON_NODE",
                                                      "OMPI_MCA_mtl",
                                                      "OMPI_MCA_pml",
                                                      "OMPI_MCA_mpi_yield_when_idle",
                                                      "OMPI_MCA_hwloc_base_binding_policy"};
  std::map<std::string, std::string> former_;
};

TEST(Launch, NoLauncher) {
  Environment none({});
  Launch launch = launch_from_environment();
  EXPECT_EQ(launch.launcher, "none");
  EXPECT_EQ(launch.size, 1);
  EXPECT_EQ(rank_from_environment(), 0);
  World world;
  EXPECT_EQ(world.launcher(), "none");
  EXPECT_EQ(world.rank(), 0);
  EXPECT_EQ(world.size(), 1);
  EXPECT_EQ(world.hosts(), 1);
  EXPECT_EQ(world.local_size(), 1);
  EXPECT_EQ(world.communicator().name(), "self");
  EXPECT_FALSE(world.host().empty());
  EXPECT_EQ(world.host().find('.'), std::string::npos);
}

TEST(Launch, Mpirun) {
  Environment mpirun({{"OMPI_COMM_WORLD_SIZE", "4"},
                      {"OMPI_COMM_WORLD_RANK", "3"},
                      {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                      {"PMIX_RANK", "3"}});
  Launch launch = launch_from_environment();
  EXPECT_EQ(launch.launcher, "mpirun");
  EXPECT_EQ(launch.rank, 3);
  EXPECT_EQ(launch.size, 4);
  EXPECT_EQ(ranks_from_environment(), 4);
  EXPECT_EQ(launch.local_size, 2);
  EXPECT_EQ(rank_from_environment(), 3);
}

TEST(Launch, MpirunInsideASlurmStep) {
  Environment both({{"OMPI_COMM_WORLD_SIZE", "2"},
                    {"OMPI_COMM_WORLD_RANK", "1"},
                    {"PMIX_RANK", "1"},
                    {"SLURM_STEP_ID", "0"},
                    {"SLURM_STEP_NUM_TASKS", "2"},
                    {"SLURM_PROCID", "0"}});
  EXPECT_EQ(launch_from_environment().launcher, "mpirun");
  EXPECT_EQ(launch_from_environment().rank, 1);
}

TEST(Launch, SrunWithPmix) {
  Environment srun({{"PMIX_RANK", "6"},
                    {"SLURM_STEP_ID", "0"},
                    {"SLURM_STEP_NUM_TASKS", "7"},
                    {"SLURM_STEP_TASKS_PER_NODE", "2(x3),1"},
                    {"SLURM_NODEID", "3"},
                    {"SLURM_PROCID", "6"}});
  Launch launch = launch_from_environment();
  EXPECT_EQ(launch.launcher, "srun");
  EXPECT_EQ(launch.rank, 6);
  EXPECT_EQ(launch.size, 7);
  EXPECT_EQ(ranks_from_environment(), 7);
  EXPECT_EQ(launch.local_size, 1);
  ::setenv("SLURM_NODEID", "2", 1);
  EXPECT_EQ(launch_from_environment().local_size, 2);
  ::setenv("SLURM_STEP_TASKS_PER_NODE", "garbage", 1);
  EXPECT_EQ(launch_from_environment().local_size, 7);
}

TEST(Launch, SrunWithoutPmixIsRefused) {
  Environment srun({{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "3"}, {"SLURM_PROCID", "2"}});
  EXPECT_EQ(rank_from_environment(), 2);
  try {
    World world;
    FAIL() << "three lone ranks would each train alone";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("srun --mpi=pmix"));
    EXPECT_THAT(error.what(), HasSubstr("mpirun"));
  }
}

TEST(Launch, SrunWithoutPmixIsEnoughWhereRanksMeetByThemselves) {
  Environment srun({{"SLURM_STEP_ID", "0"},
                    {"SLURM_STEP_NUM_TASKS", "3"},
                    {"SLURM_STEP_TASKS_PER_NODE", "1,2"},
                    {"SLURM_NODEID", "1"},
                    {"SLURM_PROCID", "2"}});
  Launch launch = launch_from_environment(Meets::by_themselves);
  EXPECT_EQ(launch.launcher, "srun");
  EXPECT_EQ(launch.rank, 2);
  EXPECT_EQ(launch.size, 3);
  EXPECT_EQ(launch.local_size, 2);
}

TEST(Launch, OneTaskOfSrunWithoutPmixIsAlone) {
  Environment srun({{"SLURM_STEP_ID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_PROCID", "0"}});
  EXPECT_EQ(launch_from_environment().launcher, "none");
}

TEST(Launch, TheBatchScriptIsNoTask) {
  Environment batch({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_NODEID", "0"}});
  EXPECT_EQ(launch_from_environment().launcher, "none");
  EXPECT_EQ(ranks_from_environment(), 1);
  // Slurm's own steps, as the interactive shell of salloc.
  Environment interactive(
      {{"SLURM_STEP_ID", "4294967290"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "0"}});
  EXPECT_EQ(launch_from_environment().launcher, "none");
}

TEST(MpiDefaults, LeaveAloneWhatIsSet) {
  Environment set({{"OMPI_MCA_pml", "ob1"},
                   {"OMPI_MCA_mpi_yield_when_idle", "0"},
                   {"OMPI_MCA_hwloc_base_binding_policy", "core"}});
  Launch launch;
  launch.launcher = "srun";
  launch.local_size = 1000;
  set_mpi_defaults(launch);
  EXPECT_EQ(std::getenv("OMPI_MCA_mtl"), nullptr);
  EXPECT_STREQ(std::getenv("OMPI_MCA_mpi_yield_when_idle"), "0");
  EXPECT_STREQ(std::getenv("OMPI_MCA_hwloc_base_binding_policy"), "core");
}

TEST(MpiDefaults, YieldWhenRanksOutnumberCores) {
  Environment none({});
  Launch launch;
  launch.launcher = "srun";
  launch.local_size = 1000;
  set_mpi_defaults(launch);
  EXPECT_STREQ(std::getenv("OMPI_MCA_mpi_yield_when_idle"), "1");
  EXPECT_STREQ(std::getenv("OMPI_MCA_hwloc_base_binding_policy"), "none");
}

TEST(RunMain, CodesWithoutMpi) {
  Environment none({});
  auto code = [](const std::function<void()>& fault) {
    testing::internal::CaptureStderr();
    int result = run_main("trireme-test", 0, nullptr, [&](int, char**) {
      fault();
      return 0;
    });
    return std::make_pair(result, testing::internal::GetCapturedStderr());
  };
  EXPECT_EQ(code([] {}), std::make_pair(0, std::string()));
  EXPECT_EQ(code([] { throw ConfigError("run.toml:3:1: no such key"); }),
            std::make_pair(78, std::string("trireme-test: error: run.toml:3:1: no such key\n")));
  EXPECT_EQ(code([] { throw UsageError("x"); }).first, 64);
  EXPECT_EQ(code([] { throw DataError("x"); }).first, 65);
  EXPECT_EQ(code([] { throw CheckpointError("x"); }).first, 65);
  EXPECT_EQ(code([] { throw MissingInputError("x"); }).first, 66);
  EXPECT_EQ(code([] { throw IoError("x"); }).first, 74);
  EXPECT_EQ(code([] { throw std::bad_alloc(); }),
            std::make_pair(70, std::string("trireme-test: error: out of memory\n")));
  EXPECT_EQ(code([] { throw std::runtime_error("odd"); }),
            std::make_pair(70, std::string("trireme-test: error: internal error: odd\n")));
  EXPECT_EQ(code([] { throw 1; }).first, 70);
  EXPECT_EQ(run_main("x", 0, nullptr, [](int, char**) { return 75; }), 75);
}

// A thread of its own takes signals; it has 20 s.
bool wait_for_stop() {
  for (int i = 0; i < 20000 && !stop_requested(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return stop_requested();
}

TEST(Signals, SetAFlagAndNothingElse) {
  EXPECT_FALSE(stop_requested());
  for (int signal : {SIGTERM, SIGUSR1, SIGINT}) {
    StopSignals listening;
    EXPECT_FALSE(stop_requested()) << "a former signal must not linger";
    ::kill(::getpid(), signal);
    EXPECT_TRUE(wait_for_stop());
    EXPECT_EQ(stop_signal(), signal);
  }
  EXPECT_FALSE(stop_requested());
}

TEST(Signals, FormerHandlersComeBack) {
  static volatile sig_atomic_t seen = 0;
  ::signal(SIGUSR1, [](int) { seen = 1; });
  { StopSignals listening; }
  ::raise(SIGUSR1);
  EXPECT_EQ(seen, 1);
  EXPECT_FALSE(stop_requested());
  ::signal(SIGUSR1, SIG_DFL);
}

TEST(Signals, TheSecondCopyOfASignalDoesNotKill) {
  EXPECT_EXIT(
      {
        ::signal(SIGTERM, SIG_DFL);
        ::signal(SIGUSR1, SIG_DFL);
        {
          StopSignals listening;
          ::kill(::getpid(), SIGUSR1);
        }
        ::raise(SIGUSR1);  // ignored
        ::raise(SIGTERM);  // so is the other, which comes when the time is up
        ::_exit(2);
      },
      testing::ExitedWithCode(2), "");
}

TEST(Signals, KillAsEverWhereNoneHasCome) {
  EXPECT_EXIT(
      {
        ::signal(SIGTERM, SIG_DFL);
        { StopSignals listening; }
        ::raise(SIGTERM);
        ::_exit(2);
      },
      testing::KilledBySignal(SIGTERM), "");
}

// oneDNN's products do so: the stack register points into a small block of the heap for a while. A signal
// that comes then must not be handled there, or its frame is written over what lies below.
TEST(Signals, WriteNothingWhereTheStackRegisterPoints) {
  constexpr size_t below = 64 << 10, stack = 1 << 10;
  static std::vector<std::byte> heap;
  static ucontext_t here, elsewhere;
  heap.assign(below + stack, std::byte{0x5a});
  StopSignals listening;
  getcontext(&elsewhere);
  elsewhere.uc_stack.ss_sp = heap.data() + below;
  elsewhere.uc_stack.ss_size = stack;
  elsewhere.uc_link = &here;
  std::atomic<bool> there{false};
  static std::atomic<bool>* arrived;
  arrived = &there;
  makecontext(
      &elsewhere,
      [] {
        arrived->store(true);
        while (!stop_requested()) {
        }
      },
      0);
  std::thread sender([&] {
    while (!there) std::this_thread::yield();
    ::kill(::getpid(), SIGUSR1);
  });
  swapcontext(&here, &elsewhere);
  sender.join();
  EXPECT_EQ(std::count(heap.begin(), heap.begin() + below, std::byte{0x5a}), static_cast<long>(below));
}

TEST(Signals, ASecondInterruptKills) {
  EXPECT_EXIT(
      {
        StopSignals listening;
        ::kill(::getpid(), SIGINT);
        if (!wait_for_stop()) ::_exit(1);
        ::kill(::getpid(), SIGINT);
        std::this_thread::sleep_for(std::chrono::seconds(20));
        ::_exit(2);
      },
      testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace trireme
