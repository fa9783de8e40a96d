// What others say of themselves and of who holds what, before it is believed.
#include <algorithm>

#include "base/error.h"
#include "comm/parameter_server/server_loop.h"

namespace trireme {
namespace {

constexpr size_t least_address = 16;       // UCX's have a head and its worker's name, at least
constexpr int32_t most_workers = 1 << 24;  // what a hello may claim
constexpr int64_t most_incarnations = int64_t{1} << 62;

}  // namespace

// What cannot be in a hello of this job; empty where all can.
std::string ParameterServer::Loop::trouble_with(const Hello& hello, const Peer* known) const {
  if (hello.server < -1 || hello.server >= options_.servers || hello.server == options_.server ||
      hello.token == token_)
    return fmt::format("a hello of server {}, where {} of {} is this", hello.server, options_.server,
                       options_.servers);
  if (hello.worker >= most_workers || hello.incarnation >= most_incarnations)
    return fmt::format("a hello of worker {}, incarnation {}", hello.worker, hello.incarnation);
  if (known != nullptr && known->server != hello.server && (known->server >= 0 || known->worker >= 0))
    return "a hello in the name of another";
  if (hello.address.size() < least_address || hello.address.front() != worker_.address().front())
    return fmt::format("a hello with an address of {} bytes", hello.address.size());
  auto same = [&](const ServerCard& card) {
    return card.server == hello.server && card.token == hello.token;
  };
  if (ready_ && hello.server >= 0 && std::none_of(roster_.begin(), roster_.end(), same))
    return fmt::format("a second server {}", hello.server);
  return "";
}

// Throws CommError unless all shards, and only they, are with servers that there are.
void ParameterServer::Loop::check(const ShardMap& map) const {
  auto all = static_cast<size_t>(options_.servers);
  bool good = map.primary.size() == all && map.backup.size() == all;
  for (size_t k = 0; good && k < all; ++k) {
    good = map.primary[k] >= 0 && map.primary[k] < options_.servers && map.backup[k] >= -1 &&
           map.backup[k] < options_.servers;
  }
  if (!good || map.coordinator < 0 || map.coordinator >= options_.servers)
    throw CommError("a map of {} shards, where there are {}", map.primary.size(), options_.servers);
}

}  // namespace trireme
