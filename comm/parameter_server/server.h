// A server: holds shards, takes pushes, and, as the coordinator, hands out tickets. Its work is done by a
// thread of its own beside the threads that apply.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/parameter_server/coordinator.h"
#include "comm/parameter_server/messages.h"
#include "comm/parameter_server/shard.h"

namespace trireme {

// A shard that this server has, as primary or as backup.
struct HostedShard {
  int32_t shard = 0;
  ShardLayout layout;
  ShardRules* rules = nullptr;                         // outlives the server
  std::function<void(std::span<float>)> start_values;  // fills layout.size() floats
  // The rows of state beside the values (optimizer slots), each of layout.elements() floats.
  std::function<std::vector<std::span<const float>>(ShardState)> slots;
};

struct ServerOptions {
  std::filesystem::path meeting;  // the file, see meeting.h
  std::string job;                // launch_identity(); the members of one launch meet by it
  int32_t server = 0;
  int32_t servers = 1;
  int32_t replicas = 1;  // 2: shard k is held by server (k + 1) % servers too
  CoordinatorOptions coordinator;
  bool collect_clocks = false;     // see ShardOptions
  int32_t threads = 1;             // that apply
  std::string transports = "";     // see UcxOptions
  uint64_t fingerprint = 0;        // of what all must agree on: others are refused
  uint64_t start_fingerprint = 0;  // of what servers must agree on beside: the state that they start from
  int64_t start = 0;               // see ServerMeeting
  bool resumable = false;          // there is a checkpoint: a job that breaks ends with 75, else 70
  double start_seconds = 120;      // for all servers to meet
  double patience_seconds = 300;   // without any worker, after which the job ends
};

// One row of one shard's state.
struct StateRow {
  int32_t shard = 0;
  int32_t row = 0;  // 0: the values; 1...: slots
  std::span<const float> values;
};

// Called in the server's thread: short, no exceptions.
struct ServerEvents {
  // The least clock above `after` at which a cut is to be taken; end_clock or more: none. The same function
  // on all servers.
  std::function<int64_t(int64_t after)> next_cut;
  // Coordinator: a ticket is done. `clocks_done`: Coordinator::complete() after it.
  std::function<void(const TicketReport&, int64_t clocks_done)> ticket_done;
  // Coordinator: the state after exactly `clock` clocks, all rows of all shards. It stays until take_cut().
  // `last`: no more tickets will come.
  std::function<void(int64_t clock, std::vector<StateRow> rows, bool last)> cut;
  // This server has become the coordinator, at the start or since the one before it died.
  std::function<void(bool at_start)> coordinates;
  // Worth a line in the log. `warning`: something was lost or is at risk.
  std::function<void(const std::string& text, bool warning)> tell;
  // The job is over for this server: exit code, and why.
  std::function<void(const EndOfJob&)> end;
};

// Workers as metrics see them.
struct ServerFigures {
  int32_t workers = 0;  // present
  int64_t workers_lost = 0;
  uint64_t pushes = 0;  // applied on the shards of this server
  uint64_t duplicates = 0;
  uint64_t fenced = 0;
  uint64_t refused_messages = 0;  // from strangers, or malformed
  uint64_t received_bytes = 0;
  std::vector<uint64_t> staleness =
      std::vector<uint64_t>(32);  // pushes by staleness in updates; the last: that and more
  std::vector<Coordinator::WorkerFigures> by_worker;
};

class ParameterServer {
 public:
  // Starts to serve. Throws CommError where UCX or memory fails; what goes wrong later comes by events.end.
  ParameterServer(ServerOptions options, std::vector<HostedShard> shards, ServerEvents events);
  // Ends the thread, whatever it is doing.
  ~ParameterServer();
  ParameterServer(const ParameterServer&) = delete;
  ParameterServer& operator=(const ParameterServer&) = delete;

  // All of these are for any thread.
  // The rows of the cut at `clock` have been used.
  void take_cut(int64_t clock);
  // Hand out no further clocks: the run ends with what has been handed out. On any server.
  void stop();
  // Coordinator: tells everybody that the job is over, and ends the server. events.end follows.
  void finish(const EndOfJob& end);
  void set_resumable();
  // Coordinator: new tickets' figures.
  ServerFigures figures() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

// Which servers hold which shards at the start.
ShardMap first_map(int32_t servers, int32_t replicas);

}  // namespace trireme
