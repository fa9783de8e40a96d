#include "comm/world.h"

#include <chrono>
#include <csignal>
#include <exception>
#include <optional>

#include "base/error.h"
#include "comm/fabric.h"
#include "comm/fatal_signals.h"
#include "comm/local_letters.h"
#include "comm/mpi_communicator.h"
#include "comm/mpi_defaults.h"
#include "comm/mpi_meeting.h"
#include "comm/select.h"
#include "comm/watchdog.h"

namespace trireme {

World::World(const CommOptions& options)
    : options_(options), host_(host_name()), exceptions_at_birth_(std::uncaught_exceptions()) {
  Launch launch = launch_from_environment();
  launcher_ = launch.launcher;
  Fabric fabric(options, launch);
  if (launcher_ == "none") {
    communicator_ = make_self_communicator();
    return;
  }
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (initialized) throw CommError("MPI is initialised already: a process has one World, made once");

  set_mpi_defaults(launch);
  // A write to a rank that has died must not kill this one too: the watchdog ends the job, with a message and
  // the code.
  std::signal(SIGPIPE, SIG_IGN);
  auto start = std::chrono::steady_clock::now();
  int provided = 0;
  std::optional<LocalDeadline> deadline;  // until the watchdog stands
  deadline.emplace("starting MPI (MPI_Init and what ranks tell each other first)", options.timeout_seconds);
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
  tell_fatal_signals_again();
  init_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (provided < MPI_THREAD_MULTIPLE) {
    throw CommError(
        "this MPI does not grant MPI_THREAD_MULTIPLE, which the communication thread needs: "
        "use an Open MPI built with thread support (ompi_info | grep Thread)");
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");

  MPI_Comm node = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node),
            "MPI_Comm_split_type");
  check_mpi(MPI_Comm_rank(node, &local_rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(node, &local_size_), "MPI_Comm_size");
  check_mpi(MPI_Comm_free(&node), "MPI_Comm_free");
  int first = local_rank_ == 0 ? 1 : 0;  // a node is where some rank is the first
  check_mpi(MPI_Allreduce(&first, &hosts_, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD), "MPI_Allreduce");

  network_ = fabric.check(MPI_COMM_WORLD, hosts_);
  Selection selection = make_world_communicator(MPI_COMM_WORLD, options, std::make_shared<Activity>());
  communicator_ = std::move(selection.communicator);
  backend_ = selection.description;
  timeout_seconds_ = options.timeout_seconds;
  if (timeout_seconds_ > 0 && size_ > 1)
    watchdog_ = std::make_unique<Watchdog>(*communicator_, timeout_seconds_);
  owns_mpi_ = true;
}

Meeting World::meeting() {
  return owns_mpi_ ? make_mpi_meeting(MPI_COMM_WORLD, options_) : make_lone_meeting();
}

World::~World() {
  bool failing = std::uncaught_exceptions() != exceptions_at_birth_;
  bool resumable = communicator_ && communicator_->activity().snapshot().resumable;
  if (failing && watchdog_) watchdog_->fail();
  communicator_.reset();  // collective where nothing fails: still under watch
  watchdog_.reset();
  if (!owns_mpi_ || failing) return;
  LocalDeadline deadline("MPI_Finalize", timeout_seconds_, resumable);
  // MPI_Finalize meets in the launcher's PMIx server. A rank that waits there while another ends the job has
  // mpirun deadlock or crash (Open MPI 4.1), so all meet here first.
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Finalize();
}

}  // namespace trireme
