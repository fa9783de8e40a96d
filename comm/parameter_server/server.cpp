#include "comm/parameter_server/server.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"
#include "comm/parameter_server/block_versions.h"
#include "comm/parameter_server/clock.h"
#include "comm/parameter_server/local_process.h"
#include "comm/parameter_server/server_loop.h"

namespace trireme {
namespace {

constexpr double flush_seconds = 0.5;  // for the last words to leave

}  // namespace

ShardMap first_map(int32_t servers, int32_t replicas) {
  ShardMap map;
  map.epoch = 1;
  for (int32_t k = 0; k < servers; ++k) {
    map.primary.push_back(k);
    map.backup.push_back(replicas > 1 && servers > 1 ? (k + 1) % servers : -1);
  }
  return map;
}

// ---- the public face

ParameterServer::ParameterServer(ServerOptions options, std::vector<HostedShard> shards, ServerEvents events)
    : loop_(std::make_unique<Loop>(std::move(options), std::move(shards), std::move(events))) {}
ParameterServer::~ParameterServer() = default;
void ParameterServer::take_cut(int64_t clock) {
  loop_->post([this, clock] { loop_->take_cut(clock); });
}
void ParameterServer::stop() {
  loop_->post([this] { loop_->stop(); });
}
void ParameterServer::finish(const EndOfJob& end) {
  loop_->post([this, end] { loop_->finish(end); });
}
void ParameterServer::set_resumable() {
  loop_->post([this] { loop_->set_resumable(); });
}
ServerFigures ParameterServer::figures() const { return loop_->figures(); }

// ---- the thread

std::string ParameterServer::Loop::Peer::name() const {
  if (server >= 0) return fmt::format("server {} on {} (process {})", server, host, process);
  return fmt::format("worker {} on {} (process {})", worker, host, process);
}

ParameterServer::Loop::Loop(ServerOptions options, std::vector<HostedShard> shards, ServerEvents events)
    : options_(std::move(options)),
      events_(std::move(events)),
      token_(draw_token()),
      context_({.transports = ucx_transports(options_.transports)}),
      pool_(static_cast<size_t>(std::max(options_.threads, 1))),
      worker_(context_),
      inbox_(worker_) {
  options_.coordinator.next_cut = events_.next_cut;
  size_t lane = 0;
  for (HostedShard& shard : shards) {
    Held& held = held_[shard.shard];
    held.hosted = std::move(shard);
    const ShardLayout& layout = held.hosted.layout;
    size_t blocks = layout.all_blocks().size();
    size_t head = version_bytes(blocks);
    held.bytes = SharedBytes::create(head + layout.size() * sizeof(float));
    held.memory =
        std::make_unique<UcxMemory>(UcxMemory::map(context_, held.bytes->data(), held.bytes->size()));
    std::byte* begin = held.bytes->data();
    ShardMemory memory{{reinterpret_cast<uint64_t*>(begin), blocks},
                       {reinterpret_cast<float*>(begin + head), layout.size()}};
    held.hosted.start_values(memory.values);
    ShardOptions shard_options;
    shard_options.pieces = options_.coordinator.pieces;
    shard_options.first_clock = options_.coordinator.first_clock;
    shard_options.collect_clocks = options_.collect_clocks;
    shard_options.first_lane = lane++ % pool_.lanes();
    held.shard = std::make_unique<Shard>(memory, layout, *held.hosted.rules, pool_, shard_options);
    held.next_cut = events_.next_cut(options_.coordinator.first_clock);
  }
  started_ = last_turn_ = without_workers_since_ = now();
  worker_.on_message(control_message, [this](UcxMessage&& message) { on_control(std::move(message)); });
  worker_.on_message(payload_message, [this](UcxMessage&& message) { on_payload(std::move(message)); });
  map_ = first_map(options_.servers, options_.replicas);
  begin_meeting();
  thread_ = std::thread([this] { run(); });
}

ParameterServer::Loop::~Loop() {
  quits_.store(true);
  worker_.signal();
  thread_.join();
  // What is being applied yet calls back into the inbox, which is gone before the shards would be.
  for (auto& [shard, held] : held_) held.shard.reset();
}

double ParameterServer::Loop::now() const { return steady_seconds(); }

void ParameterServer::Loop::post(std::function<void()> what) { inbox_.post(std::move(what)); }

void ParameterServer::Loop::run() {
  while (!quits_.load() && !over_) {
    try {
      turn();
    } catch (const Error& error) {
      end_job(
          {static_cast<int32_t>(error.code()), fmt::format("server {}: {}", options_.server, error.what())});
    } catch (const std::exception& error) {
      // What a peer's message or death can do is caught where it happens: this is ours.
      end_job({static_cast<int32_t>(ExitCode::internal),
               fmt::format("server {}: {}", options_.server, error.what())});
    }
  }
}

void ParameterServer::Loop::turn() {
  bool impatient = !waiting_.empty() && options_.coordinator.backup_pieces;
  double limit = leaving_since_ || impatient ? 0.005 : std::min(options_.coordinator.lease_seconds / 10, 0.1);
  worker_.wait(std::chrono::nanoseconds(static_cast<int64_t>(limit * 1e9)));
  inbox_.work();
  timers(now());
}

void ParameterServer::Loop::timers(double now) {
  double gap = now - std::exchange(last_turn_, now);
  if (leaving_since_) {
    bool out =
        std::all_of(flushes_.begin(), flushes_.end(), [](const UcxRequest& one) { return one.done(); });
    if (out || now - *leaving_since_ > flush_seconds) over_ = true;
    if (over_) events_.end(end_);
    return;
  }
  if (gap > options_.coordinator.lease_seconds && superseded()) {
    leave_job({static_cast<int32_t>(ExitCode::stopped),
               fmt::format(
                   "server {} stood still for {:.1f} s (stopped, or its machine was) and was taken for dead "
                   "meanwhile: the others go on without it",
                   options_.server, gap)});
    return;
  }
  if (!ready_) {
    if (!coordinates()) look_for_coordinator(now);
    if (now - started_ > options_.start_seconds) {
      end_job(
          {static_cast<int32_t>(ExitCode::internal),
           fmt::format("server {} of {} waited {:.0f} s for the others: {} of them have come. Do all see {}? "
                       "What is known: {}",
                       options_.server, options_.servers, options_.start_seconds, comrades_.size(),
                       options_.meeting.string(), meeting_trouble(options_.meeting, options_.job))});
    }
    return;
  }
  double beat = options_.coordinator.lease_seconds / 5;
  if (now - last_beat_ >= beat) {
    last_beat_ = now;
    for (auto& [token, peer] : peers_) {
      if (!peer->lost) say(*peer, Word::beat);
    }
  }
  // After a gap of this thread's own nobody has been late.
  if (gap > options_.coordinator.lease_seconds / 2) {
    for (auto& [token, peer] : peers_) {
      peer->heard = now;
      if (coordinator_ && peer->worker >= 0) coordinator_->heard_from(peer->worker, peer->incarnation, now);
    }
    return;
  }
  std::vector<std::pair<Peer*, std::string>> gone;
  for (auto& [token, peer] : peers_) {
    if (peer->lost) continue;
    if (now - peer->heard > options_.coordinator.lease_seconds) {
      gone.emplace_back(peer.get(),
                        fmt::format("has said nothing for {:.1f} s", options_.coordinator.lease_seconds));
    } else if (peer->is_local && process_is_gone(peer->process)) {
      gone.emplace_back(peer.get(), "has died");
    }
  }
  for (auto& [peer, how] : gone) lose(*peer, how);
  std::erase_if(peers_, [](const auto& entry) { return entry.second->lost; });
  if (!coordinator_ || over_ || leaving_since_) return;
  serve_waiting();
  if (coordinator_->present() > 0 || gathering_) without_workers_since_ = now;
  if (now - without_workers_since_ > options_.patience_seconds) {
    end_job({static_cast<int32_t>(options_.resumable ? ExitCode::stopped : ExitCode::internal),
             fmt::format("no worker is left, and none has come for {:.0f} s", options_.patience_seconds)});
  }
}

void ParameterServer::Loop::refuse(const std::string& why) {
  std::lock_guard lock(figures_mutex_);
  if (figures_.refused_messages++ == 0 && events_.tell) {
    events_.tell(fmt::format("a message was refused: {} (further ones are counted, not told)", why), true);
  }
}

void ParameterServer::Loop::on_control(UcxMessage&& message) {
  try {
    fetch_control(message, fetching_, [this](std::span<const std::byte> data) { take_control(data); });
  } catch (const CommError& error) {
    refuse(error.what());
  }
}

void ParameterServer::Loop::take_control(std::span<const std::byte> data) {
  try {
    ControlMessage control = parse_control(data);
    if (control.word == Word::hello) return on_hello(unpacked<Hello>(control.body));
    Peer* peer = peer_of(control.token);
    if (peer == nullptr) return;  // a stranger, or one that has been given up
    peer->heard = now();
    handle(*peer, control.word, control.body);
  } catch (const CommError& error) {
    refuse(error.what());
  }
}

void ParameterServer::Loop::handle(Peer& peer, Word word, std::span<const std::byte> body) {
  bool from_server = peer.server >= 0;
  bool from_coordinator = from_server && peer.server == map_.coordinator;
  if (coordinator_ && peer.worker >= 0) coordinator_->heard_from(peer.worker, peer.incarnation, now());
  if (!from_server && peer.worker < 0 && word != Word::beat && word != Word::leave)
    throw CommError("word {} of somebody who has not been let in", static_cast<int>(word));
  switch (word) {
    case Word::beat:
      return;
    case Word::next:
      return on_next(peer);
    case Word::pull:
      return on_pull(peer, unpacked<PullRequest>(body));
    case Word::done:
      return on_done(peer, unpacked<TicketReport>(body));
    case Word::leave:
      if (!from_server) lose_worker(peer, "");
      return;
    case Word::fail:
      if (coordinates()) {
        auto end = unpacked<EndOfJob>(body);
        // An exit code keeps 8 bits: a failure must not look like success.
        if (end.code < 1 || end.code > 255) end.code = static_cast<int32_t>(ExitCode::internal);
        end_job(end);
      }
      return;
    case Word::stop:
      return on_stop();
    case Word::ack:
      if (from_server) on_forwarded(unpacked<Ack>(body));
      return;
    case Word::roster:
      if (from_server) on_roster(unpacked<Roster>(body));
      return;
    case Word::map:
      if (from_server) take_map(unpacked<ShardMap>(body));
      return;
    case Word::fence:
      if (from_coordinator) fence(unpacked<WorkerName>(body));
      return;
    case Word::windows:
      if (!from_server) return;
      for (auto& [shard, held] : held_) {
        if (map_.primary.at(static_cast<size_t>(shard)) == options_.server)
          say(peer, Word::window, ShardWindow{options_.server, shard, held.shard->window().to_bytes()});
      }
      return;
    case Word::window:
      if (from_server) on_window(unpacked<ShardWindow>(body));
      return;
    case Word::gather:
      if (from_coordinator) on_gather(unpacked<ClockOnly>(body).clock);
      return;
    case Word::cut_taken:
      if (from_coordinator) on_cut_taken(unpacked<ClockOnly>(body).clock);
      return;
    case Word::resumable:
      if (from_coordinator) options_.resumable = true;
      return;
    case Word::end:
      if (from_coordinator) leave_job(unpacked<EndOfJob>(body));
      return;
    case Word::refused:
      if (from_server) leave_job(unpacked<EndOfJob>(body));
      return;
    default:
      throw CommError("{} sent word {}, which no server takes", peer.name(), static_cast<int>(word));
  }
}

void ParameterServer::Loop::send(Peer& peer, Word word, std::vector<std::byte> body) {
  if (!peer.lost && peer.endpoint) send_control(*peer.endpoint, token_, word, body);
}

void ParameterServer::Loop::end_job(const EndOfJob& end) {
  if (leaving_since_ || over_) return;
  for (auto& [token, peer] : peers_) say(*peer, Word::end, end);
  if (coordinates()) {
    try {
      if (!superseded()) {
        ServerMeeting own;
        own.job = options_.job;
        own.session = session_;
        ServerMeeting meeting = read_meeting(options_.meeting).value_or(own);
        meeting.over = true;
        meeting.end = end;
        // Another job's may lie there by now.
        if (meeting.session == session_) write_meeting(options_.meeting, meeting);
      }
    } catch (const std::exception&) {
      // Who looks there later finds nobody at the addresses.
    }
  }
  leave_job(end);
}

void ParameterServer::Loop::leave_job(const EndOfJob& end) {
  if (leaving_since_ || over_) return;
  end_ = end;
  leaving_since_ = now();
  for (auto& [token, peer] : peers_) {
    if (!peer->lost && peer->endpoint) flushes_.push_back(peer->endpoint->flush());
  }
}

void ParameterServer::Loop::finish(const EndOfJob& end) { end_job(end); }

void ParameterServer::Loop::set_resumable() {
  if (std::exchange(options_.resumable, true)) return;
  for (auto& [token, peer] : peers_) say(*peer, Word::resumable);
}

ServerFigures ParameterServer::Loop::figures() const {
  std::lock_guard lock(figures_mutex_);
  return figures_;
}

}  // namespace trireme
