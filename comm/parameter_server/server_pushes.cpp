// Gradients: taken in, forwarded to the backup, applied, acknowledged.
#include <algorithm>
#include <functional>

#include "base/error.h"
#include "comm/parameter_server/block_versions.h"
#include "comm/parameter_server/server_loop.h"

namespace trireme {
namespace {

constexpr size_t most_memories = 64;  // of one worker, open here
// Values are sent in messages of so many elements, about: what has come is copied out of the caches while the
// next comes.
constexpr size_t message_elements = size_t{1} << 18;
constexpr size_t most_messages = 4;  // of one pull, under way
constexpr int32_t most_rows = 4096;  // of a shard's state

}  // namespace

ParameterServer::Loop::Held* ParameterServer::Loop::held(int32_t shard) {
  auto found = held_.find(shard);
  return found == held_.end() ? nullptr : &found->second;
}

bool ParameterServer::Loop::has_backup(int32_t shard) {
  return map_.backup.at(static_cast<size_t>(shard)) >= 0;
}

// The header says whose it is and what; the data is fetched only when both may be.
void ParameterServer::Loop::on_payload(UcxMessage&& message) {
  try {
    auto header = unpacked<PayloadHeader>(message.header());
    Peer* peer = peer_of(header.token);
    if (peer == nullptr) return;
    peer->heard = now();
    bool from_server = peer->server >= 0;
    if (!from_server && peer->worker < 0) return refuse("data of somebody who has not been let in");
    if (header.kind != PayloadKind::push && header.kind != PayloadKind::forward &&
        header.kind != PayloadKind::cut)
      return refuse(fmt::format("data of kind {}, which no server takes", static_cast<int>(header.kind)));
    if (header.kind != PayloadKind::push && !from_server)
      return refuse("state or forwarded gradients from a worker");
    if (header.kind == PayloadKind::cut) {
      if (header.shard < 0 || header.shard >= options_.servers || header.rows < 1 ||
          header.rows > most_rows || header.row < 0 || header.row >= header.rows ||
          message.size() % sizeof(float) != 0)
        return refuse(fmt::format("row {} of {} of shard {}, {} bytes", header.row, header.rows, header.shard,
                                  message.size()));
      auto row = std::make_shared<std::vector<float>>(message.size() / sizeof(float));
      message.receive(row->data(), message.size(), [this, header, row](ucs_status_t status) {
        if (status == UCS_OK) on_row(header, row, header.piece != 0);
      });
      return;
    }
    Held* target = held(header.shard);
    if (target == nullptr)
      return refuse(fmt::format("gradients for shard {}, which is not here", header.shard));
    const ShardLayout& layout = target->hosted.layout;
    size_t most = payload_bytes(PayloadFormat::float32_with_parameters, layout.payload());
    if (message.size() > most) {
      return refuse(fmt::format("{} bytes of gradients for shard {}, which takes {} at most", message.size(),
                                header.shard, most));
    }
    if (header.kind == PayloadKind::push && header.descriptor >= 0) {
      if (header.bytes > most) return refuse("more gradients than a shard takes");
      Payload payload = shared_payload(*peer, header);
      if (payload.owner == nullptr) {
        Ack ack{header.shard, header.clock, header.piece, Verdict::send_it, 0, 0};
        return say(*peer, Word::ack, ack);
      }
      count_received(header.bytes);
      return on_push(header.token, header, std::move(payload));
    }
    size_t bytes = message.size();
    std::shared_ptr<SharedBytes> buffer = buffers_.take(std::max<size_t>(bytes, 4));
    message.receive(buffer->data(), bytes, [this, header, buffer, bytes](ucs_status_t status) {
      if (status != UCS_OK) return;  // the sender is gone, or will send again
      count_received(bytes);
      Payload payload{buffer, {buffer->data(), bytes}};
      Peer* sender = peer_of(header.token);
      if (sender == nullptr) return;
      try {
        if (header.kind == PayloadKind::push) {
          on_push(header.token, header, std::move(payload));
        } else {
          on_forward(*sender, header, std::move(payload));
        }
      } catch (const CommError& error) {
        refuse(error.what());
      }
    });
  } catch (const CommError& error) {
    refuse(error.what());
  }
}

void ParameterServer::Loop::count_received(size_t bytes) {
  std::lock_guard lock(figures_mutex_);
  figures_.received_bytes += bytes;
}

// A worker on this machine: its gradients are read where it has them. They stay there until acknowledged, and
// the memory lasts as long as it is open here.
Payload ParameterServer::Loop::shared_payload(Peer& peer, const PayloadHeader& header) {
  if (!peer.is_local || header.bytes > header.memory_bytes) return {};
  auto known = peer.memories.find(header.memory);
  if (known != peer.memories.end() && known->second->size() >= header.bytes)
    return {known->second, {known->second->data(), header.bytes}};
  std::shared_ptr<SharedBytes> memory =
      SharedBytes::open(peer.process, header.descriptor, header.memory_bytes);
  // The descriptor may have been closed, and its number be another memory's by now.
  if (memory == nullptr || memory->name() != header.memory) return {};
  if (peer.memories.size() >= most_memories) peer.memories.clear();  // names that are no longer used
  peer.memories[header.memory] = memory;
  return {memory, {memory->data(), header.bytes}};
}

// Of each run of blocks: versions, values, versions. The worker asks again for blocks that changed meanwhile.
void ParameterServer::Loop::on_pull(Peer& peer, const PullRequest& request) {
  auto pull = std::make_shared<PullUnderWay>();
  pull->token = peer.token;
  pull->shard = request.shard;
  pull->answer.number = request.number;
  pull->asked = request.blocks;
  Held* held = this->held(request.shard);
  if (held != nullptr) pull->blocks = held->hosted.layout.all_blocks();
  bool known = held != nullptr && peer.endpoint &&
               std::all_of(request.blocks.begin(), request.blocks.end(),
                           [&](uint32_t b) { return b < pull->blocks.size(); }) &&
               std::adjacent_find(request.blocks.begin(), request.blocks.end(), std::greater_equal<>()) ==
                   request.blocks.end();
  if (!known) {
    pull->answer.known = 0;
    return say(peer, Word::pulled, pull->answer);
  }
  pull->answer.before.resize(request.blocks.size());
  pull->answer.after.resize(request.blocks.size());
  for (size_t i = 0; i < request.blocks.size(); ++i) {
    Range block = pull->blocks[request.blocks[i]];
    auto* last = pull->runs.empty() ? nullptr : &pull->runs.back();
    if (last != nullptr && last->elements.end == block.begin && last->elements.size() < message_elements) {
      last->elements.end = block.end;
      last->asked.end = i + 1;
    } else {
      pull->runs.push_back({block, {i, i + 1}});
    }
  }
  send_values(pull);
}

// A few runs at a time, so that an update of the shard in the middle of a pull tears those alone.
void ParameterServer::Loop::send_values(const std::shared_ptr<PullUnderWay>& pull) {
  if (pull->sending) return;  // a send has ended at once: the loop below goes on
  Held* held = this->held(pull->shard);
  const auto* versions = reinterpret_cast<const uint64_t*>(held->bytes->data());
  const auto* values =
      reinterpret_cast<const float*>(held->bytes->data() + version_bytes(pull->blocks.size()));
  auto read = [pull, versions](Range asked, std::vector<uint64_t>& into) {
    for (size_t i = asked.begin; i < asked.end; ++i)
      into[i] = __atomic_load_n(&versions[pull->asked[i]], __ATOMIC_ACQUIRE);
  };
  pull->sending = true;
  while (pull->next < pull->runs.size() && pull->under_way < most_messages) {
    Peer* peer = peer_of(pull->token);
    if (peer == nullptr || !peer->endpoint) return;  // nobody waits for it
    PullUnderWay::Run run = pull->runs[pull->next++];
    read(run.asked, pull->answer.before);
    PayloadHeader header;
    header.token = token_;
    header.kind = PayloadKind::values;
    header.shard = pull->shard;
    header.clock = static_cast<int64_t>(run.elements.begin);
    header.row = pull->answer.number;
    header.rows = static_cast<int32_t>(pull->runs.size());
    ++pull->under_way;
    peer->endpoint->send(payload_message, packed(header), values + run.elements.begin,
                         run.elements.size() * sizeof(float), [this, pull, read, run](ucs_status_t status) {
                           if (status != UCS_OK) return;  // the worker is gone
                           __atomic_thread_fence(__ATOMIC_ACQUIRE);
                           read(run.asked, pull->answer.after);
                           --pull->under_way;
                           send_values(pull);
                         });
  }
  pull->sending = false;
  if (pull->next < pull->runs.size() || pull->under_way > 0) return;
  if (Peer* peer = peer_of(pull->token)) say(*peer, Word::pulled, pull->answer);
}

void ParameterServer::Loop::on_push(uint64_t token, const PayloadHeader& header, Payload payload) {
  Held& held = *this->held(header.shard);
  const CoordinatorOptions& run = options_.coordinator;
  if (header.clock < run.first_clock || header.clock >= run.end_clock)
    throw CommError("a push of clock {}, which is not in this run", header.clock);
  if (header.piece < 0 || header.piece >= run.pieces)
    throw CommError("a push of piece {}, where a clock has {}", header.piece, run.pieces);
  Ticket ticket{header.clock, header.piece};
  int64_t number = ticket.number(run.pieces);
  // Before all servers have met, the backup may not be there: the worker tries again, as with a change of
  // hands.
  if (!ready_ || map_.primary.at(static_cast<size_t>(header.shard)) != options_.server)
    return acknowledge(token, held, number, Verdict::not_primary, 0);
  auto fenced = fenced_.find(header.worker);
  if (fenced != fenced_.end() && header.incarnation <= fenced->second) {
    {
      std::lock_guard lock(figures_mutex_);
      ++figures_.fenced;
    }
    return acknowledge(token, held, number, Verdict::fenced, 0);
  }
  auto known = held.pending.find(number);
  if (known != held.pending.end()) {  // the same again, before the first is through
    known->second.tokens.push_back(token);
    std::lock_guard lock(figures_mutex_);
    ++figures_.duplicates;
    return;
  }
  // What this shard refuses must not reach the backup; that it has been applied is told by the inbox, later.
  if (!take_in(held, header, payload) || !has_backup(header.shard)) {
    held.pending[number].tokens.push_back(token);
    return;
  }
  PendingPush& pending = held.pending[number];
  pending.tokens.push_back(token);
  pending.forwarded = false;
  pending.sequence = ++held.sequence;
  held.unforwarded[pending.sequence] = number;
  if (Peer* backup = server_peer(map_.backup.at(static_cast<size_t>(header.shard))))
    forward(held, *backup, header, payload);
  // else its death is about to be told, and what waits for it will be let go
}

// Whether it is new. Throws CommError, and has changed nothing, where it is malformed.
bool ParameterServer::Loop::take_in(Held& held, const PayloadHeader& header, Payload payload) {
  set_cuts(held, header.clock);
  PushInfo info;
  info.ticket = {header.clock, header.piece};
  info.worker = header.worker;
  info.incarnation = header.incarnation;
  info.pulled_version = header.pulled_version;
  info.format = static_cast<PayloadFormat>(header.format);
  int64_t number = info.ticket.number(options_.coordinator.pieces);
  return held.shard->push(info, std::move(payload),
                          [this, shard = header.shard, number](const Applied& applied) {
                            post([this, shard, number, applied] { on_applied(shard, number, applied); });
                          });
}

// Before the first update of a clock all cuts up to there must have been asked for.
void ParameterServer::Loop::set_cuts(Held& held, int64_t clock) {
  while (held.next_cut <= clock && held.next_cut < options_.coordinator.end_clock) {
    int64_t cut = held.next_cut;
    held.shard->set_cut(cut, [this, shard = held.hosted.shard, cut] {
      post([this, shard, cut] { on_cut_complete(shard, cut); });
    });
    held.next_cut = events_.next_cut(cut);
  }
}

void ParameterServer::Loop::forward(Held& held, Peer& backup, const PayloadHeader& header,
                                    const Payload& payload) {
  PayloadHeader forwarded = header;
  forwarded.token = token_;
  forwarded.kind = PayloadKind::forward;
  forwarded.sequence = held.sequence;
  if (!backup.endpoint) return;
  backup.endpoint->send(payload_message, packed(forwarded), payload.bytes.data(), payload.bytes.size(),
                        [owner = payload.owner](ucs_status_t) {});
}

// Messages may overtake each other: they are taken in in the primary's order.
void ParameterServer::Loop::on_forward(Peer& peer, const PayloadHeader& header, Payload payload) {
  Held& held = *this->held(header.shard);
  if (map_.primary.at(static_cast<size_t>(header.shard)) == options_.server) {
    // It has been taken for dead, and this server has taken over.
    return say(
        peer, Word::refused,
        EndOfJob{static_cast<int32_t>(ExitCode::stopped),
                 fmt::format("server {} was taken for dead, and server {} has its shard: the others go on "
                             "without it",
                             peer.server, options_.server)});
  }
  if (map_.primary.at(static_cast<size_t>(header.shard)) != peer.server)
    throw CommError("{} forwards gradients of shard {}, which is not its own", peer.name(), header.shard);
  if (header.sequence > held.sequence)
    held.early.emplace(header.sequence, Held::Waiting{header, std::move(payload)});
  // It is here: it will not be lost.
  Ack ack{header.shard, header.clock, header.piece, Verdict::forwarded, 0, header.sequence};
  while (!held.early.empty() && held.early.begin()->first == held.sequence + 1) {
    Held::Waiting next = std::move(held.early.begin()->second);
    held.early.erase(held.early.begin());
    ++held.sequence;
    take_in(held, next.header, std::move(next.payload));
  }
  say(peer, Word::ack, ack);
}

void ParameterServer::Loop::on_forwarded(const Ack& ack) {
  Held* held = this->held(ack.shard);
  if (held == nullptr) return;
  auto found = held->unforwarded.find(ack.sequence);
  if (found == held->unforwarded.end()) return;
  int64_t number = found->second;
  held->unforwarded.erase(found);
  auto pending = held->pending.find(number);
  if (pending == held->pending.end()) return;
  pending->second.forwarded = true;
  acknowledge_if_due(*held, number);
}

void ParameterServer::Loop::on_applied(int32_t shard, int64_t ticket, const Applied& applied) {
  Held& held = *this->held(shard);
  {
    std::lock_guard lock(figures_mutex_);
    if (applied.duplicate) {
      ++figures_.duplicates;
    } else if (map_.primary.at(static_cast<size_t>(shard)) == options_.server) {
      ++figures_.pushes;
      ++figures_.staleness[std::min<size_t>(applied.staleness, figures_.staleness.size() - 1)];
    }
  }
  auto pending = held.pending.find(ticket);
  if (pending == held.pending.end()) return;  // the backup's own
  pending->second.applied = true;
  pending->second.staleness = applied.staleness;
  acknowledge_if_due(held, ticket);
}

void ParameterServer::Loop::acknowledge_if_due(Held& held, int64_t ticket) {
  auto found = held.pending.find(ticket);
  if (found == held.pending.end() || !found->second.applied || !found->second.forwarded) return;
  PendingPush pending = std::move(found->second);
  held.pending.erase(found);
  for (uint64_t token : pending.tokens) {
    acknowledge(token, held, ticket, Verdict::applied, pending.staleness);
  }
}

void ParameterServer::Loop::acknowledge(uint64_t token, const Held& held, int64_t ticket, Verdict verdict,
                                        uint64_t staleness) {
  Peer* peer = peer_of(token);
  if (peer == nullptr) return;
  Ticket what = Ticket::numbered(ticket, options_.coordinator.pieces);
  say(*peer, Word::ack, Ack{held.hosted.shard, what.clock, what.piece, verdict, staleness, 0});
}

}  // namespace trireme
