// Who is there, who holds what, and what is done when somebody is gone.
#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "comm/parameter_server/local_process.h"
#include "comm/parameter_server/server_loop.h"
#include "comm/world.h"

namespace trireme {
namespace {

constexpr double look_seconds = 0.05;  // between two looks at the meeting's file

}  // namespace

ServerCard ParameterServer::Loop::own_card() const {
  return {options_.server, token_, ::getpid(), host_name(), process_space(), worker_.address()};
}

Hello ParameterServer::Loop::own_hello() const {
  Hello hello = hello_of(worker_, session_, token_, options_.fingerprint ^ options_.start_fingerprint);
  hello.server = options_.server;
  return hello;
}

Keys ParameterServer::Loop::own_keys() const {
  Keys keys;
  keys.server = options_.server;
  for (const auto& [shard, held] : held_) {
    ShardKey key;
    key.shard = shard;
    key.descriptor = held.bytes->descriptor();
    key.address = held.memory->address();
    for (Range block : held.hosted.layout.all_blocks()) {
      if (key.bounds.empty()) key.bounds.push_back(block.begin);
      key.bounds.push_back(block.end);
    }
    key.key = held.memory->packed_key();
    keys.shards.push_back(std::move(key));
  }
  return keys;
}

// ---- the meeting

void ParameterServer::Loop::begin_meeting() {
  job_ = options_.job;
  if (options_.server != 0) return;
  session_ = draw_token();
  roster_ = {own_card()};
  if (options_.servers == 1) {
    ready_ = true;
    coordinator_.emplace(options_.coordinator);
    if (events_.coordinates) events_.coordinates(true);
  }
  publish();
}

// Writes where everybody is. Throws IoError.
void ParameterServer::Loop::publish() {
  Meeting meeting;
  meeting.job = job_;
  meeting.session = session_;
  meeting.epoch = map_.epoch;
  meeting.coordinator = map_.coordinator;
  meeting.ready = ready_;
  meeting.pieces = options_.coordinator.pieces;
  meeting.shards = options_.servers;
  meeting.start = options_.start;
  for (const ServerCard& card : roster_) {
    if (!dead_servers_.contains(card.server)) meeting.servers.push_back(card);
  }
  write_meeting(options_.meeting, meeting);
}

// Whether others have gone on without this server.
bool ParameterServer::Loop::superseded() const {
  std::optional<Meeting> meeting = read_meeting(options_.meeting);
  return meeting && (meeting->session != session_ || meeting->epoch > map_.epoch) && ready_;
}

void ParameterServer::Loop::look_for_coordinator(double now) {
  if (now - last_look_ < look_seconds) return;
  last_look_ = now;
  std::optional<Meeting> meeting = read_meeting(options_.meeting);
  if (!meeting || meeting->over || meeting->job != options_.job || meeting->session == session_) return;
  for (const ServerCard& card : meeting->servers) {
    if (card.server != 0) continue;
    session_ = meeting->session;
    hello_to(card);
  }
}

void ParameterServer::Loop::hello_to(const ServerCard& card) {
  Peer& peer = add_peer(card.token, card.address, fmt::format("server {} on {}", card.server, card.host));
  peer.server = card.server;
  peer.host = card.host;
  peer.process = card.process;
  peer.is_local = !card.space.empty() && card.space == process_space();
  say(peer, Word::hello, own_hello());
}

ParameterServer::Loop::Peer& ParameterServer::Loop::add_peer(uint64_t token,
                                                             std::span<const std::byte> address,
                                                             const std::string& name) {
  auto peer = std::make_unique<Peer>();
  peer->token = token;
  peer->heard = now();
  try {
    peer->endpoint.emplace(UcxEndpoint::connect(worker_, address, name));
  } catch (const CommError& error) {  // it died a moment ago, and its shared memory with it
    post([this, token, what = std::string(error.what())] {
      if (Peer* failed = peer_of(token)) lose(*failed, fmt::format("cannot be reached: {}", what));
    });
    return *(peers_[token] = std::move(peer));
  }
  peer->endpoint->on_failure([this, token](ucs_status_t status) {
    if (Peer* failed = peer_of(token)) {
      lose(*failed, fmt::format("cannot be reached any more: {}", ucs_status_string(status)));
    }
  });
  return *(peers_[token] = std::move(peer));
}

ParameterServer::Loop::Peer* ParameterServer::Loop::peer_of(uint64_t token) {
  auto found = peers_.find(token);
  return found == peers_.end() || found->second->lost ? nullptr : found->second.get();
}

ParameterServer::Loop::Peer* ParameterServer::Loop::server_peer(int32_t server) {
  for (auto& [token, peer] : peers_) {
    if (peer->server == server && !peer->lost) return peer.get();
  }
  return nullptr;
}

ParameterServer::Loop::Peer* ParameterServer::Loop::worker_peer(int32_t worker) {
  for (auto& [token, peer] : peers_) {
    if (peer->server < 0 && peer->worker == worker && !peer->lost) return peer.get();
  }
  return nullptr;
}

template <class Message>
void ParameterServer::Loop::say_to_servers(Word word, const Message& message) {
  for (auto& [token, peer] : peers_) {
    if (peer->server >= 0) say(*peer, word, message);
  }
}

template <class Message>
void ParameterServer::Loop::say_to_all(Word word, const Message& message) {
  for (auto& [token, peer] : peers_) say(*peer, word, message);
}

void ParameterServer::Loop::on_hello(const Hello& hello) {
  if (hello.session != session_ || session_ == 0) return refuse("a hello of another session");
  Peer* known = peer_of(hello.token);
  if (std::string wrong = trouble_with(hello, known); !wrong.empty()) return refuse(wrong);
  if (known == nullptr) {
    known = &add_peer(hello.token, hello.address,
                      fmt::format("{} {}", hello.server >= 0 ? "server" : "worker", hello.host));
    known->host = hello.host;
    known->process = hello.process;
    known->is_local = !hello.space.empty() && hello.space == process_space();
  }
  known->heard = now();
  uint64_t expected = options_.fingerprint ^ (hello.server >= 0 ? options_.start_fingerprint : 0);
  if (hello.fingerprint != expected) {
    say(*known, Word::refused,
        EndOfJob{
            static_cast<int32_t>(ExitCode::bad_config),
            fmt::format("the server on {} runs another config, other data or another version: start all with "
                        "the same",
                        host_name())});
    return;
  }
  known->server = hello.server;
  if (hello.server >= 0) {
    comrades_[hello.server] = hello;
    on_server_hello(*known);
  } else {
    on_worker_hello(*known, hello);
  }
}

// The first coordinator waits for all servers, then tells all of all.
void ParameterServer::Loop::on_server_hello(Peer&) {
  if (!coordinates() || ready_ || static_cast<int32_t>(comrades_.size()) + 1 < options_.servers) return;
  for (const auto& [server, hello] : comrades_) {
    roster_.push_back({server, hello.token, hello.process, hello.host, hello.space, hello.address});
  }
  ready_ = true;
  coordinator_.emplace(options_.coordinator);
  say_to_servers(Word::roster, Roster{map_, roster_});
  publish();
  if (events_.coordinates) events_.coordinates(true);
}

void ParameterServer::Loop::on_roster(const Roster& roster) {
  if (ready_) return;
  check(roster.map);
  ready_ = true;
  map_ = roster.map;
  roster_ = roster.servers;
  for (const ServerCard& card : roster_) {
    if (card.server != options_.server && peer_of(card.token) == nullptr) hello_to(card);
  }
}

// The coordinator gives names; the others are told them.
void ParameterServer::Loop::on_worker_hello(Peer& peer, const Hello& hello) {
  bool is_new = peer.worker < 0;
  if (coordinator_) {
    Coordinator::Joined joined{};
    if (hello.worker >= 0 && hello.incarnation >= 0 &&
        !coordinator_->is_current(hello.worker, hello.incarnation) && fenced_.contains(hello.worker) &&
        fenced_[hello.worker] >= hello.incarnation) {
      joined = coordinator_->join(now(), hello.worker);
      if (events_.tell)
        events_.tell(fmt::format("worker {} on {} is back", joined.worker, hello.host), false);
    } else if (hello.worker >= 0) {
      std::vector<Ticket> outstanding;
      for (int64_t number : hello.outstanding) {
        outstanding.push_back(Ticket::numbered(number, options_.coordinator.pieces));
      }
      joined = coordinator_->rejoin(hello.worker, hello.incarnation, outstanding, now());
    } else if (coordinator_->is_current(peer.worker, peer.incarnation)) {  // it says hello again
      joined = {peer.worker, peer.incarnation};
    } else {
      joined = coordinator_->join(now());
      if (hello.rank < 0 && events_.tell)
        events_.tell(fmt::format("worker {} on {} has joined", joined.worker, hello.host), false);
    }
    peer.worker = joined.worker;
    peer.incarnation = joined.incarnation;
    Welcome welcome{joined.worker, joined.incarnation, options_.coordinator.pieces,
                    static_cast<uint8_t>(options_.resumable), map_};
    say(peer, Word::welcome, welcome);
    if (leaving_since_) say(peer, Word::end, end_);
  } else {
    peer.worker = hello.worker;
    peer.incarnation = hello.incarnation;
  }
  highest_worker_ = std::max(highest_worker_, peer.worker);
  highest_incarnation_ = std::max(highest_incarnation_, peer.incarnation);
  if (is_new) say(peer, Word::keys, own_keys());
}

// ---- losses

void ParameterServer::Loop::lose(Peer& peer, const std::string& how) {
  if (peer.lost || leaving_since_) return;
  if (peer.server >= 0) {
    int32_t server = peer.server;
    peer.lost = true;
    if (events_.tell) events_.tell(fmt::format("{} {}", peer.name(), how), true);
    lose_server(server, how);
  } else {
    lose_worker(peer, how);
  }
}

// `how` is empty where it leaves in good order. The entry goes at the end of the turn.
void ParameterServer::Loop::lose_worker(Peer& peer, const std::string& how) {
  if (peer.lost) return;
  if (!how.empty()) say(peer, Word::fence, WorkerName{peer.worker, peer.incarnation});
  peer.lost = true;
  if (!coordinator_ || !coordinator_->is_current(peer.worker, peer.incarnation)) return;
  if (how.empty()) {
    coordinator_->leave(peer.worker, now());
  } else {
    coordinator_->declare_dead(peer.worker);
    WorkerName name{peer.worker, peer.incarnation};
    fence(name);
    say_to_servers(Word::fence, name);
    {
      std::lock_guard lock(figures_mutex_);
      ++figures_.workers_lost;
    }
    if (events_.tell) events_.tell(fmt::format("{} {}: its samples go to others", peer.name(), how), true);
  }
  serve_waiting();
}

void ParameterServer::Loop::fence(const WorkerName& name) {
  auto [entry, is_new] = fenced_.emplace(name.worker, name.incarnation);
  entry->second = std::max(entry->second, name.incarnation);
}

void ParameterServer::Loop::lose_server(int32_t server, const std::string& how) {
  if (!ready_) {
    comrades_.erase(server);
    if (server == 0) session_ = 0;  // look again
    return;
  }
  if (!dead_servers_.insert(server).second) return;
  bool was_coordinator = server == map_.coordinator;
  if (!coordinates() && !was_coordinator) return;  // the coordinator's business
  if (superseded()) {
    return leave_job(
        {static_cast<int32_t>(ExitCode::stopped),
         fmt::format("server {} was cut off, and the others go on without it", options_.server)});
  }
  if (was_coordinator && map_.backup.at(0) != options_.server) {
    if (map_.backup.at(0) >= 0) return;  // its successor will be heard of, or lost, too
  }
  ShardMap map = map_;
  map.epoch += 1;
  std::string lost;
  for (size_t k = 0; k < map.primary.size(); ++k) {
    if (map.primary[k] == server) {
      bool can = map.backup[k] >= 0 && !dead_servers_.contains(map.backup[k]);
      if (!can) lost += fmt::format("{}{}", lost.empty() ? "" : ", ", k);
      map.primary[k] = map.backup[k];
      map.backup[k] = -1;
    } else if (map.backup[k] == server) {
      map.backup[k] = -1;
    }
  }
  if (!lost.empty()) {
    return end_job(
        {static_cast<int32_t>(options_.resumable ? ExitCode::stopped : ExitCode::internal),
         fmt::format("server {} {}, and with it shard {} of the parameters{}: {}", server, how, lost,
                     options_.replicas > 1 ? "" : " (parallel.parameter_server.replicas = 1)",
                     options_.resumable ? "submit again to go on from the newest checkpoint"
                                        : "there is no checkpoint yet to go on from")});
  }
  if (events_.tell) {
    events_.tell(
        fmt::format("server {}'s shard has been taken over; it has no second copy from here on", server),
        true);
  }
  if (was_coordinator) map.coordinator = options_.server;
  take_map(map);
  say_to_all(Word::map, map_);
  if (was_coordinator) succeed();
  publish();
}

void ParameterServer::Loop::take_map(const ShardMap& map) {
  if (map.epoch <= map_.epoch) return;
  check(map);
  ShardMap former = std::exchange(map_, map);
  for (auto& [shard, held] : held_) {
    auto k = static_cast<size_t>(shard);
    if (map_.backup[k] < 0) {  // nobody to wait for
      auto unforwarded = std::exchange(held.unforwarded, {});
      for (const auto& [sequence, number] : unforwarded) {
        auto pending = held.pending.find(number);
        if (pending != held.pending.end()) pending->second.forwarded = true;
        acknowledge_if_due(held, number);
      }
    }
    if (map_.primary[k] == options_.server && former.primary[k] != options_.server) {
      // What came out of order has been acknowledged; what should lie between has not.
      auto early = std::exchange(held.early, {});
      for (auto& [sequence, waiting] : early) take_in(held, waiting.header, std::move(waiting.payload));
    }
  }
  // Cuts that the former coordinator has not taken, or whose primary has gone with it.
  for (const auto& [clock, shards] : offered_) {
    for (int32_t shard : shards) {
      if (Held* held = this->held(shard);
          held != nullptr && map_.primary[static_cast<size_t>(shard)] == options_.server)
        offer_cut(*held, clock, ShardState::cut, false);
    }
  }
}

// This server has become the coordinator: what has been done is what all shards have taken in.
void ParameterServer::Loop::succeed() {
  succeeding_ = true;
  windows_.clear();
  for (auto& [shard, held] : held_) {
    if (map_.primary[static_cast<size_t>(shard)] == options_.server)
      windows_.insert_or_assign(shard, held.shard->window());
  }
  for (auto& [token, peer] : peers_) {
    if (peer->server >= 0) say(*peer, Word::windows);
  }
  coordinate_if_known();
}

void ParameterServer::Loop::on_window(const ShardWindow& window) {
  if (!succeeding_) return;
  if (window.shard < 0 || window.shard >= options_.servers ||
      map_.primary[static_cast<size_t>(window.shard)] != window.server)
    throw CommError("server {} tells of shard {}, which is not its own", window.server, window.shard);
  windows_.insert_or_assign(window.shard, TicketWindow::from_bytes(window.window));
  coordinate_if_known();
}

void ParameterServer::Loop::coordinate_if_known() {
  if (windows_.size() < map_.primary.size()) return;
  succeeding_ = false;
  TicketWindow done = windows_.begin()->second;
  for (const auto& [shard, window] : windows_) done.intersect(window);
  CoordinatorOptions options = options_.coordinator;
  options.first_worker = highest_worker_ + 1;
  options.first_incarnation = highest_incarnation_ + 1;
  coordinator_.emplace(options, std::move(done));
  for (auto& [token, report] : std::exchange(early_reports_, {})) {
    Peer* peer = peer_of(token);
    try {
      if (peer != nullptr) on_done(*peer, report);
    } catch (const CommError& error) {
      refuse(error.what());
    }
  }
  if (stop_wanted_) on_stop();
  if (events_.coordinates) events_.coordinates(false);
  gather_if_finished();
}

}  // namespace trireme
