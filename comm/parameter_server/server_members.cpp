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
  ServerMeeting meeting;
  meeting.job = options_.job;
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
  std::optional<ServerMeeting> meeting = read_meeting(options_.meeting);
  return meeting && (meeting->session != session_ || meeting->epoch > map_.epoch) && ready_;
}

void ParameterServer::Loop::look_for_coordinator(double now) {
  if (now - last_look_ < look_seconds) return;
  last_look_ = now;
  std::optional<ServerMeeting> meeting = read_meeting(options_.meeting);
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
    if (coordinates()) early_hellos_.emplace_back(peer.token, hello);  // a successor that does not yet know
    peer.worker = hello.worker;
    peer.incarnation = hello.incarnation;
  }
  highest_worker_ = std::max(highest_worker_, peer.worker);
  highest_incarnation_ = std::max(highest_incarnation_, peer.incarnation);
  if (is_new) say(peer, Word::keys, own_keys());
}

}  // namespace trireme
