#include "train/parameter_server/roles.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "base/environment.h"
#include "base/error.h"

namespace trireme {
namespace {

constexpr const char* servers_key = "parallel.parameter_server.servers";

Roles roles_per_node(const Config& config, const Launch& launch, const NodePlace& place) {
  if (!place.node || !place.nodes) {
    throw ConfigError(
        "{}: {} = \"per_node\": {} does not tell which node this is (ranks must be laid out node by node, "
        "equally "
        "many on each); use srun, or give a number of servers",
        config.where(servers_key), servers_key, launch.launcher);
  }
  Roles roles;
  roles.servers = *place.nodes;
  roles.workers = launch.size - roles.servers;
  roles.server = place.local_rank == 0 ? *place.node : -1;
  roles.works = !roles.serves();
  return roles;
}

Roles colocated(const Launch& launch) {
  Roles roles;
  roles.servers = roles.workers = launch.size;
  roles.server = launch.rank;
  return roles;
}

void check(const Config& config, const Roles& roles, const Launch& launch) {
  if (roles.workers < 1) {
    throw ConfigError(
        "{}: {} = {}: of {} rank(s) {} are servers, and none is left to train; start more ranks, or set it "
        "to "
        "\"colocated\"",
        config.where(servers_key), servers_key,
        config.parameter_server.servers.name.empty()
            ? fmt::format("{}", config.parameter_server.servers.count)
            : config.parameter_server.servers.name,
        launch.size, roles.servers);
  }
  if (config.parameter_server.replicas > roles.servers) {
    throw ConfigError(
        "{}: parallel.parameter_server.replicas = {} needs so many servers, and this launch of {} rank(s) "
        "has {}: "
        "start more, or set replicas to 1",
        config.where("parallel.parameter_server.replicas"), config.parameter_server.replicas, launch.size,
        roles.servers);
  }
}

}  // namespace

NodePlace node_place_from_environment(const Launch& launch) {
  NodePlace place;
  place.local_rank = local_rank_from_environment();
  if (launch.launcher == "srun") {
    place.node = number_in_environment("SLURM_NODEID");
    place.nodes = number_in_environment("SLURM_STEP_NUM_NODES");
    if (!place.nodes) place.nodes = number_in_environment("SLURM_NNODES");
  } else if (launch.launcher == "mpirun" && launch.local_size > 0 && launch.size % launch.local_size == 0 &&
             launch.rank % launch.local_size == place.local_rank) {
    place.node = launch.rank / launch.local_size;
    place.nodes = launch.size / launch.local_size;
  }
  return place;
}

Roles roles_of(const Config& config, const Launch& launch, const NodePlace& place) {
  const CountOrName& servers = config.parameter_server.servers;
  Roles roles;
  if (launch.launcher == "none") {
    roles = colocated(launch);
    if (servers.name != "colocated")
      roles.note = "started alone, by no launcher: this process is server and worker at once";
  } else if (servers.name == "colocated") {
    roles = colocated(launch);
  } else if (servers.name == "per_node") {
    roles = roles_per_node(config, launch, place);
  } else {
    roles.servers = static_cast<int32_t>(std::min<int64_t>(servers.count, launch.size));
    roles.workers = launch.size - roles.servers;
    roles.server = launch.rank < roles.servers ? launch.rank : -1;
    roles.works = !roles.serves();
  }
  check(config, roles, launch);
  return roles;
}

Roles role_of_joiner() {
  Roles roles;
  roles.servers = roles.workers = 0;
  roles.joins = true;
  return roles;
}

int64_t pieces_of(const Config& config, const Roles& roles) {
  if (config.parameter_server.pieces > 0) return config.parameter_server.pieces;
  return std::min<int64_t>(roles.workers, config.data.batch);
}

std::string roles_text(const Config& config, const Roles& roles) {
  std::string who = roles.serves() && roles.works
                        ? fmt::format("{} process(es), each server and worker", roles.servers)
                        : fmt::format("{} server(s) and {} worker(s)", roles.servers, roles.workers);
  return fmt::format("{}; {} piece(s) of each batch of {} samples", who, pieces_of(config, roles),
                     config.data.batch);
}

}  // namespace trireme
