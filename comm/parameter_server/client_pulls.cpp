// Pulls over a network, in the client's thread.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "comm/parameter_server/block_versions.h"
#include "comm/parameter_server/client_link.h"

namespace trireme {

// ---- by messages

void ParameterServerClient::Link::fetch_by_messages(std::shared_ptr<Pull> pull) {
  std::vector<float>& staging = staging_[static_cast<size_t>(pull->shard)];
  staging.resize(shards_[static_cast<size_t>(pull->shard)].layout.size());
  pull->number = ++pull_number_;
  pull->pending = -1;  // not known yet
  pull->answered = false;
  messages_ = pull;
  PullRequest request;
  request.number = pull->number;
  request.shard = pull->shard;
  for (size_t block : pull->blocks) request.blocks.push_back(static_cast<uint32_t>(block));
  if (Server* holder = server(pull->holder)) send(*holder, Word::pull, packed(request));
}

void ParameterServerClient::Link::on_values(UcxMessage&& message) {
  try {
    auto header = unpacked<PayloadHeader>(message.header());
    std::shared_ptr<Pull> pull = messages_;
    if (server_of(header.token) == nullptr || pull == nullptr || header.row != pull->number) return;
    std::vector<float>& staging = staging_[static_cast<size_t>(pull->shard)];
    auto begin = static_cast<size_t>(header.clock);
    if (begin > staging.size() || message.size() > (staging.size() - begin) * sizeof(float)) return;
    if (pull->pending < 0) pull->pending = header.rows;
    message.receive(staging.data() + begin, message.size(),
                    [this, pull, number = header.row,
                     run = Range{begin, begin + message.size() / sizeof(float)}](ucs_status_t status) {
                      if (messages_ != pull || pull->number != number) return;  // given up
                      if (status != UCS_OK) pull->failed = true;
                      if (!pull->failed) hand_out(*pull, run);
                      --pull->pending;
                      values_came(pull);
                    });
  } catch (const CommError&) {
    // No server of ours writes such: dropped.
  }
}

void ParameterServerClient::Link::on_pulled(const PullAnswer& answer) {
  std::shared_ptr<Pull> pull = messages_;
  if (pull == nullptr || answer.number != pull->number) return;
  pull->before = answer.before;
  pull->after = answer.after;
  pull->answered = true;
  bool fits = pull->before.size() == pull->blocks.size() && pull->after.size() == pull->blocks.size();
  if (answer.known == 0 || !fits) {
    pull->failed = true;
    pull->pending = 0;
  }
  values_came(pull);
}

void ParameterServerClient::Link::values_came(const std::shared_ptr<Pull>& pull) {
  if (!pull->answered || pull->pending != 0) return;
  messages_.reset();
  if (pull->failed) return pull_ended(pull);
  judge(pull);
}

// From where they came to where they go, torn ones too: those are fetched again before the pull ends.
void ParameterServerClient::Link::hand_out(const Pull& pull, Range run) {
  auto shard = static_cast<size_t>(pull.shard);
  std::lock_guard lock(mutex_);
  if (pulls_under_way_ == 0 || pull_failed_) return;  // the caller does not wait for it any more
  for (size_t element = run.begin; element < run.end;) {
    size_t elements = 0;
    float* place = place_of(shard, element, elements);
    elements = std::min(elements, run.end - element);
    std::memcpy(place, staging_[shard].data() + element, elements * sizeof(float));
    element += elements;
  }
}

// ---- by gets

void ParameterServerClient::Link::fetch_by_gets(std::shared_ptr<Pull> pull) {
  const RemoteShard* found = remote_shard(pull->shard);
  auto shard = static_cast<size_t>(pull->shard);
  uint64_t address = found->key.address;
  std::shared_ptr<UcxRemoteKey> key = found->remote;
  int32_t holder = pull->holder;
  struct Versions {
    std::vector<uint64_t> before, after;
  };
  size_t words = shards_[shard].layout.all_blocks().size();
  auto versions =
      std::make_shared<Versions>(Versions{std::vector<uint64_t>(words), std::vector<uint64_t>(words)});
  pull->before.clear();
  pull->after.clear();
  auto get = [this, key, holder](void* into, size_t bytes, uint64_t from, UcxCompletion then) {
    Server* primary = server(holder);
    if (primary == nullptr) return then(UCS_ERR_CONNECTION_RESET);
    primary->endpoint->get(into, bytes, from, *key, std::move(then));
  };
  auto read_after = [this, pull, get, address, versions](ucs_status_t status) {
    if (status != UCS_OK) pull->failed = true;
    if (--pull->pending > 0) return;
    if (pull->failed) return pull_ended(pull);
    get(versions->after.data(), versions->after.size() * sizeof(uint64_t), address,
        [this, pull, versions](ucs_status_t last) {
          if (last != UCS_OK) {
            pull->failed = true;
            return pull_ended(pull);
          }
          for (size_t i = 0; i < pull->blocks.size(); ++i) {
            pull->before.push_back(versions->before[pull->blocks[i]]);
            pull->after.push_back(versions->after[pull->blocks[i]]);
          }
          judge(pull);
        });
  };
  get(versions->before.data(), versions->before.size() * sizeof(uint64_t), address,
      [this, pull, get, address, shard, read_after](ucs_status_t status) {
        if (status != UCS_OK) {
          pull->failed = true;
          return pull_ended(pull);
        }
        std::vector<Range> blocks = shards_[shard].layout.all_blocks();
        uint64_t values = address + version_bytes(blocks.size());
        // Blocks that follow each other, in one get as far as they go to one place.
        struct Piece {
          float* into;
          size_t elements;
          uint64_t from;
        };
        std::vector<Piece> pieces;
        for (size_t b : pull->blocks) {
          for (size_t element = blocks[b].begin; element < blocks[b].end;) {
            size_t run = 0;
            float* place = place_of(shard, element, run);
            run = std::min(run, blocks[b].end - element);
            uint64_t from = values + element * sizeof(float);
            if (!pieces.empty() && pieces.back().into + pieces.back().elements == place &&
                pieces.back().from + pieces.back().elements * sizeof(float) == from) {
              pieces.back().elements += run;
            } else {
              pieces.push_back({place, run, from});
            }
            element += run;
          }
        }
        pull->pending = static_cast<int>(pieces.size());
        if (pieces.empty()) {
          pull->pending = 1;
          return read_after(UCS_OK);
        }
        for (const Piece& piece : pieces)
          get(piece.into, piece.elements * sizeof(float), piece.from, read_after);
      });
}

}  // namespace trireme
