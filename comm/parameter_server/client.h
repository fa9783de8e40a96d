// A worker's side: tickets, pulls and pushes. One thread calls; a thread of the client's own talks to the
// servers meanwhile, so that a worker that computes for long is known to live.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/parameter_server/codec.h"
#include "comm/parameter_server/messages.h"
#include "comm/parameter_server/shard.h"

namespace trireme {

struct ClientOptions {
  std::filesystem::path meeting;  // see meeting.h
  std::string job;                // of the launch; empty: whatever job is there (a worker that joins later)
  int32_t rank = -1;              // in the launch; -1: joins later
  uint64_t fingerprint = 0;
  std::string transports = "";
  double lease_seconds = 10;     // a server that is silent for so long is gone
  double start_seconds = 120;    // to find the servers
  double patience_seconds = 60;  // to be let in again, once the coordinator is gone
  // A pull sees this worker's own pushes: it waits for their acknowledgements. Not with collected clocks,
  // where those come when the others have pushed, too.
  bool sees_own_pushes = true;
  int32_t most_outstanding = 2;  // tickets pushed and not yet acknowledged
  // How values and gradients travel. mapped: where the server is on this machine each reads the other's
  // memory where it lies, else by messages. gets: values by one-sided gets, for networks that do them (RDMA):
  // where UCX 1.13 makes them of messages it aborts a server whose reader dies. messages: always.
  enum class Transfer : uint8_t { mapped, gets, messages } transfer = Transfer::mapped;
};

// What a shard looks like, the same on servers and workers, and where its values go.
struct ClientShard {
  ShardLayout layout;
  std::vector<std::span<float>> values;  // layout.size() floats in all, in order
};

// What is pushed to one shard.
struct PushSource {
  Gradient gradient;
  std::span<float> residual{};  // see Encoder
  size_t top_k = 0;
};

struct PullReport {
  double seconds = 0;
  double wait_seconds = 0;  // for acknowledgements before
  uint64_t bytes = 0;
  uint64_t torn_blocks = 0;        // fetched again
  std::vector<uint64_t> versions;  // by shard: updates_in()
};

class ParameterServerClient {
 public:
  // Finds the servers and joins. Where the job of that name is over already, end() tells so. Throws CommError
  // when there are no servers within start_seconds, ConfigError when they run something else.
  ParameterServerClient(ClientOptions options, std::vector<ClientShard> shards);
  // Leaves in good order where the job is not over.
  ~ParameterServerClient();
  ParameterServerClient(const ParameterServerClient&) = delete;
  ParameterServerClient& operator=(const ParameterServerClient&) = delete;

  int32_t worker() const;
  int32_t pieces() const;
  bool resumable() const;
  int64_t times_joined() const;  // more than 1: it was taken for dead, or lost its servers, and came back

  // The next ticket. Waits; nothing when the run has no more of them or the job is over.
  std::optional<Ticket> next();
  // Fetches all shards' values.
  PullReport pull();
  // Takes copies, and sends them. `report` needs its times and figures; the rest is filled in. A ticket from
  // before this worker came back is dropped.
  void push(Ticket ticket, PayloadFormat format, std::span<const PushSource> shards, const PullReport& pulled,
            TicketReport report);
  // Until all pushes are acknowledged (or the job is over).
  void wait_for_pushes();
  // Tells the coordinator.
  void stop();
  void fail(const EndOfJob& why);
  // After next() gave nothing: waits for the job's end and says how it ended.
  EndOfJob wait_for_end();
  // Whether the job is over already.
  std::optional<EndOfJob> end() const;

 private:
  class Link;
  std::unique_ptr<Link> link_;
};

}  // namespace trireme
