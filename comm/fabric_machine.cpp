#include "comm/fabric_machine.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "comm/mpi_communicator.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

// What queue pairs and the buffers that UCX makes for them need at least.
constexpr uint64_t least_locked_memory = uint64_t{64} << 20;

// Names of a directory's entries, sorted; none when it cannot be read.
std::vector<std::string> entries(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto entry = fs::directory_iterator(directory, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool has_entry(const fs::path& directory, const std::string& prefix) {
  auto names = entries(directory);
  return std::any_of(names.begin(), names.end(), [&](auto& name) { return name.starts_with(prefix); });
}

std::string first_line(const fs::path& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

// The driver tells the kind: names are given by udev rules ("rdmap0s6" is an EFA, "ibp1s0" an InfiniBand).
DeviceKind kind_of(const fs::path& device) {
  std::error_code error;
  std::string driver = fs::read_symlink(device / "device" / "driver", error).filename().string();
  if (driver == "hfi1") return DeviceKind::omni_path;
  if (driver == "efa") return DeviceKind::efa;
  return DeviceKind::verbs;
}

// sys/class/infiniband/NAME/ports/N/state holds "4: ACTIVE".
std::vector<RdmaPort> ports_of(const fs::path& device) {
  std::vector<RdmaPort> ports;
  for (const std::string& number : entries(device / "ports")) {
    std::string state = first_line(device / "ports" / number / "state");
    size_t colon = state.find(": ");
    ports.push_back(
        {std::atoi(number.c_str()), colon == std::string::npos ? "unreadable" : state.substr(colon + 2)});
  }
  return ports;
}

// Every mca_pml_*.so below the folder of libmpi: lib/openmpi/ as Open MPI installs itself,
// openmpi/lib/openmpi3/ in Debian.
std::vector<fs::path> message_layers() {
  Dl_info library{};
  if (::dladdr(reinterpret_cast<void*>(&MPI_Init), &library) == 0) return {};
  std::vector<fs::path> found;
  std::error_code error;
  fs::path folder = fs::canonical(library.dli_fname, error).parent_path();
  auto look_in = [&](const fs::path& place) {
    for (const std::string& name : entries(place)) {
      if (name.starts_with("mca_pml_") && name.ends_with(".so")) found.push_back(place / name);
    }
  };
  for (const std::string& first : entries(folder)) {
    if (!first.starts_with("openmpi")) continue;
    look_in(folder / first);
    for (const std::string& second : entries(folder / first)) {
      look_in(folder / first / second);
      if (second != "lib") continue;
      for (const std::string& third : entries(folder / first / second))
        look_in(folder / first / second / third);
    }
  }
  return found;
}

struct Library {
  void* handle;
  explicit Library(const char* name) : handle(::dlopen(name, RTLD_LAZY | RTLD_LOCAL)) {}
  ~Library() {
    if (handle) ::dlclose(handle);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
};

}  // namespace

std::string name_of(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::verbs:
      return "InfiniBand or RoCE";
    case DeviceKind::omni_path:
      return "Omni-Path";
    case DeviceKind::efa:
      return "EFA";
    case DeviceKind::slingshot:
      return "Slingshot";
  }
  return "?";
}

int RdmaDevice::active_ports() const {
  return static_cast<int>(
      std::count_if(ports.begin(), ports.end(), [](auto& port) { return port.active(); }));
}

std::vector<RdmaDevice> rdma_devices(const std::string& root) {
  std::vector<RdmaDevice> devices;
  fs::path infiniband = fs::path(root) / "sys/class/infiniband";
  for (const std::string& name : entries(infiniband)) {
    devices.push_back({name, kind_of(infiniband / name), ports_of(infiniband / name)});
  }
  // Slingshot's driver is outside the kernel's RDMA class: one port a device, and its link says "up" or
  // "down".
  fs::path cxi = fs::path(root) / "sys/class/cxi";
  for (const std::string& name : entries(cxi)) {
    std::string link = first_line(cxi / name / "device/port/link");
    devices.push_back({name, DeviceKind::slingshot, {{1, link == "down" ? "DOWN" : "ACTIVE"}}});
  }
  return devices;
}

uint64_t locked_memory_limit() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    constexpr int ipc_lock = 14;  // CAP_IPC_LOCK, linux/capability.h
    if (!line.starts_with("CapEff:")) continue;
    if ((std::stoull(line.substr(7), nullptr, 16) >> ipc_lock) & 1) return UINT64_MAX;
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  return limit.rlim_cur;
}

std::string ucx_trouble() {
  std::vector<fs::path> layers = message_layers();
  if (layers.empty()) return "";  // components are built into libmpi: MPI_Init will tell
  auto ucx = std::find_if(layers.begin(), layers.end(),
                          [](const fs::path& path) { return path.filename() == "mca_pml_ucx.so"; });
  if (ucx == layers.end()) {
    return fmt::format(
        "Open MPI has no component for UCX (no mca_pml_ucx.so in {}): it must be built with UCX",
        layers.front().parent_path().string());
  }
  Library component(ucx->c_str());
  if (!component.handle) return fmt::format("Open MPI's component for UCX does not load: {}", ::dlerror());
  Library transports("libuct.so.0");
  void* symbol = transports.handle ? ::dlsym(transports.handle, "uct_query_components") : nullptr;
  Dl_info library{};
  if (symbol == nullptr || ::dladdr(symbol, &library) == 0) return "UCX's library libuct.so.0 does not load";
  std::error_code error;
  fs::path modules = fs::canonical(library.dli_fname, error).parent_path() / "ucx";
  if (!has_entry(modules, "libuct_ib.so")) {
    return fmt::format(
        "UCX has no module for InfiniBand (no libuct_ib.so in {}): it must be built with verbs",
        modules.string());
  }
  return "";
}

Machine look_at_machine(const std::string& root, bool ask_software) {
  Machine machine;
  machine.devices = rdma_devices(root);
  machine.other_fabric = has_entry(fs::path(root) / "sys/class/infiniband_verbs", "uverbs");
  for (const char* device : {"hfi1", "ipath", "infiniband", "cxi", "kgni"}) {
    machine.other_fabric |= has_entry(fs::path(root) / "dev", device);
  }
  machine.locked_memory_limit = locked_memory_limit();
  bool for_ucx = std::any_of(machine.devices.begin(), machine.devices.end(),
                             [](auto& device) { return device.kind == DeviceKind::verbs; });
  if (ask_software || for_ucx) machine.ucx_trouble = ucx_trouble();
  return machine;
}

std::vector<RdmaDevice> usable_devices(const Machine& machine) {
  for (DeviceKind kind : {DeviceKind::verbs, DeviceKind::omni_path, DeviceKind::efa, DeviceKind::slingshot}) {
    std::vector<RdmaDevice> usable;
    std::copy_if(machine.devices.begin(), machine.devices.end(), std::back_inserter(usable),
                 [&](auto& device) { return device.kind == kind && device.active_ports() > 0; });
    if (!usable.empty()) return usable;
  }
  return {};
}

std::string missing_for_rdma(const Machine& machine) {
  std::vector<std::string> missing;
  std::vector<RdmaDevice> usable = usable_devices(machine);
  if (machine.devices.empty()) {
    missing.push_back(
        "no RDMA device: /sys/class/infiniband names none (InfiniBand, RoCE, Omni-Path, EFA), nor does "
        "/sys/class/cxi (Slingshot)");
  } else if (usable.empty()) {
    for (const RdmaDevice& device : machine.devices) {
      if (device.ports.empty()) missing.push_back(fmt::format("device {} has no ports", device.name));
      for (const RdmaPort& port : device.ports) {
        missing.push_back(
            fmt::format("port {} of device {} is {}, not ACTIVE (/sys/class/infiniband/{}/ports/{}/state)",
                        port.number, device.name, port.state, device.name, port.number));
      }
    }
  }
  bool verbs = usable.empty() || usable.front().kind == DeviceKind::verbs;
  if (verbs && !machine.ucx_trouble.empty()) missing.push_back(machine.ucx_trouble);
  if (verbs && !usable.empty() && machine.locked_memory_limit < least_locked_memory) {
    missing.push_back(
        fmt::format("this process may lock {} KiB of memory only, too little to register buffers with the "
                    "device: 'ulimit -l "
                    "unlimited', or LimitMEMLOCK=infinity for slurmd",
                    machine.locked_memory_limit >> 10));
  }
  return fmt::format("{}", fmt::join(missing, "; "));
}

}  // namespace trireme
