#include "comm/fabric_settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "comm/fabric_error.h"

namespace trireme {
namespace {

// A list as Open MPI and UCX have them: "a,b" takes these and no others, "^a,b" all but these. UCX also has
// "all", and "rc:aux" for a transport that only makes connections.
struct Choice {
  bool negated = false;
  std::vector<std::string> names;

  explicit Choice(std::string_view text) {
    if (text.starts_with('^')) {
      negated = true;
      text.remove_prefix(1);
    }
    while (!text.empty()) {
      size_t comma = std::min(text.find(','), text.size());
      std::string_view name = text.substr(0, comma);
      if (!name.empty() && !name.ends_with(":aux")) names.emplace_back(name);
      text.remove_prefix(std::min(comma + 1, text.size()));
    }
  }
  bool names_one_of(std::initializer_list<std::string_view> wanted) const {
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return std::find(wanted.begin(), wanted.end(), name) != wanted.end();
    });
  }
  // Whether it lets at least one of these be taken; negated, whether it leaves the first.
  bool allows(std::initializer_list<std::string_view> wanted) const {
    if (negated) return !names_one_of({*wanted.begin()});
    return names_one_of(wanted) || names_one_of({"all", "any"});
  }
};

// UCX's names for what InfiniBand and RoCE carry; "ib" is all of them.
const std::initializer_list<std::string_view> ucx_rdma = {
    "ib",   "rc",      "rc_v", "rc_x", "rc_verbs", "rc_mlx5",  "dc",
    "dc_x", "dc_mlx5", "ud",   "ud_v", "ud_x",     "ud_verbs", "ud_mlx5"};
const std::initializer_list<std::string_view> ucx_shared_memory = {"sm",   "shm", "mm",    "posix",
                                                                   "sysv", "cma", "xpmem", "knem"};
// Open MPI's components for messages over RDMA hardware without UCX.
const std::initializer_list<std::string_view> rdma_btls = {"openib", "usnic",    "uct",
                                                           "ofi",    "portals4", "ugni"};

// One derivation of settings: what is asked for, what is set already, and what will be.
class Settings {
 public:
  Settings(const CommOptions& options, const Machine& machine, const Variables& environment)
      : machine_(machine), environment_(environment) {
    asked_ = options.require_rdma ? "comm.require_rdma = true"
                                  : fmt::format("comm.transport = \"{}\"", options.transport);
  }

  Variables rdma();
  Variables tcp();
  Variables shared_memory(const Launch& launch);
  Variables automatic();

 private:
  const std::string* given(const std::string& name) const {
    auto found = environment_.find(name);
    return found == environment_.end() ? nullptr : &found->second;
  }
  void set(const std::string& name, const std::string& value) {
    if (!given(name)) chosen_.emplace(name, value);
  }
  [[noreturn]] void contradiction(const std::string& name, const std::string& why) const {
    throw FabricError("{}, but the environment sets {}={}, which {}: unset {}, or change the config", asked_,
                      name, environment_.at(name), why, name);
  }
  // The variable, where it is given, must let one of `wanted` be taken.
  void must_allow(const std::string& name, std::initializer_list<std::string_view> wanted,
                  const std::string& why_not) const {
    const std::string* value = given(name);
    if (value && !Choice(*value).allows(wanted)) contradiction(name, why_not);
  }
  // The variable, where it is given, must not let any of `unwanted` be taken.
  void must_not_allow(const std::string& name, std::initializer_list<std::string_view> unwanted,
                      const std::string& why) const {
    const std::string* value = given(name);
    if (value && Choice(*value).allows(unwanted)) contradiction(name, why);
  }
  // ucx where the user says pml=ucx, else ob1; refuses others.
  bool user_wants_ucx() const {
    const std::string* layer = given("OMPI_MCA_pml");
    if (!layer) return false;
    Choice choice(*layer);
    if (choice.allows({"ob1"})) return false;
    if (choice.allows({"ucx"})) return true;
    contradiction("OMPI_MCA_pml", "takes neither ob1 nor ucx, which can do that");
  }
  void ucx_over_any_device() {
    set("OMPI_MCA_pml_ucx_tls", "any");
    set("OMPI_MCA_pml_ucx_devices", "any");
  }

  const Machine& machine_;
  const Variables& environment_;
  std::string asked_;
  Variables chosen_;
};

