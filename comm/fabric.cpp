#include "comm/fabric.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "comm/fabric_settings.h"
#include "comm/mpi_communicator.h"

namespace trireme {
namespace {

// What a rank tells the others. Plain bytes: lists are joined by commas, and cut off when they are too long.
struct Told {
  std::array<char, 64> host{};
  std::array<char, 32> layer{};
  std::array<char, 160> over{};
  std::array<char, 64> devices{};
  std::array<char, 192> unused{};  // an RDMA device that is there and that nothing holds open, and why
};
static_assert(sizeof(Told) == 512);

template <size_t size>
void put(std::array<char, size>& field, const std::string& text) {
  std::copy_n(text.data(), std::min(text.size(), size - 1), field.data());
}

template <size_t size>
void put(std::array<char, size>& field, const std::vector<std::string>& names) {
  put(field, fmt::format("{}", fmt::join(names, ",")));
}

std::vector<std::string> names_in(const char* field) {
  std::vector<std::string> names;
  std::string_view rest(field);
  while (!rest.empty()) {
    std::string_view name = rest.substr(0, rest.find(','));
    names.emplace_back(name);
    rest.remove_prefix(std::min(name.size() + 1, rest.size()));
  }
  return names;
}

// "ucx" among those to take, or not among those to leave out. Where nothing is said Open MPI takes ucx for
// hardware only, and then something is said (see fabric_settings).
bool ucx_may_be_selected() {
  const char* layer = std::getenv("OMPI_MCA_pml");
  if (layer == nullptr) return false;
  std::string_view text(layer);
  return text.starts_with('^') != (text.find("ucx") != std::string_view::npos);
}

// Where Open MPI may choose, it may pass over a device: that is no error, but must not go unsaid.
std::string unused_device(const CommOptions& options, const Machine& machine, const Selected& selected) {
  std::vector<RdmaDevice> usable = usable_devices(machine);
  if (options.transport != "auto" || usable.empty() || !selected.devices.empty()) return "";
  return fmt::format("{} is not used{}{}", usable.front().name, machine.ucx_trouble.empty() ? "" : ": ",
                     machine.ucx_trouble);
}

bool holds(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool holds_rdma(const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    for (const char* prefix : {"rc", "dc", "ud", "ib", "openib", "usnic", "uct", "ofi", "psm"}) {
      if (name.starts_with(prefix)) return true;
    }
    return false;
  });
}

// Why what a rank selected is not what the options ask for; empty when it is.
std::string objection(const CommOptions& options, const Selected& selected) {
  if (asks_for_rdma(options)) {
    if (selected.layer != "ucx" && selected.layer != "cm") return "is not RDMA";
    if (holds(selected.over, "tcp")) return "goes over tcp";
    if (selected.devices.empty()) return "holds no RDMA device open";
  } else if (options.transport == "tcp") {
    if (holds_rdma(selected.over)) return "is not tcp";
  } else if (options.transport == "shared_memory") {
    if (holds(selected.over, "tcp") || holds_rdma(selected.over)) return "is not shared memory";
  }
  return "";
}

}  // namespace

Fabric::Fabric(const CommOptions& options, const Launch& launch, const std::string& root)
    : options_(options), launch_(launch), machine_(look_at_machine(root, asks_for_rdma(options))) {
  // A lone rank sends no messages; what it may still demand is the machine.
  bool alone = launch.launcher == "none";
  if (alone && !options.require_rdma) return;
  Variables settings = fabric_settings(options, machine_, launch, fabric_environment());
  if (alone) return;
  for (const auto& [name, value] : settings) ::setenv(name.c_str(), value.c_str(), 0);
  ucx_log_ = std::make_unique<UcxLog>(ucx_may_be_selected());
}

Fabric::~Fabric() = default;

std::string Fabric::check(MPI_Comm all, int hosts) {
  int rank = 0;
  int size = 1;
  check_mpi(MPI_Comm_rank(all, &rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(all, &size), "MPI_Comm_size");
  check_mpi(MPI_Sendrecv(nullptr, 0, MPI_BYTE, (rank + 1) % size, 0, nullptr, 0, MPI_BYTE,
                         (rank + size - 1) % size, 0, all, MPI_STATUS_IGNORE),
            "MPI_Sendrecv");
  Selected mine =
      selected_fabric(ucx_log_ ? ucx_log_->transports() : std::vector<std::string>(), hosts<size, hosts> 1);
  Told told;
  put(told.host, host_name());
  put(told.layer, mine.layer);
  put(told.over, mine.over);
  put(told.devices, mine.devices);
  put(told.unused, unused_device(options_, machine_, mine));
  std::vector<Told> everyone(static_cast<size_t>(size));
  check_mpi(MPI_Allgather(&told, sizeof told, MPI_BYTE, everyone.data(), sizeof told, MPI_BYTE, all),
            "MPI_Allgather");

  // Who deviates is found by all ranks alike, so that all throw or none.
  Selected together{everyone.front().layer.data(), {}, {}};
  std::string remark;
  for (size_t i = 0; i < everyone.size(); ++i) {
    Selected one{everyone[i].layer.data(), names_in(everyone[i].over.data()),
                 names_in(everyone[i].devices.data())};
    std::string who = fmt::format("rank {} on {}", i, everyone[i].host.data());
    if (std::string why = objection(options_, one); !why.empty()) {
      throw FabricError("{}, but the messages of {} go by {}, which {}",
                        options_.require_rdma ? "comm.require_rdma = true"
                                              : fmt::format("comm.transport = \"{}\"", options_.transport),
                        who, describe(one), why);
    }
    if (one.layer != together.layer) {
      throw FabricError(
          "ranks do not agree about the network: {} sends its messages by {}, rank 0 on {} by {}: give all "
          "nodes the same Open MPI, the same settings (OMPI_MCA_*, UCX_*) and the same network",
          who, describe(one), everyone.front().host.data(), together.layer);
    }
    if (everyone[i].unused[0] != 0 && remark.empty()) {
      remark =
          fmt::format("; but on {} the RDMA device {}", everyone[i].host.data(), everyone[i].unused.data());
    }
    for (const auto& [from, to] :
         {std::pair(&one.over, &together.over), std::pair(&one.devices, &together.devices)}) {
      for (const std::string& name : *from) {
        if (!holds(*to, name)) to->push_back(name);
      }
    }
  }
  return describe(together) + remark;
}

int rdma_ports(const std::string& root) {
  Machine machine;
  machine.devices = rdma_devices(root);
  int ports = 0;
  for (const RdmaDevice& device : usable_devices(machine)) ports += device.active_ports();
  return ports;
}

}  // namespace trireme
