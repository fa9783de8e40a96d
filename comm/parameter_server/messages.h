// What servers and workers say to each other.
//
// Two kinds of active messages: `control_message` carries a small packed message as its data, behind a Word
// and the sender's token; `payload_message` carries a packed PayloadHeader as its header and gradients or
// state as its data. A token is drawn by whoever connects, told in its Hello, and stands in everything that
// it sends; what comes with an unknown one is dropped.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/parameter_server/pack.h"
#include "comm/parameter_server/ticket.h"

namespace trireme {

inline constexpr unsigned control_message = 1;
inline constexpr unsigned payload_message = 2;
inline constexpr size_t longest_control = size_t{1} << 20;

enum class Word : uint8_t {
  hello,      // anybody to a server: who I am
  welcome,    // coordinator to a worker: who you are
  refused,    // server to anybody: there is no place for you, since ...
  roster,     // coordinator to servers: who all the servers are
  keys,       // server to a worker: where my shards lie
  map,        // coordinator to all: who holds which shard
  next,       // worker to coordinator: a ticket, please
  answer,     // coordinator to worker: a ticket, or the end
  done,       // worker to coordinator: all shards have acknowledged a ticket
  done_ack,   // coordinator to worker
  ack,        // server to worker: of a push; backup to primary: of what was forwarded
  pull,       // worker to server: these blocks, please
  pulled,     // server to worker: their versions before and after they were sent
  beat,       // anybody to a server: I live
  leave,      // worker to coordinator: in good order
  fail,       // anybody to coordinator: the job cannot go on, since ...
  stop,       // anybody to coordinator: asked to stop
  fence,      // coordinator to servers and to the worker: pushes of this incarnation count no more
  windows,    // new coordinator to servers: what have your shards applied?
  window,     // server to new coordinator
  gather,     // coordinator to servers: all tickets are done: your state, please
  cut_taken,  // coordinator to servers: the cut is no longer needed
  resumable,  // coordinator to all: there is a checkpoint to go on from
  end,        // coordinator to all: the job is over
};

struct Hello {
  uint64_t session = 0;  // of the meeting: a stranger does not know it
  uint64_t token = 0;
  int32_t server = -1;  // a server's number; -1: a worker
  int32_t worker = -1;  // as welcomed by the coordinator; -1: a new one
  int64_t incarnation = -1;
  int32_t rank = -1;  // in the launch; -1: joined later
  int64_t process = 0;
  uint64_t fingerprint = 0;  // of what all must agree on
  std::string host;
  std::string space;                 // process_space()
  std::vector<std::byte> address;    // of the sender's UcxWorker
  std::vector<int64_t> outstanding;  // ticket numbers that it holds, after a change of coordinator
  template <class Fields>
  void fields(Fields& f) {
    f(session, token, server, worker, incarnation, rank, process, fingerprint, host, space, address,
      outstanding);
  }
};

// How a server is reached.
struct ServerCard {
  int32_t server = 0;
  uint64_t token = 0;
  int64_t process = 0;
  std::string host;
  std::string space;
  std::vector<std::byte> address;
  template <class Fields>
  void fields(Fields& f) {
    f(server, token, process, host, space, address);
  }
};

// Who holds which shard.
struct ShardMap {
  uint64_t epoch = 0;  // rises with every change
  int32_t coordinator = 0;
  std::vector<int32_t> primary;  // server of shard k
  std::vector<int32_t> backup;   // -1: none
  template <class Fields>
  void fields(Fields& f) {
    f(epoch, coordinator, primary, backup);
  }
};

struct Roster {
  ShardMap map;
  std::vector<ServerCard> servers;
  template <class Fields>
  void fields(Fields& f) {
    f(map, servers);
  }
};

struct Welcome {
  int32_t worker = 0;
  int64_t incarnation = 0;
  int32_t pieces = 1;
  uint8_t resumable = 0;  // there is a checkpoint to go on from
  ShardMap map;
  template <class Fields>
  void fields(Fields& f) {
    f(worker, incarnation, pieces, resumable, map);
  }
};

struct ShardKey {
  int32_t shard = 0;
  int32_t descriptor = -1;       // of the memory, in the server's process
  uint64_t address = 0;          // of the version words; values version_bytes(blocks) behind
  std::vector<uint64_t> bounds;  // of the blocks, elements: one more than blocks
  std::vector<std::byte> key;
  template <class Fields>
  void fields(Fields& f) {
    f(shard, descriptor, address, bounds, key);
  }
};

struct Keys {
  int32_t server = 0;
  std::vector<ShardKey> shards;
  template <class Fields>
  void fields(Fields& f) {
    f(server, shards);
  }
};

struct TicketAnswer {
  uint8_t kind = 0;  // 0: a ticket; 1: no more
  int64_t clock = 0;
  int32_t piece = 0;
  template <class Fields>
  void fields(Fields& f) {
    f(kind, clock, piece);
  }
};

// What a worker tells of a ticket that is done; times in seconds.
struct TicketReport {
  int64_t clock = 0;
  int32_t piece = 0;
  int32_t worker = 0;
  int64_t incarnation = 0;
  double wait_seconds = 0;  // for the ticket and for acknowledgements
  double pull_seconds = 0;
  double compute_seconds = 0;
  double push_seconds = 0;  // encoding
  uint64_t pushed_bytes = 0;
  uint64_t pulled_bytes = 0;
  uint64_t torn_blocks = 0;     // fetched again
  uint64_t staleness = 0;       // the largest of its pushes, in updates
  std::vector<double> figures;  // the layer above's
  template <class Fields>
  void fields(Fields& f) {
    f(clock, piece, worker, incarnation, wait_seconds, pull_seconds, compute_seconds, push_seconds,
      pushed_bytes, pulled_bytes, torn_blocks, staleness, figures);
  }
};

// `send_it`: the server cannot see the worker's memory.
enum class Verdict : uint8_t { applied, fenced, not_primary, forwarded, send_it };

struct Ack {
  int32_t shard = 0;
  int64_t clock = 0;
  int32_t piece = 0;
  Verdict verdict = Verdict::applied;
  uint64_t staleness = 0;
  uint64_t sequence = 0;  // forwarded
  template <class Fields>
  void fields(Fields& f) {
    f(shard, clock, piece, verdict, staleness, sequence);
  }
};

struct PullRequest {
  int32_t number = 0;
  int32_t shard = 0;
  std::vector<uint32_t> blocks;  // rising
  template <class Fields>
  void fields(Fields& f) {
    f(number, shard, blocks);
  }
};

struct PullAnswer {
  int32_t number = 0;
  uint8_t known = 1;  // 0: the shard is not here
  std::vector<uint64_t> before, after;
  template <class Fields>
  void fields(Fields& f) {
    f(number, known, before, after);
  }
};

// Of a worker.
struct WorkerName {
  int32_t worker = -1;
  int64_t incarnation = -1;
  template <class Fields>
  void fields(Fields& f) {
    f(worker, incarnation);
  }
};

struct EndOfJob {
  int32_t code = 0;  // exit code
  std::string text;
  template <class Fields>
  void fields(Fields& f) {
    f(code, text);
  }
};

struct ClockOnly {
  int64_t clock = 0;
  template <class Fields>
  void fields(Fields& f) {
    f(clock);
  }
};

struct ShardWindow {
  int32_t server = 0;
  int32_t shard = 0;
  std::vector<std::byte> window;
  template <class Fields>
  void fields(Fields& f) {
    f(server, shard, window);
  }
};

enum class PayloadKind : uint8_t { push, forward, cut, values };

// In front of gradients (push, forward), of a row of a shard's state (cut), or of values that were asked for.
// A push within a machine has no data: the server reads it where the worker has it.
struct PayloadHeader {
  uint64_t token = 0;
  PayloadKind kind = PayloadKind::push;
  int32_t shard = 0;
  int64_t clock = 0;
  int32_t piece = 0;
  int32_t worker = 0;
  int64_t incarnation = 0;
  uint64_t pulled_version = 0;
  uint8_t format = 0;
  uint64_t sequence = 0;  // forward
  int32_t row = 0;        // cut; values: the number of the pull
  int32_t rows = 0;
  int32_t descriptor = -1;    // of the worker's memory that holds the data
  uint64_t memory_bytes = 0;  // its size
  uint64_t bytes = 0;         // of data in it
  uint64_t memory = 0;        // its name, for good
  template <class Fields>
  void fields(Fields& f) {
    f(token, kind, shard, clock, piece, worker, incarnation, pulled_version, format, sequence, row, rows,
      descriptor, memory_bytes, bytes, memory);
  }
};

}  // namespace trireme
