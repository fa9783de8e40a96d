// The server's thread. For comm/parameter_server/server*.cpp.
#pragma once

#include <atomic>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "comm/parameter_server/meeting.h"
#include "comm/parameter_server/payload_buffers.h"
#include "comm/parameter_server/server.h"
#include "comm/parameter_server/talk.h"
#include "comm/ucx/context.h"
#include "comm/ucx/endpoint.h"
#include "comm/ucx/memory.h"
#include "comm/ucx/worker.h"

namespace trireme {

class ParameterServer::Loop {
 public:
  Loop(ServerOptions options, std::vector<HostedShard> shards, ServerEvents events);
  ~Loop();
  // Runs `what` in the thread.
  void post(std::function<void()> what);

  void take_cut(int64_t clock);
  void stop();
  void finish(const EndOfJob& end);
  void set_resumable();
  ServerFigures figures() const;

 private:
  // Somebody who said hello (or, a server, whom this one said hello to).
  struct Peer {
    uint64_t token = 0;
    int32_t server = -1;  // -1: a worker
    int32_t worker = -1;
    int64_t incarnation = -1;
    std::string host;
    int64_t process = 0;
    std::optional<UcxEndpoint> endpoint;
    double heard = 0;
    bool is_local = false;                                      // its process can be seen
    std::map<uint64_t, std::shared_ptr<SharedBytes>> memories;  // of its, by name
    bool lost = false;
    std::string name() const;
  };

  // A push that is not yet acknowledged.
  struct PendingPush {
    std::vector<uint64_t> tokens;  // who wants to know
    bool applied = false;
    bool forwarded = true;
    uint64_t staleness = 0;
    uint64_t sequence = 0;
  };

  struct Held {
    HostedShard hosted;
    std::shared_ptr<SharedBytes> bytes;  // of versions and values
    std::unique_ptr<UcxMemory> memory;   // the same, registered
    std::unique_ptr<Shard> shard;
    uint64_t sequence = 0;                   // of the last push forwarded, or taken over from the primary
    std::map<int64_t, PendingPush> pending;  // by ticket number
    struct Waiting {
      PayloadHeader header;
      Payload payload;
    };
    std::map<uint64_t, Waiting> early;        // backup: forwarded pushes that overtook others
    std::map<uint64_t, int64_t> unforwarded;  // primary: sequence -> ticket number
    int64_t next_cut = 0;                     // not yet asked for
  };

  // Values on their way to a worker.
  struct PullUnderWay {
    struct Run {
      Range elements;
      Range asked;  // of the request's blocks
    };
    uint64_t token = 0;
    int32_t shard = 0;
    std::vector<uint32_t> asked;  // blocks
    std::vector<Range> blocks;    // all of the shard
    std::vector<Run> runs;
    size_t next = 0;  // run
    size_t under_way = 0;
    bool sending = false;
    PullAnswer answer;
  };

  // Rows of a cut, as they come together on the coordinator.
  struct Gathered {
    int64_t clock = 0;
    bool last = false;
    std::map<std::pair<int32_t, int32_t>, std::shared_ptr<std::vector<float>>> rows;
    std::map<int32_t, int32_t> rows_of;  // shard -> how many
    bool told = false;
  };

  // ---- server.cpp: the thread
  void run();
  void turn();
  void timers(double now);
  void on_control(UcxMessage&& message);
  void take_control(std::span<const std::byte> data);
  void handle(Peer& peer, Word word, std::span<const std::byte> body);
  void send(Peer& peer, Word word, std::vector<std::byte> body);
  template <class Message>
  void say(Peer& peer, Word word, const Message& message) {
    send(peer, word, packed(message));
  }
  void say(Peer& peer, Word word) { send(peer, word, {}); }
  template <class Message>
  void say_to_servers(Word word, const Message& message) {
    for (auto& [token, peer] : peers_) {
      if (peer->server >= 0) say(*peer, word, message);
    }
  }
  template <class Message>
  void say_to_all(Word word, const Message& message) {
    for (auto& [token, peer] : peers_) say(*peer, word, message);
  }
  void refuse(const std::string& why);
  void end_job(const EndOfJob& end);
  void leave_job(const EndOfJob& end);
  double now() const;

