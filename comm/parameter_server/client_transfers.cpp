// Pushes and pulls.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "comm/parameter_server/block_versions.h"
#include "comm/parameter_server/client_link.h"
#include "comm/parameter_server/clock.h"

namespace trireme {
namespace {

// A block that stays odd for so long belongs to a server that died while it wrote.
constexpr double stuck_seconds = 2;

}  // namespace

// ---- pushes

void ParameterServerClient::Link::push(Ticket ticket, PayloadFormat format,
                                       std::span<const PushSource> sources, const PullReport& pulled,
                                       TicketReport report) {
  double begin = steady_seconds();
  Outstanding one;
  {
    std::unique_lock lock(mutex_);
    // Collected clocks are acknowledged whole, and all pieces of one may be this worker's.
    auto most =
        static_cast<size_t>(options_.sees_own_pushes ? options_.most_outstanding
                                                     : std::max(options_.most_outstanding, welcome_.pieces));
    changed_.wait(lock,
                  [&] { return end_ || outstanding_.size() < most || ticket_generation_ != generation_; });
    if (end_ || ticket_generation_ != generation_ || !joined_) return;
    report.worker = welcome_.worker;
    report.incarnation = welcome_.incarnation;
  }
  report.wait_seconds += steady_seconds() - begin;
  begin = steady_seconds();
  report.clock = ticket.clock;
  report.piece = ticket.piece;
  for (size_t k = 0; k < sources.size(); ++k) {
    const PushSource& source = sources[k];
    Sent sent;
    sent.header.shard = static_cast<int32_t>(k);
    sent.header.clock = ticket.clock;
    sent.header.piece = ticket.piece;
    sent.header.worker = report.worker;
    sent.header.incarnation = report.incarnation;
    sent.header.pulled_version = pulled.versions.empty() ? 0 : pulled.versions[k];
    sent.header.format = static_cast<uint8_t>(format);
    sent.bytes = payload_bytes(format, shards_[k].layout.payload(), source.top_k);
    sent.payload = buffers_.take(std::max<size_t>(sent.bytes, 4));
    encoder_.encode(format, source.gradient, source.residual,
                    {reinterpret_cast<std::byte*>(sent.payload->data()), sent.bytes});
    report.pushed_bytes += sent.bytes;
    one.shards.push_back(std::move(sent));
  }
  report.push_seconds = steady_seconds() - begin;
  one.report = std::move(report);
  std::unique_lock lock(mutex_);
  if (ticket_generation_ != generation_ || !joined_) return;
  int64_t number = ticket.number(welcome_.pieces);
  outstanding_.insert_or_assign(number, std::move(one));
  lock.unlock();
  post([this, number] {
    std::lock_guard guard(mutex_);
    auto found = outstanding_.find(number);
    if (found == outstanding_.end()) return;
    for (Sent& sent : found->second.shards) send_push(sent);
  });
}

// Under the mutex, or not: what it touches is the thread's.
void ParameterServerClient::Link::send_push(Sent& sent) {
  if (sent.acked || map_.primary.empty()) return;
  Server* primary = server(map_.primary.at(static_cast<size_t>(sent.header.shard)));
  if (primary == nullptr) return;  // sent again when another has taken over
  PayloadHeader header = sent.header;
  header.token = token_;
  size_t bytes = sent.bytes;
  if (primary->is_local && primary->sees_memory && bytes > 0) {
    header.descriptor = sent.payload->descriptor();
    header.memory = sent.payload->name();
    header.memory_bytes = sent.payload->size();
    header.bytes = bytes;
    bytes = 0;
  }
  primary->endpoint->send(payload_message, packed(header), sent.payload->data(), bytes,
                          [payload = sent.payload](ucs_status_t) {});
}

void ParameterServerClient::Link::resend(const ShardMap& former) {
  std::lock_guard lock(mutex_);
  for (auto& [number, one] : outstanding_) {
    for (Sent& sent : one.shards) {
      auto k = static_cast<size_t>(sent.header.shard);
      if (former.primary.empty() || former.primary[k] != map_.primary[k]) send_push(sent);
    }
  }
}

void ParameterServerClient::Link::on_ack(Server& server, const Ack& ack) {
  std::unique_lock lock(mutex_);
  if (ack.verdict == Verdict::fenced) {
    WorkerName name{welcome_.worker, welcome_.incarnation};
    lock.unlock();
    return on_fenced(name);
  }
  auto found = outstanding_.find(Ticket{ack.clock, ack.piece}.number(welcome_.pieces));
  if (found == outstanding_.end() || ack.shard < 0 ||
      static_cast<size_t>(ack.shard) >= found->second.shards.size())
    return;
  Sent& sent = found->second.shards[static_cast<size_t>(ack.shard)];
  if (ack.verdict == Verdict::not_primary) {
    not_primary_.emplace_back(found->first, static_cast<size_t>(ack.shard));
    resend_at_ = steady_seconds() + 0.01;
    return;
  }
  if (ack.verdict == Verdict::send_it) {
    server.sees_memory = false;
    return send_push(sent);
  }
  if (std::exchange(sent.acked, true)) return;
  Outstanding& one = found->second;
  one.report.staleness = std::max(one.report.staleness, ack.staleness);
  bool all = std::all_of(one.shards.begin(), one.shards.end(), [](const Sent& each) { return each.acked; });
  if (!all) return;
  for (Sent& each : one.shards) each.payload.reset();
  one.done = true;
  tell_done(one);
  changed_.notify_all();
}

void ParameterServerClient::Link::tell_done(Outstanding& one) {
  if (Server* coordinator = server(map_.coordinator)) send(*coordinator, Word::done, packed(one.report));
}

// ---- pulls

const ParameterServerClient::Link::RemoteShard* ParameterServerClient::Link::remote_shard(int32_t shard) {
  if (map_.primary.empty()) return nullptr;
  Server* primary = server(map_.primary.at(static_cast<size_t>(shard)));
  if (primary == nullptr) return nullptr;
  auto found = primary->shards.find(shard);
  return found == primary->shards.end() ? nullptr : &found->second;
}

// Where element `element` of the shard goes, and how many that follow go behind it.
float* ParameterServerClient::Link::place_of(size_t shard, size_t element, size_t& run) const {
  size_t begin = 0;
  for (std::span<float> part : shards_[shard].values) {
    if (element < begin + part.size()) {
      run = begin + part.size() - element;
      return part.data() + (element - begin);
    }
    begin += part.size();
  }
  throw CommError("element {} of shard {} has no place", element, shard);
}

PullReport ParameterServerClient::Link::pull() {
  PullReport report;
  double begin = steady_seconds();
  std::unique_lock lock(mutex_);
  if (options_.sees_own_pushes) {
    changed_.wait(lock, [this] {
      return end_ || std::all_of(outstanding_.begin(), outstanding_.end(),
                                 [](const auto& entry) { return entry.second.done; });
    });
  }
  report.wait_seconds = steady_seconds() - begin;
  begin = steady_seconds();
  report.versions.assign(shards_.size(), 0);
  for (size_t k = 0; k < shards_.size(); ++k) {
    while (true) {
      // The shard may be changing hands.
      changed_.wait(lock, [&] {
        return end_ || ticket_generation_ != generation_ || remote_shard(static_cast<int32_t>(k)) != nullptr;
      });
      if (end_ || ticket_generation_ != generation_) return report;
      if (remote_shard(static_cast<int32_t>(k))->mapped != nullptr) {
        lock.unlock();
        bool copied = copy_shard(k, report);
        lock.lock();
        if (copied) break;
        continue;
      }
      auto pull = std::make_shared<Pull>();
      pull->shard = static_cast<int32_t>(k);
      pull_failed_ = false;
      pulls_under_way_ = 1;
      lock.unlock();
      post([this, pull] { begin_pull(pull); });
      lock.lock();
      changed_.wait(lock, [this] { return pulls_under_way_ == 0 || pull_failed_; });
      bool failed = pull_failed_ || pull->failed;
      pulls_under_way_ = 0;
      if (failed) continue;
      report.torn_blocks += pull->torn;
      report.versions[k] = pull->version;
      break;
    }
    report.bytes += shards_[k].layout.size() * sizeof(float);
  }
  report.seconds = steady_seconds() - begin;
  return report;
}

// The server's memory is this process's, too: block by block until it is whole.
bool ParameterServerClient::Link::copy_shard(size_t shard, PullReport& report) {
  std::shared_ptr<SharedBytes> memory;
  std::vector<Range> blocks = shards_[shard].layout.all_blocks();
  {
    std::lock_guard lock(mutex_);
    const RemoteShard* remote = remote_shard(static_cast<int32_t>(shard));
    if (remote == nullptr) return false;
    memory = remote->mapped;
  }
  const std::byte* mapped = memory->data();
  const auto* versions = reinterpret_cast<const uint64_t*>(mapped);
  const auto* values = reinterpret_cast<const float*>(mapped + version_bytes(blocks.size()));
  uint64_t least = UINT64_MAX;
  for (size_t b = 0; b < blocks.size(); ++b) {
    double since = 0;
    while (true) {
      uint64_t before = __atomic_load_n(&versions[b], __ATOMIC_ACQUIRE);
      uint64_t after = before + 1;
      if ((before & 1) == 0) {
        for (size_t element = blocks[b].begin; element < blocks[b].end;) {
          size_t run = 0;
          float* place = place_of(shard, element, run);
          run = std::min(run, blocks[b].end - element);
          std::memcpy(place, values + element, run * sizeof(float));
          element += run;
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        after = __atomic_load_n(&versions[b], __ATOMIC_RELAXED);
      }
      if (is_whole(before, after)) {
        least = std::min(least, before / 2);
        break;
      }
      ++report.torn_blocks;
      double now = steady_seconds();
      if (since == 0) since = now;
      if (now - since > stuck_seconds) {
        std::lock_guard lock(mutex_);
        if (end_) return true;
        const RemoteShard* remote = remote_shard(static_cast<int32_t>(shard));
        if (remote == nullptr || remote->mapped != memory) return false;  // another holds it now
      }
      std::this_thread::yield();
    }
  }
  report.versions[shard] = least;
  return true;
}

// In the thread. Versions, then values, then versions; what changed meanwhile again.
void ParameterServerClient::Link::begin_pull(std::shared_ptr<Pull> pull) {
  size_t blocks = shards_[static_cast<size_t>(pull->shard)].layout.all_blocks().size();
  for (size_t b = 0; b < blocks; ++b) pull->blocks.push_back(b);
  fetch(std::move(pull));
}

void ParameterServerClient::Link::fetch(std::shared_ptr<Pull> pull) {
  if (remote_shard(pull->shard) == nullptr) {
    pull->failed = true;
    return pull_ended(pull);
  }
  pull->holder = map_.primary.at(static_cast<size_t>(pull->shard));
  options_.transfer == ClientOptions::Transfer::gets ? fetch_by_gets(std::move(pull))
                                                     : fetch_by_messages(std::move(pull));
}

// Which blocks are whole.
void ParameterServerClient::Link::judge(const std::shared_ptr<Pull>& pull) {
  std::vector<size_t> torn;
  for (size_t i = 0; i < pull->blocks.size(); ++i) {
    if (is_whole(pull->before[i], pull->after[i])) {
      pull->version = std::min(pull->version, pull->before[i] / 2);
    } else {
      torn.push_back(pull->blocks[i]);
    }
  }
  pull->torn += torn.size();
  pull->blocks = std::move(torn);
  pull->blocks.empty() ? pull_ended(pull) : fetch(pull);
}

void ParameterServerClient::Link::pull_ended(const std::shared_ptr<Pull>& pull) {
  std::lock_guard lock(mutex_);
  if (pull->failed) pull_failed_ = true;
  pulls_under_way_ = 0;
  changed_.notify_all();
}

}  // namespace trireme
