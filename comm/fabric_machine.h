// What this machine has of RDMA: devices, ports and their states, software, limits. Reads files, changes
// nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trireme {

// Who carries MPI's messages over a device: UCX (InfiniBand, RoCE, iWARP), PSM2 (Omni-Path), or libfabric
// (EFA, Slingshot).
enum class DeviceKind { verbs, omni_path, efa, slingshot };
std::string name_of(DeviceKind kind);  // "InfiniBand or RoCE", "Omni-Path", "EFA", "Slingshot"

struct RdmaPort {
  int number = 1;
  std::string state;  // as the kernel has it: "ACTIVE", "DOWN", "INIT", "ARMED"
  bool active() const { return state == "ACTIVE"; }
};

struct RdmaDevice {
  std::string name;  // "mlx5_0"
  DeviceKind kind = DeviceKind::verbs;
  std::vector<RdmaPort> ports;
  int active_ports() const;
};

struct Machine {
  std::vector<RdmaDevice> devices;            // by name
  bool other_fabric = false;                  // a device file of some fabric that `devices` does not tell of
  uint64_t locked_memory_limit = UINT64_MAX;  // bytes that this process may register; UINT64_MAX: any number
  std::string ucx_trouble;                    // see ucx_trouble(); empty also where nobody looked
};

// Reads sys/class/infiniband (NAME/device/driver, NAME/ports/N/state) and sys/class/cxi under `root`. A
// device that cannot be read has no ports. Never throws.
std::vector<RdmaDevice> rdma_devices(const std::string& root);

// RLIMIT_MEMLOCK; any number with the capability CAP_IPC_LOCK, which root has.
uint64_t locked_memory_limit();

// Why Open MPI cannot talk over UCX to InfiniBand and RoCE: its component for UCX is not installed or does
// not load, or UCX's module for InfiniBand is not there. Empty when it can. Loads and unloads libraries,
// which takes milliseconds.
std::string ucx_trouble();

// All of the above. ucx_trouble is asked for where there is a device for UCX, or with `ask_software`.
Machine look_at_machine(const std::string& root, bool ask_software);

// The devices that messages would go over: InfiniBand and RoCE before Omni-Path before EFA before Slingshot,
// those of one kind with an active port. Empty when no port is active.
std::vector<RdmaDevice> usable_devices(const Machine& machine);

// What keeps messages from going over RDMA, in words and with the file that says so; empty when nothing does.
std::string missing_for_rdma(const Machine& machine);

}  // namespace trireme