  // ---- server_members.cpp: who is there
  void begin_meeting();
  void look_for_coordinator(double now);
  void hello_to(const ServerCard& card);
  void on_hello(const Hello& hello);
  std::string trouble_with(const Hello& hello, const Peer* known) const;
  void check(const ShardMap& map) const;  // throws CommError
  void on_server_hello(Peer& peer);
  void on_worker_hello(Peer& peer, const Hello& hello);
  void on_roster(const Roster& roster);
  Peer& add_peer(uint64_t token, std::span<const std::byte> address, const std::string& name);
  Peer* peer_of(uint64_t token);
  Peer* server_peer(int32_t server);
  Peer* worker_peer(int32_t worker);
  Hello own_hello() const;
  ServerCard own_card() const;
  Keys own_keys() const;
  void publish();
  bool superseded() const;
  void lose(Peer& peer, const std::string& how);
  void lose_server(int32_t server, const std::string& how);
  void lose_worker(Peer& peer, const std::string& how);
  void fence(const WorkerName& name);
  void take_map(const ShardMap& map);
  void succeed();
  void on_window(const ShardWindow& window);
  void coordinate_if_known();
  bool coordinates() const { return map_.coordinator == options_.server; }

  // ---- server_pushes.cpp: gradients
  void on_payload(UcxMessage&& message);
  Payload shared_payload(Peer& peer, const PayloadHeader& header);
  void count_received(size_t bytes);
  void on_pull(Peer& peer, const PullRequest& request);
  void send_values(const std::shared_ptr<PullUnderWay>& pull);
  void on_push(uint64_t token, const PayloadHeader& header, Payload payload);
  void on_forward(Peer& peer, const PayloadHeader& header, Payload payload);
  bool take_in(Held& held, const PayloadHeader& header, Payload payload);
  void forward(Held& held, Peer& backup, const PayloadHeader& header, const Payload& payload);
  void on_applied(int32_t shard, int64_t ticket, const Applied& applied);
  void on_forwarded(const Ack& ack);
  void acknowledge_if_due(Held& held, int64_t ticket);
  void acknowledge(uint64_t token, const Held& held, int64_t ticket, Verdict verdict, uint64_t staleness);
  void set_cuts(Held& held, int64_t clock);
  Held* held(int32_t shard);
  bool has_backup(int32_t shard);

  // ---- server_tickets.cpp: the coordinator
  void on_next(Peer& peer);
  void serve_waiting();
  void on_done(Peer& peer, const TicketReport& report);
  void on_stop();
  void gather_if_finished();

  // ---- server_cuts.cpp: state for checkpoints
  void on_cut_complete(int32_t shard, int64_t clock);
  void offer_cut(Held& held, int64_t clock, ShardState which, bool last);
  void on_gather(int64_t clock);
  void on_row(const PayloadHeader& header, std::shared_ptr<std::vector<float>> row, bool last);
  void on_cut_taken(int64_t clock);
  void tell_cut_if_whole();

  ServerOptions options_;
  ServerEvents events_;
  uint64_t token_;
  UcxContext context_;
  ApplyPool pool_;
  PayloadBuffers buffers_;
  std::map<int32_t, Held> held_;
  UcxWorker worker_;  // gone before the memory that it sends from
  Inbox inbox_;

  uint64_t session_ = 0;
  ShardMap map_;
  bool ready_ = false;  // all servers have met
  std::vector<ServerCard> roster_;
  std::unordered_map<uint64_t, std::unique_ptr<Peer>> peers_;
  std::map<int32_t, int64_t> fenced_;  // worker -> its highest incarnation that counts no more
  std::map<int32_t, Hello> comrades_;  // bootstrap, on the first coordinator: servers that have come
  std::set<int32_t> dead_servers_;

  std::optional<Coordinator> coordinator_;   // where this server coordinates
  std::map<int32_t, TicketWindow> windows_;  // a successor's, by shard
  bool succeeding_ = false;
  std::vector<std::pair<uint64_t, TicketReport>> early_reports_;
  std::vector<std::pair<uint64_t, Hello>> early_hellos_;
  std::deque<uint64_t> waiting_;  // tokens of workers that want a ticket
  int32_t highest_worker_ = -1;
  int64_t highest_incarnation_ = 0;
  bool stop_wanted_ = false;
  double without_workers_since_ = 0;
  bool gathering_ = false;
  std::deque<Gathered> gathered_;
  std::map<int64_t, std::set<int32_t>> offered_;  // cut clock -> shards whose cut is complete and not taken
  std::set<int64_t> taken_;                       // cuts that have been taken

  int fetching_ = 0;  // long control messages
  double started_ = 0;
  double last_turn_ = 0;
  double last_beat_ = 0;
  double last_look_ = 0;
  bool over_ = false;
  std::optional<double> leaving_since_;
  std::vector<UcxRequest> flushes_;  // of the last words
  EndOfJob end_;

  mutable std::mutex figures_mutex_;
  ServerFigures figures_;

  std::atomic<bool> quits_{false};
  std::thread thread_;
};

}  // namespace trireme
