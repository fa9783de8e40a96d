#include "train/placement.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"

namespace trireme {
namespace {

// What ranks tell each other: the node's fingerprint, then the mask of cores.
constexpr size_t mask_words = sizeof(cpu_set_t) / sizeof(int64_t);
using Card = std::array<int64_t, 1 + mask_words>;

Card own_card() {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  Card card{};
  card[0] = static_cast<int64_t>(fingerprint(host, sizeof host));
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) CPU_SET(0, &mask);
  std::memcpy(&card[1], &mask, sizeof mask);
  return card;
}

bool share_cores(const Card& a, const Card& b) {
  if (a[0] != b[0]) return false;
  for (size_t i = 1; i < a.size(); ++i) {
    if ((a[i] & b[i]) != 0) return true;
  }
  return false;
}

}  // namespace

int Placement::threads() const { return std::max(1, cores / core_sharers); }

Placement place_ranks(Communicator& communicator) {
  Card own = own_card();
  std::vector<Card> cards(static_cast<size_t>(communicator.size()));
  communicator.all_gather(own.data(), own.size(), DType::int64, cards.data());
  Placement placement;
  cpu_set_t mask;
  std::memcpy(&mask, &own[1], sizeof mask);
  placement.cores = std::max(1, CPU_COUNT(&mask));
  placement.core_sharers = 0;
  std::vector<int64_t> hosts;
  for (size_t rank = 0; rank < cards.size(); ++rank) {
    const Card& card = cards[rank];
    auto known = std::ranges::find(hosts, card[0]);
    if (card[0] == own[0] && known == hosts.end()) {
      placement.leads_host = rank == static_cast<size_t>(communicator.rank());
    }
    if (card[0] == own[0]) placement.host = static_cast<int>(known - hosts.begin());
    if (known == hosts.end()) hosts.push_back(card[0]);
    if (share_cores(own, card)) ++placement.core_sharers;
  }
  placement.core_sharers = std::max(1, placement.core_sharers);
  placement.hosts = static_cast<int>(hosts.size());
  return placement;
}

uint64_t fingerprint(const void* data, size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(data);
  uint64_t hash = 0xcbf29ce484222325u;
  for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t), at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    hash = (hash ^ word) * 0x100000001b3u;
    hash ^= hash >> 32;  // multiplication alone never carries high bits down
  }
  for (; bytes > 0; --bytes, ++at) hash = (hash ^ *at) * 0x100000001b3u;
  return hash;
}

void require_agreement(Communicator& communicator, std::string_view what, uint64_t value) {
  std::vector<int64_t> values(static_cast<size_t>(communicator.size()));
  auto own = static_cast<int64_t>(value);
  communicator.all_gather(&own, 1, DType::int64, values.data());
  std::string others;
  for (size_t rank = 1; rank < values.size(); ++rank) {
    if (values[rank] != values[0]) others += fmt::format("{}{}", others.empty() ? "" : ", ", rank);
  }
  if (others.empty()) return;
  throw CommError(
      "{} of rank {} differ from those of rank 0: start all ranks with the same program, config and data",
      what, others);
}

}  // namespace trireme
