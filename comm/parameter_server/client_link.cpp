#include "comm/parameter_server/client_link.h"

#include <fmt/format.h>
#include <algorithm>

#include "base/error.h"
#include "comm/parameter_server/block_versions.h"
#include "comm/parameter_server/clock.h"
#include "comm/parameter_server/local_process.h"
#include "comm/world.h"

namespace trireme {
namespace {

constexpr double look_seconds = 0.05;     // between two looks at the meeting's file
constexpr double retry_dead_seconds = 1;  // between two tries at a server that does not answer
constexpr double retry_seconds = 0.01;    // between two tries at a shard whose holder has changed

}  // namespace

ParameterServerClient::Link::Link(ClientOptions options, std::vector<ClientShard> shards)
    : options_(std::move(options)),
      shards_(std::move(shards)),
      context_({.transports = ucx_transports(options_.transports)}),
      ucx_(context_),
      inbox_(ucx_) {
  ucx_.on_message(control_message, [this](UcxMessage&& message) { on_control(std::move(message)); });
  ucx_.on_message(payload_message, [this](UcxMessage&& message) { on_values(std::move(message)); });
  staging_.resize(shards_.size());
  connecting_since_ = apart_since_ = last_turn_ = steady_seconds();
  thread_ = std::thread([this] { run(); });
}

ParameterServerClient::Link::~Link() {
  post([this] {
    if (Server* coordinator = server(map_.coordinator)) send(*coordinator, Word::leave, {});
  });
  quits_.store(true);
  ucx_.signal();
  thread_.join();
}

void ParameterServerClient::Link::post(std::function<void()> what) { inbox_.post(std::move(what)); }

void ParameterServerClient::Link::run() {
  bool last = false;
  while (true) {
    try {
      turn();
    } catch (const std::exception& error) {
      on_end({static_cast<int32_t>(ExitCode::internal), fmt::format("{}", error.what())});
    }
    if (std::exchange(last, quits_.load())) break;  // one turn more, for what was posted last
  }
  // The word of leaving must get out.
  double begin = steady_seconds();
  for (auto& [number, server] : servers_) {
    if (!server.endpoint || server.failed) continue;
    UcxRequest flush = server.endpoint->flush();
    while (!flush.done() && steady_seconds() - begin < 0.5) ucx_.wait(std::chrono::milliseconds(1));
  }
}

void ParameterServerClient::Link::turn() {
  double limit = quits_.load() ? 0.001 : not_primary_.empty() ? 0.05 : retry_seconds;
  ucx_.wait(std::chrono::nanoseconds(static_cast<int64_t>(limit * 1e9)));
  inbox_.work();
  timers(steady_seconds());
}

void ParameterServerClient::Link::timers(double now) {
  double gap = now - std::exchange(last_turn_, now);
  if (end() || quits_.load()) return;
  if (gap > options_.lease_seconds / 2) apart_since_ += gap;
  if (!joined_) {
    double limit = generation_ == 0 ? options_.start_seconds : options_.patience_seconds;
    if (now - apart_since_ > limit) {
      on_end({static_cast<int32_t>(generation_ > 0 && welcome_.resumable ? ExitCode::stopped
                                                                         : ExitCode::internal),
              generation_ == 0
                  ? fmt::format(
                        "no parameter server has been found within {:.0f} s: {} should tell where they are. "
                        "Are they running, on a file system that all see? What is known: {}",
                        limit, options_.meeting.string(), meeting_trouble(options_.meeting, options_.job))
                  : fmt::format("the parameter servers are gone, and no others have come within {:.0f} s",
                                limit)});
      return;
    }
  }
  if (servers_.empty()) {
    if (now - last_look_ >= look_seconds) connect();
    return;
  }
  if (!joined_ && now - connecting_since_ > options_.lease_seconds) {  // an address of the dead: look again
    drop_connections();
    return;
  }
  if (now - last_beat_ >= options_.lease_seconds / 5) {
    last_beat_ = now;
    for (auto& [number, server] : servers_) send(server, Word::beat, {});
  }
  if (gap > options_.lease_seconds / 2) {
    for (auto& [number, server] : servers_) server.heard = now;
  }
  for (auto& [number, server] : servers_) {
    if (server.failed) continue;
    if (now - server.heard > options_.lease_seconds) {
      lose(server, fmt::format("has said nothing for {:.1f} s", options_.lease_seconds));
    } else if (server.is_local && process_is_gone(server.card.process)) {
      lose(server, "has died");
    }
  }
  if (reconnect_at_ && now >= *reconnect_at_) {
    drop_connections();
    return;
  }
  if (!not_primary_.empty() && now >= resend_at_) {
    std::deque<std::pair<int64_t, size_t>> again;
    std::lock_guard lock(mutex_);
    again.swap(not_primary_);
    for (auto [number, shard] : again) {
      auto found = outstanding_.find(number);
      if (found != outstanding_.end()) send_push(found->second.shards.at(shard));
    }
  }
}

// Looks for the coordinator, and says hello to it; the other servers follow when it has answered.
void ParameterServerClient::Link::connect() {
  last_look_ = steady_seconds();
  std::optional<ServerMeeting> meeting = read_meeting(options_.meeting);
  if (!meeting || (!options_.job.empty() && meeting->job != options_.job)) return;
  if (meeting->over) {
    // Who joins later may have come between two starts of the run; who belongs to this one is late.
    if (!options_.job.empty()) on_late(meeting->end);
    return;
  }
  if (!meeting->ready) return;
  // Who has just not answered is tried again by and by; who takes its place at once.
  bool failed_before = std::any_of(meeting->servers.begin(), meeting->servers.end(), [&](const auto& card) {
    return card.server == meeting->coordinator && card.token == unreachable_;
  });
  if (failed_before && last_look_ < unreachable_until_) return;
  session_ = meeting->session;
  token_ = draw_token();
  connecting_since_ = last_look_;
  std::lock_guard lock(mutex_);
  map_.coordinator = meeting->coordinator;
  map_.epoch = 0;
  for (const ServerCard& card : meeting->servers) add_server(card);
  if (Server* coordinator = server(meeting->coordinator)) hello(*coordinator);
}

// The job was over before this worker came to it.
void ParameterServerClient::Link::on_late(const EndOfJob& end) {
  std::lock_guard lock(mutex_);
  if (end_) return;
  late_ = true;
  end_ = end;
  changed_.notify_all();
}

// Everything begins anew, as another incarnation; what is under way is given up: others will be told to do
// it.
void ParameterServerClient::Link::drop_connections() {
  reconnect_at_.reset();
  not_primary_.clear();
  for (auto& [number, server] : servers_) {
    server.endpoint.reset();
    former_.push_back(std::move(server));
  }
  servers_.clear();
  connecting_since_ = steady_seconds();
  last_look_ = joined_ ? 0 : connecting_since_;
  std::lock_guard lock(mutex_);
  if (joined_) apart_since_ = connecting_since_;
  joined_ = false;
  for (auto& [number, one] : outstanding_) {  // a server may still be reading them where they lie
    for (Sent& sent : one.shards) buffers_.retire(sent.payload);
  }
  outstanding_.clear();
  answers_.clear();
  next_sent_ = false;
  if (pulls_under_way_ > 0) pull_failed_ = true;
  pulls_under_way_ = 0;
  changed_.notify_all();
}

ParameterServerClient::Link::Server& ParameterServerClient::Link::add_server(const ServerCard& card) {
  Server& server = servers_[card.server];
  server.card = card;
  server.heard = steady_seconds();
  server.is_local = !card.space.empty() && card.space == process_space();
  try {
    server.endpoint.emplace(UcxEndpoint::connect(
        ucx_, card.address, fmt::format("parameter server {} on {}", card.server, card.host)));
  } catch (const CommError&) {  // it died a moment ago, and its shared memory with it
    server.failed = true;
    if (card.server == map_.coordinator) not_reached(server);
    return server;
  }
  server.endpoint->on_failure([this, token = card.token](ucs_status_t status) {
    if (Server* failed = server_of(token))
      lose(*failed, fmt::format("cannot be reached any more: {}", ucs_status_string(status)));
  });
  return server;
}

void ParameterServerClient::Link::hello(Server& server) {
  Hello hello = hello_of(ucx_, session_, token_, options_.fingerprint);
  hello.rank = options_.rank;
  if (joined_) {
    hello.worker = welcome_.worker;
    hello.incarnation = welcome_.incarnation;
    for (const auto& [number, one] : outstanding_) hello.outstanding.push_back(number);
    for (const TicketAnswer& answer : answers_) {
      if (answer.kind != 0) continue;
      hello.outstanding.push_back(Ticket{answer.clock, answer.piece}.number(welcome_.pieces));
    }
  } else if (former_name_) {
    hello.worker = former_name_->worker;
    hello.incarnation = former_name_->incarnation;
  }
  send(server, Word::hello, packed(hello));
}

ParameterServerClient::Link::Server* ParameterServerClient::Link::server_of(uint64_t token) {
  for (auto& [number, server] : servers_) {
    if (server.card.token == token) return &server;
  }
  return nullptr;
}

ParameterServerClient::Link::Server* ParameterServerClient::Link::server(int32_t number) {
  auto found = servers_.find(number);
  return found == servers_.end() || found->second.failed ? nullptr : &found->second;
}

void ParameterServerClient::Link::send(Server& server, Word word, std::vector<std::byte> body) {
  if (!server.failed && server.endpoint) send_control(*server.endpoint, token_, word, body);
}

void ParameterServerClient::Link::on_control(UcxMessage&& message) {
  try {
    fetch_control(message, fetching_, [this](std::span<const std::byte> data) { take_control(data); });
  } catch (const CommError&) {
    // No server of ours writes such: dropped.
  }
}

void ParameterServerClient::Link::take_control(std::span<const std::byte> data) {
  try {
    ControlMessage control = parse_control(data);
    Server* server = server_of(control.token);
    if (server == nullptr) return;
    server->heard = steady_seconds();
    handle(*server, control.word, control.body);
  } catch (const CommError&) {
    // No server of ours writes such: dropped.
  }
}

void ParameterServerClient::Link::handle(Server& server, Word word, std::span<const std::byte> body) {
  switch (word) {
    case Word::welcome:
      return on_welcome(server, unpacked<Welcome>(body));
    case Word::keys:
      return on_keys(server, unpacked<Keys>(body));
    case Word::map:
      return on_map(unpacked<ShardMap>(body));
    case Word::ack:
      return on_ack(server, unpacked<Ack>(body));
    case Word::pulled:
      return on_pulled(unpacked<PullAnswer>(body));
    case Word::fence:
      return on_fenced(unpacked<WorkerName>(body));
    case Word::end:
      return on_end(unpacked<EndOfJob>(body));
    case Word::refused: {
      std::lock_guard lock(mutex_);
      refusal_ = unpacked<EndOfJob>(body);
      end_ = refusal_;
      changed_.notify_all();
      return;
    }
    case Word::resumable: {
      std::lock_guard lock(mutex_);
      welcome_.resumable = 1;
      return;
    }
    case Word::answer: {
      std::lock_guard lock(mutex_);
      answers_.push_back(unpacked<TicketAnswer>(body));
      next_sent_ = false;
      changed_.notify_all();
      return;
    }
    case Word::done_ack: {
      std::lock_guard lock(mutex_);
      outstanding_.erase(unpacked<ClockOnly>(body).clock);
      changed_.notify_all();
      return;
    }
    default:
      return;  // beats
  }
}

void ParameterServerClient::Link::on_welcome(Server&, const Welcome& welcome) {
  bool first = !joined_;
  {
    std::lock_guard lock(mutex_);
    welcome_ = welcome;
    joined_ = true;
    if (first) ++generation_;
    map_ = welcome.map;
  }
  former_name_.reset();
  if (!first) return;
  for (auto& [number, server] : servers_) {
    if (number != map_.coordinator) hello(server);
  }
  changed_.notify_all();
}

void ParameterServerClient::Link::on_keys(Server& server, const Keys& keys) {
  for (const ShardKey& key : keys.shards) {
    RemoteShard remote{key, nullptr, nullptr};
    if (options_.transfer == ClientOptions::Transfer::gets) {
      remote.remote = std::make_shared<UcxRemoteKey>(*server.endpoint, key.key);
    }
    if (options_.transfer == ClientOptions::Transfer::mapped && server.is_local && key.bounds.size() > 1) {
      size_t bytes = version_bytes(key.bounds.size() - 1) + key.bounds.back() * sizeof(float);
      remote.mapped = SharedBytes::open(server.card.process, key.descriptor, bytes);
    }
    server.sees_memory = remote.mapped != nullptr;
    std::lock_guard lock(mutex_);
    server.shards[key.shard] = std::move(remote);
  }
  changed_.notify_all();
}

void ParameterServerClient::Link::on_map(const ShardMap& map) {
  ShardMap former;
  {
    std::lock_guard lock(mutex_);
    if (map.epoch <= map_.epoch) return;
    former = std::exchange(map_, map);
    changed_.notify_all();
  }
  if (map_.coordinator != former.coordinator) {
    reconnect_at_.reset();
    if (Server* coordinator = server(map_.coordinator)) {
      hello(*coordinator);
      std::lock_guard lock(mutex_);
      if (next_sent_) send(*coordinator, Word::next, {});
      for (auto& [number, one] : outstanding_) {
        if (one.done) tell_done(one);
      }
    }
  }
  resend(former);
}

// Taken for dead: what it was doing others do. It comes back as a new incarnation of itself.
void ParameterServerClient::Link::on_fenced(const WorkerName& name) {
  if (!joined_ || name.incarnation != welcome_.incarnation) return;
  former_name_ = name;
  drop_connections();
}

void ParameterServerClient::Link::on_end(const EndOfJob& end) {
  std::lock_guard lock(mutex_);
  if (!end_) end_ = end;
  changed_.notify_all();
}

// The meeting's file tells of a server that is gone, or cut off.
void ParameterServerClient::Link::not_reached(const Server& server) {
  unreachable_ = server.card.token;
  double now = steady_seconds();
  unreachable_until_ = now + std::min(retry_dead_seconds, options_.lease_seconds / 4);
  reconnect_at_ = now + look_seconds;
}

void ParameterServerClient::Link::lose(Server& server, const std::string&) {
  if (server.failed || end()) return;
  server.failed = true;
  double now = steady_seconds();
  bool coordinated = server.card.server == map_.coordinator;
  std::lock_guard lock(mutex_);
  if (pulls_under_way_ > 0) pull_failed_ = true;
  if (!joined_) {
    not_reached(server);
  } else if (coordinated) {
    // Other servers have at most a lease to notice: one of them takes over, or says that the job is over.
    bool alone =
        std::all_of(servers_.begin(), servers_.end(), [](const auto& entry) { return entry.second.failed; });
    reconnect_at_ = now + (alone ? look_seconds : 2 * options_.lease_seconds);
  }
  changed_.notify_all();
}

}  // namespace trireme
