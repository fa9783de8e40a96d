// Nobody waits for ever without being told for whom: a thread of every process, out of MPI's way.
//
// Every rank's watchdog keeps a TCP connection to rank 0's and tells it twice a second what its rank is doing
// (activity.h, 112 bytes); rank 0's keeps the table (watch_table.h), answers with a beat, and judges. When
// the job must end, rank 0 prints one line that names ranks, hosts, operation and step, tells all others, and
// every process leaves by _exit: with 75 where there is a checkpoint to go on from, else with 70. No MPI call
// is made: one that involves a dead rank would not return. A connection that breaks tells of a killed process
// within milliseconds, whoever may or may not be there to notice its death; silence tells of a stopped one,
// or of a host that is cut off. Rank 0's own silence or loss is told by the others, who then end by
// themselves.
//
// One connection a rank at rank 0: as many descriptors as ranks, and some 250 bytes a second each.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "comm/communicator.h"

namespace trireme {

class Watchdog {
 public:
  // Collective over `group`, whose Activity is watched. A rank that cannot reach rank 0 says so on standard
  // error and is not judged. Throws CommError.
  Watchdog(Communicator& group, double timeout_seconds);
  // An orderly end: the others are told that this rank has left.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // This rank fails and is about to end the job with its own message and code: the others leave that to it
  // for a while. The watch ends.
  void fail();

 private:
  class Server;
  class Client;
  class Watch;
  std::unique_ptr<Watch> watch_;
};

// Ends this process where a phase takes longer than it may: MPI_Init and MPI_Finalize, which no watch by
// connections can cover.
class LocalDeadline {
 public:
  // After `seconds` (0: never) it prints "PROGRAM: error: WHAT has not returned within SECONDS s" and ends by
  // _exit: with 75 where the job is resumable, else 70.
  LocalDeadline(std::string what, double seconds, bool resumable = false);
  ~LocalDeadline();
  LocalDeadline(const LocalDeadline&) = delete;
  LocalDeadline& operator=(const LocalDeadline&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace trireme
