// State for checkpoints: each primary gives its shard's rows to the coordinator.
#include <algorithm>

#include "base/error.h"
#include "comm/parameter_server/block_versions.h"
#include "comm/parameter_server/server_loop.h"

namespace trireme {

void ParameterServer::Loop::on_cut_complete(int32_t shard, int64_t clock) {
  Held& held = *this->held(shard);
  if (taken_.contains(clock)) return held.shard->release_cut();  // a backup that came later
  offered_[clock].insert(shard);
  if (map_.primary[static_cast<size_t>(shard)] == options_.server)
    offer_cut(held, clock, ShardState::cut, false);
}

void ParameterServer::Loop::on_gather(int64_t clock) {
  for (auto& [shard, held] : held_) {
    if (map_.primary[static_cast<size_t>(shard)] != options_.server) continue;
    offer_cut(held, clock, ShardState::live, true);
  }
}

// A cut's rows stay where they are until it is taken; the last state's, too, since nothing moves any more.
void ParameterServer::Loop::offer_cut(Held& held, int64_t clock, ShardState which, bool last) {
  std::vector<std::span<const float>> rows;
  if (which == ShardState::cut) {
    rows.push_back(held.shard->cut_values());
  } else {
    const std::byte* begin = held.bytes->data() + version_bytes(held.hosted.layout.all_blocks().size());
    rows.push_back({reinterpret_cast<const float*>(begin), held.hosted.layout.size()});
  }
  std::vector<std::span<const float>> slots = held.hosted.slots(which);
  rows.insert(rows.end(), slots.begin(), slots.end());
  Peer* coordinator = coordinates() ? nullptr : server_peer(map_.coordinator);
  for (size_t r = 0; r < rows.size(); ++r) {
    PayloadHeader header;
    header.token = token_;
    header.kind = PayloadKind::cut;
    header.shard = held.hosted.shard;
    header.clock = clock;
    header.piece = last ? 1 : 0;
    header.row = static_cast<int32_t>(r);
    header.rows = static_cast<int32_t>(rows.size());
    if (coordinates()) {
      on_row(header, std::make_shared<std::vector<float>>(rows[r].begin(), rows[r].end()), last);
    } else if (coordinator != nullptr && coordinator->endpoint) {
      coordinator->endpoint->send(payload_message, packed(header), rows[r].data(), rows[r].size_bytes(),
                                  [](ucs_status_t) {});
    }
  }
}

void ParameterServer::Loop::on_row(const PayloadHeader& header, std::shared_ptr<std::vector<float>> row,
                                   bool last) {
  if (taken_.contains(header.clock) && !last) return;
  auto found = std::find_if(gathered_.begin(), gathered_.end(), [&](const Gathered& one) {
    return one.clock == header.clock && one.last == last;
  });
  if (found == gathered_.end()) {
    gathered_.push_back({header.clock, last, {}, {}, false});
    found = std::prev(gathered_.end());
  }
  if (found->told) return;  // they are being read, and these are the same
  found->rows[{header.shard, header.row}] = std::move(row);
  found->rows_of[header.shard] = header.rows;
  tell_cut_if_whole();
}

// In order, one at a time: the next is told when the one before is taken.
void ParameterServer::Loop::tell_cut_if_whole() {
  if (gathered_.empty()) return;
  std::sort(gathered_.begin(), gathered_.end(), [](const Gathered& a, const Gathered& b) {
    return std::pair(a.last, a.clock) < std::pair(b.last, b.clock);
  });
  Gathered& first = gathered_.front();
  if (first.told || !coordinates() || first.rows_of.size() < map_.primary.size()) return;
  size_t rows = 0;
  for (const auto& [shard, count] : first.rows_of) rows += static_cast<size_t>(count);
  if (first.rows.size() < rows) return;
  first.told = true;
  std::vector<StateRow> state;
  for (const auto& [place, row] : first.rows) state.push_back({place.first, place.second, *row});
  events_.cut(first.clock, std::move(state), first.last);
}

void ParameterServer::Loop::take_cut(int64_t clock) {
  std::erase_if(gathered_, [clock](const Gathered& one) { return one.clock == clock && one.told; });
  for (auto& [token, peer] : peers_) {
    if (peer->server >= 0) say(*peer, Word::cut_taken, ClockOnly{clock});
  }
  on_cut_taken(clock);
  tell_cut_if_whole();
}

void ParameterServer::Loop::on_cut_taken(int64_t clock) {
  taken_.insert(clock);
  auto offered = offered_.find(clock);
  if (offered == offered_.end()) return;
  std::set<int32_t> shards = std::move(offered->second);
  offered_.erase(offered);
  for (int32_t shard : shards) held(shard)->shard->release_cut();
}

}  // namespace trireme
