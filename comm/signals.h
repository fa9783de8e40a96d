// Being asked to stop: by scancel, by Slurm's --signal before the time limit, by Ctrl-C.
#pragma once

#include <csignal>
#include <thread>

namespace trireme {

// While one lives, SIGTERM, SIGUSR1 and SIGINT set a flag and do nothing else. They are blocked in the
// calling thread, and so in all threads made after it, and taken by a thread of its own: no handler ever runs
// on a thread that computes. oneDNN's matrix products point the stack register into a small buffer of the
// heap, and the frame that the kernel would push there for a handler (with AVX-512 state, several KiB)
// overwrites what lies below it. So make it in main, before anything that has threads.
//
// The destructor puts everything back and clears the flag; only when SIGTERM or SIGUSR1 has come are
// both ignored from then on, since launchers deliver them twice. One at a time. A second SIGINT kills at once, so
// that Ctrl-C twice always works.
//
// Make it before the World, so that it outlives MPI_Finalize: ranks agree on stopping, and a rank that leaves
// on another's word may still have its own signal to come. The price: srun -K1 ends the ranks that wait for a
// killed one by SIGTERM first, which is held here, and by SIGKILL only after Slurm's KillWait (30 s): the
// watchdog, which sees the death itself, ends them within a second or two. A rank that fails by an exception
// takes the others down at once (run_main).
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  void listen();

  sigset_t former_mask_{};
  int signals_ = -1;  // a descriptor from which the blocked signals are read
  int wake_ = -1;
  std::thread thread_;
};

// Whether one of the signals has come since StopSignals was made: one relaxed atomic load, poll it anywhere.
// A signal may reach ranks at different steps: agree on it (all_reduce max) before acting.
bool stop_requested();

// The signal's number, 0 when none has come.
int stop_signal();

}  // namespace trireme
