// The client's thread. For comm/parameter_server/client*.cpp.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "comm/parameter_server/client.h"
#include "comm/parameter_server/meeting.h"
#include "comm/parameter_server/payload_buffers.h"
#include "comm/parameter_server/talk.h"
#include "comm/ucx/context.h"
#include "comm/ucx/endpoint.h"
#include "comm/ucx/memory.h"
#include "comm/ucx/worker.h"

namespace trireme {

class ParameterServerClient::Link {
 public:
  Link(ClientOptions options, std::vector<ClientShard> shards);
  ~Link();

  void wait_until_joined();
  std::optional<Ticket> next();
  PullReport pull();
  void push(Ticket ticket, PayloadFormat format, std::span<const PushSource> sources,
            const PullReport& pulled, TicketReport report);
  void wait_for_pushes();
  void say_to_coordinator(Word word, std::vector<std::byte> body);
  EndOfJob wait_for_end();
  std::optional<EndOfJob> end() const;
  int32_t worker() const;
  int32_t pieces() const;
  bool resumable() const;
  int64_t times_joined() const;

 private:
  // Where a shard lies at one server.
  struct RemoteShard {
    ShardKey key;
    std::shared_ptr<UcxRemoteKey> remote;  // gets
    std::shared_ptr<SharedBytes> mapped;   // the server's memory, on this machine
  };
  struct Server {
    ServerCard card;
    std::optional<UcxEndpoint> endpoint;
    bool failed = false;
    bool is_local = false;    // its process can be seen
    bool sees_memory = true;  // it can read this process's, where it is local
    double heard = 0;
    std::map<int32_t, RemoteShard> shards;
  };
  struct Sent {
    PayloadHeader header;
    std::shared_ptr<SharedBytes> payload;
    size_t bytes = 0;
    bool acked = false;
  };
  struct Outstanding {
    std::vector<Sent> shards;
    TicketReport report;
    bool done = false;  // all acknowledged, and the coordinator was told
  };
  // A pull of one shard by gets, in the thread.
  struct Pull {
    int32_t shard = 0;
    std::vector<uint64_t> before, after;
    std::vector<size_t> blocks;  // to be fetched; all at first
    int pending = 0;
    bool failed = false;
    uint64_t torn = 0;
    uint64_t version = UINT64_MAX;
    int32_t number = 0;  // messages
    bool answered = false;
    int32_t holder = -1;
  };

  // ---- client_link.cpp
  void run();
  void turn();
  void post(std::function<void()> what);
  void connect();
  void drop_connections();
  void hello(Server& server);
  Server& add_server(const ServerCard& card);
  Server* server_of(uint64_t token);
  Server* server(int32_t number);
  void timers(double now);
  void on_control(UcxMessage&& message);
  void take_control(std::span<const std::byte> data);
  void handle(Server& server, Word word, std::span<const std::byte> body);
  void on_welcome(Server& server, const Welcome& welcome);
  void on_keys(Server& server, const Keys& keys);
  void on_map(const ShardMap& map);
  void on_fenced(const WorkerName& name);
  void on_end(const EndOfJob& end);
  void on_late(const EndOfJob& end);
  void not_reached(const Server& server);
  void lose(Server& server, const std::string& how);
  void send(Server& server, Word word, std::vector<std::byte> body);

  // ---- client_transfers.cpp
  void send_push(Sent& sent);
  void resend(const ShardMap& former);
  void on_ack(Server& server, const Ack& ack);
  void tell_done(Outstanding& outstanding);
  const RemoteShard* remote_shard(int32_t shard);
  bool copy_shard(size_t shard, PullReport& report);
  void begin_pull(std::shared_ptr<Pull> pull);
  void fetch(std::shared_ptr<Pull> pull);
  void fetch_by_gets(std::shared_ptr<Pull> pull);
  void fetch_by_messages(std::shared_ptr<Pull> pull);
  void on_values(UcxMessage&& message);
  void on_pulled(const PullAnswer& answer);
  void values_came(const std::shared_ptr<Pull>& pull);
  void hand_out(const Pull& pull, Range run);
  void judge(const std::shared_ptr<Pull>& pull);
  void pull_ended(const std::shared_ptr<Pull>& pull);
  float* place_of(size_t shard, size_t element, size_t& run) const;

  ClientOptions options_;
  std::vector<ClientShard> shards_;
  uint64_t token_ = 0;
  UcxContext context_;
  PayloadBuffers buffers_;
  Encoder encoder_;

  // The thread's own.
  std::map<int32_t, Server> servers_;
  std::vector<Server> former_;  // keys that a copy may still be reading by
  uint64_t session_ = 0;
  double connecting_since_ = 0;  // by the present addresses
  double apart_since_ = 0;       // not joined, whatever was tried
  uint64_t unreachable_ = 0;     // token of the coordinator that did not answer
  double unreachable_until_ = 0;
  double last_look_ = 0;
  double last_beat_ = 0;
  double last_turn_ = 0;
  std::optional<double> reconnect_at_;
  std::optional<WorkerName> former_name_;
  std::deque<std::pair<int64_t, size_t>> not_primary_;  // ticket number, shard: to be sent again
  int fetching_ = 0;                                    // long control messages
  std::shared_ptr<Pull> messages_;                      // the pull that is under way by messages
  int32_t pull_number_ = 0;
  std::vector<std::vector<float>> staging_;  // by shard
  UcxWorker ucx_;                            // gone before the memory that it receives to
  Inbox inbox_;
  double resend_at_ = 0;
  bool next_sent_ = false;

  // Of both threads.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool joined_ = false;
  bool late_ = false;       // the job was over already
  int64_t generation_ = 0;  // how often it has joined
  int64_t ticket_generation_ = 0;
  Welcome welcome_;
  ShardMap map_;
  bool wants_ticket_ = false;
  // Not yet taken: more than one where a request was said again to a new coordinator, and both were answered.
  std::deque<TicketAnswer> answers_;
  std::map<int64_t, Outstanding> outstanding_;
  std::optional<EndOfJob> end_;
  std::optional<EndOfJob> refusal_;
  int32_t pulls_under_way_ = 0;
  bool pull_failed_ = false;

  std::atomic<bool> quits_{false};
  std::thread thread_;
};

}  // namespace trireme