Variables Settings::rdma() {
  std::string missing = missing_for_rdma(machine_);
  if (!missing.empty()) {
    throw FabricError("{}, but messages cannot go over RDMA here: {}. To run without: {}", asked_, missing,
                      "comm.transport = \"auto\" or \"tcp\", and comm.require_rdma = false");
  }
  std::vector<RdmaDevice> devices = usable_devices(machine_);
  if (devices.front().kind == DeviceKind::verbs) {
    must_allow("OMPI_MCA_pml", {"ucx"}, "does not take ucx, which carries messages over InfiniBand and RoCE");
    must_not_allow("UCX_TLS", {"tcp"}, "lets messages go over tcp");
    must_allow("UCX_TLS", ucx_rdma, "holds no RDMA transport");
    if (const std::string* devices_given = given("UCX_NET_DEVICES");
        devices_given && *devices_given != "all") {
      bool named = std::any_of(devices.begin(), devices.end(), [&](auto& device) {
        Choice choice(*devices_given);
        return std::any_of(choice.names.begin(), choice.names.end(), [&](const std::string& name) {
          return name.substr(0, name.find(':')) == device.name;
        });
      });
      if (!named) contradiction("UCX_NET_DEVICES", fmt::format("leaves out {}", devices.front().name));
    }
    set("OMPI_MCA_pml", "ucx");
    ucx_over_any_device();
    set("UCX_TLS", "ib,sm,self");
    return chosen_;
  }
  bool omni_path = devices.front().kind == DeviceKind::omni_path;
  std::string means = omni_path ? "psm2" : "ofi";
  must_allow("OMPI_MCA_pml", {"cm"},
             fmt::format("does not take cm, which carries messages over {}", name_of(devices.front().kind)));
  must_allow("OMPI_MCA_mtl", {means}, fmt::format("does not take {}", means));
  set("OMPI_MCA_pml", "cm");
  set("OMPI_MCA_mtl", means);
  if (!omni_path) {
    std::string provider = devices.front().kind == DeviceKind::efa ? "efa" : "cxi";
    must_allow("FI_PROVIDER", {provider}, fmt::format("does not take {}", provider));
    must_allow("OMPI_MCA_mtl_ofi_provider_include", {provider}, fmt::format("does not take {}", provider));
    set("OMPI_MCA_mtl_ofi_provider_include", provider);
  }
  return chosen_;
}

Variables Settings::tcp() {
  must_allow("UCX_TLS", {"tcp"}, "leaves out tcp");
  if (user_wants_ucx()) {
    must_not_allow("UCX_TLS", ucx_rdma, "lets messages go over RDMA");
    ucx_over_any_device();
    set("UCX_TLS", "tcp,sm,self");
  } else {
    must_allow("OMPI_MCA_btl", {"tcp"}, "leaves out tcp");
    must_not_allow("OMPI_MCA_btl", {"openib"}, "lets messages go over RDMA");
    if (const std::string* btl = given("OMPI_MCA_btl"); btl && !Choice(*btl).negated) {
      must_not_allow("OMPI_MCA_btl", rdma_btls, "lets messages go over RDMA");
    }
    set("OMPI_MCA_pml", "ob1");
    set("OMPI_MCA_btl", "self,vader,tcp");
  }
  set("OMPI_MCA_coll_hcoll_enable", "0");
  return chosen_;
}

Variables Settings::shared_memory(const Launch& launch) {
  if (launch.local_size < launch.size) {
    throw FabricError(
        "{}, but only {} of the {} ranks are on this host: use one host, or comm.transport = \"auto\"",
        asked_, launch.local_size, launch.size);
  }
  if (user_wants_ucx()) {
    must_not_allow("UCX_TLS", {"tcp"}, "lets messages go over tcp");
    must_allow("UCX_TLS", ucx_shared_memory, "leaves out shared memory");
    ucx_over_any_device();
    set("UCX_TLS", "sm,self");
  } else {
    must_not_allow("OMPI_MCA_btl", {"tcp"}, "lets messages go over tcp");
    must_allow("OMPI_MCA_btl", {"vader", "sm"}, "leaves out shared memory");
    set("OMPI_MCA_pml", "ob1");
    set("OMPI_MCA_btl", "self,vader");
  }
  set("OMPI_MCA_coll_hcoll_enable", "0");
  return chosen_;
}

// Open MPI chooses; it is only kept from passing over a device, and from looking for what is not there.
Variables Settings::automatic() {
  if (given("OMPI_MCA_pml") || given("OMPI_MCA_mtl")) return {};
  if (machine_.devices.empty() && !machine_.other_fabric) {
    set("OMPI_MCA_mtl", "^ofi,psm,psm2");
    return chosen_;
  }
  std::vector<RdmaDevice> devices = usable_devices(machine_);
  if (devices.empty()) return {};
  switch (devices.front().kind) {
    case DeviceKind::verbs:
      // Some distributions exclude ucx in openmpi-mca-params.conf, and Open MPI itself takes it for devices
      // named mlx* only. "^v" excludes what is never selected, and so allows all else, ucx by its priority
      // first.
      if (!machine_.ucx_trouble.empty()) return {};
      set("OMPI_MCA_pml", "^v");
      ucx_over_any_device();
      break;
    case DeviceKind::efa:
    case DeviceKind::slingshot:
      set("OMPI_MCA_mtl", "ofi");
      break;
    case DeviceKind::omni_path:
      break;  // psm2 has the priority as it is
  }
  return chosen_;
}

}  // namespace

Variables fabric_environment() {
  Variables variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string_view text(*entry);
    size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    for (std::string_view prefix : {"OMPI_MCA_", "UCX_", "FI_"}) {
      if (text.starts_with(prefix)) variables.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return variables;
}

Variables fabric_settings(const CommOptions& options, const Machine& machine, const Launch& launch,
                          const Variables& environment) {
  Settings settings(options, machine, environment);
  if (asks_for_rdma(options)) return settings.rdma();
  if (options.transport == "tcp") return settings.tcp();
  if (options.transport == "shared_memory") return settings.shared_memory(launch);
  return settings.automatic();
}

}  // namespace trireme
