// What is done when somebody is gone: fences, new maps, a new coordinator.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "comm/parameter_server/server_loop.h"

namespace trireme {

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
  // Whoever leads from here on draws the new map: the coordinator, or, when that is dead, its backup.
  bool succeeds = dead_servers_.contains(map_.coordinator);
  int32_t leader = succeeds ? map_.backup.at(0) : map_.coordinator;
  bool led = leader >= 0 && !dead_servers_.contains(leader);
  if (led && leader != options_.server) return;
  if (superseded()) {
    return leave_job(
        {static_cast<int32_t>(ExitCode::stopped),
         fmt::format("server {} was cut off, and the others go on without it", options_.server)});
  }
  ShardMap map = map_;
  map.epoch += 1;
  std::string lost;
  for (size_t k = 0; k < map.primary.size(); ++k) {
    bool has_backup = map.backup[k] >= 0 && !dead_servers_.contains(map.backup[k]);
    if (dead_servers_.contains(map.primary[k])) {
      if (!has_backup) lost += fmt::format("{}{}", lost.empty() ? "" : ", ", k);
      map.primary[k] = map.backup[k];
      map.backup[k] = -1;
    } else if (!has_backup) {
      map.backup[k] = -1;
    }
  }
  if (!lost.empty() || !led) {
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
  map.coordinator = leader;
  take_map(map);
  say_to_all(Word::map, map_);
  if (succeeds || succeeding_) succeed();  // asks again those who hold the shards now
  if (std::exchange(gathering_, false)) gather_if_finished();
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
  for (auto& [token, hello] : std::exchange(early_hellos_, {})) {
    if (Peer* peer = peer_of(token)) on_worker_hello(*peer, hello);
  }
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
