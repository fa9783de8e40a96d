// The network guard's parts without MPI: what a made-up machine has, which settings follow, what is refused.
#include "comm/fabric.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "comm/fabric_machine.h"
#include "comm/fabric_selected.h"
#include "comm/fabric_settings.h"
#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::TemporaryFolder;

// A made-up /sys. Ports are given by their states, port 1 first.
class Tree {
 public:
  std::string root() const { return folder_.path().string(); }
  void device(const std::string& name, const std::string& driver, const std::vector<std::string>& states) {
    fs::path place = folder_.path() / "sys/class/infiniband" / name;
    fs::create_directories(place / "device");
    fs::create_directory_symlink("../../../../bus/pci/drivers/" + driver, place / "device/driver");
    for (size_t port = 1; port <= states.size(); ++port) {
      fs::create_directories(place / "ports" / std::to_string(port));
      std::ofstream(place / "ports" / std::to_string(port) / "state") << states[port - 1] << "\n";
    }
  }
  void slingshot(const std::string& name, const std::string& link) {
    fs::path place = folder_.path() / "sys/class/cxi" / name / "device/port";
    fs::create_directories(place);
    std::ofstream(place / "link") << link << "\n";
  }

 private:
  TemporaryFolder folder_;
};

// The machine of a tree, with software and limits as they should be.
Machine machine_of(const Tree& tree) {
  Machine machine;
  machine.devices = rdma_devices(tree.root());
  return machine;
}

Machine with_infiniband() {
  Tree tree;
  tree.device("mlx5_0", "mlx5_core", {"4: ACTIVE"});
  return machine_of(tree);
}

Machine with_driver(const std::string& driver) {
  Tree tree;
  tree.device("rdma0", driver, {"4: ACTIVE"});
  return machine_of(tree);
}

CommOptions over(const std::string& transport, bool require_rdma = false) {
  CommOptions options;
  options.transport = transport;
  options.require_rdma = require_rdma;
  return options;
}

Launch ranks(int size, int local_size) {
  Launch launch;
  launch.launcher = "mpirun";
  launch.size = size;
  launch.local_size = local_size;
  return launch;
}

const Launch two_nodes = ranks(4, 2);
const Launch one_node = ranks(4, 4);

void expect_refused(const CommOptions& options, const Machine& machine, const Launch& launch,
                    const Variables& environment, std::initializer_list<std::string> parts) {
  expect_error(ExitCode::bad_config, parts, [&] { fabric_settings(options, machine, launch, environment); });
}

TEST(Machine, WithoutAnyDevice) {
  Tree tree;
  EXPECT_TRUE(rdma_devices(tree.root()).empty());
  EXPECT_EQ(rdma_ports(tree.root()), 0);
  EXPECT_TRUE(rdma_devices("/no/such/folder").empty());
  Machine machine = machine_of(tree);
  EXPECT_TRUE(usable_devices(machine).empty());
  EXPECT_NE(missing_for_rdma(machine).find("/sys/class/infiniband names none"), std::string::npos);
}

TEST(Machine, APortThatIsDownIsNamed) {
  Tree tree;
  tree.device("mlx5_0", "mlx5_core", {"1: DOWN", "2: INIT"});
  EXPECT_EQ(rdma_ports(tree.root()), 0);
  std::string missing = missing_for_rdma(machine_of(tree));
  EXPECT_NE(missing.find("port 1 of device mlx5_0 is DOWN"), std::string::npos) << missing;
  EXPECT_NE(missing.find("port 2 of device mlx5_0 is INIT"), std::string::npos) << missing;
  EXPECT_NE(missing.find("/sys/class/infiniband/mlx5_0/ports/2/state"), std::string::npos) << missing;
}

TEST(Machine, InfinibandAndRoce) {
  Tree tree;
  tree.device("mlx5_1", "mlx5_core", {"1: DOWN"});
  tree.device("mlx5_0", "mlx5_core", {"4: ACTIVE", "4: ACTIVE"});
  tree.device("rocep1s0", "irdma", {"4: ACTIVE"});
  std::vector<RdmaDevice> usable = usable_devices(machine_of(tree));
  ASSERT_EQ(usable.size(), 2u) << "the device that is down is none to use";
  EXPECT_EQ(usable[0].name, "mlx5_0");
  EXPECT_EQ(usable[0].active_ports(), 2);
  EXPECT_EQ(usable[1].kind, DeviceKind::verbs);
  EXPECT_EQ(rdma_ports(tree.root()), 3);
  EXPECT_EQ(missing_for_rdma(machine_of(tree)), "");
}

TEST(Machine, TheDriverTellsTheKind) {
  EXPECT_EQ(with_driver("hfi1").devices[0].kind, DeviceKind::omni_path);
  EXPECT_EQ(with_driver("efa").devices[0].kind, DeviceKind::efa);
  EXPECT_EQ(with_driver("bnxt_re").devices[0].kind, DeviceKind::verbs);
  Tree tree;
  tree.slingshot("cxi0", "up");
  tree.slingshot("cxi1", "down");
  EXPECT_EQ(rdma_ports(tree.root()), 1);
  EXPECT_EQ(usable_devices(machine_of(tree))[0].kind, DeviceKind::slingshot);
}

TEST(Machine, SoftwareAndLimitsThatAreMissing) {
  Machine machine = with_infiniband();
  machine.ucx_trouble = "UCX has no module for InfiniBand";
  EXPECT_EQ(missing_for_rdma(machine), machine.ucx_trouble);
  machine = with_infiniband();
  machine.locked_memory_limit = 64 << 10;
  EXPECT_NE(missing_for_rdma(machine).find("may lock 64 KiB"), std::string::npos);
  EXPECT_NE(missing_for_rdma(machine).find("ulimit -l unlimited"), std::string::npos);
  // Omni-Path does without UCX.
  machine = with_driver("hfi1");
  machine.ucx_trouble = "UCX has no module for InfiniBand";
  EXPECT_EQ(missing_for_rdma(machine), "");
}

TEST(Machine, UcxIsLookedForWhereItMatters) {
  Tree none;
  EXPECT_EQ(look_at_machine(none.root(), false).ucx_trouble, "");
  // Debian's Open MPI and UCX carry messages over InfiniBand, whatever hardware there is.
  EXPECT_EQ(look_at_machine(none.root(), true).ucx_trouble, "");
}

TEST(Settings, RdmaOverUcx) {
  Variables settings = fabric_settings(over("rdma"), with_infiniband(), two_nodes, {});
  EXPECT_EQ(settings, (Variables{{"OMPI_MCA_pml", "ucx"},
                                 {"OMPI_MCA_pml_ucx_tls", "any"},
                                 {"OMPI_MCA_pml_ucx_devices", "any"},
                                 {"UCX_TLS", "ib,sm,self"}}));
  EXPECT_EQ(fabric_settings(over("auto", true), with_infiniband(), two_nodes, {}), settings);
}

TEST(Settings, RdmaOverOtherHardware) {
  EXPECT_EQ(fabric_settings(over("rdma"), with_driver("hfi1"), two_nodes, {}),
            (Variables{{"OMPI_MCA_pml", "cm"}, {"OMPI_MCA_mtl", "psm2"}}));
  EXPECT_EQ(
      fabric_settings(over("rdma"), with_driver("efa"), two_nodes, {}),
      (Variables{
          {"OMPI_MCA_pml", "cm"}, {"OMPI_MCA_mtl", "ofi"}, {"OMPI_MCA_mtl_ofi_provider_include", "efa"}}));
  Tree tree;
  tree.slingshot("cxi0", "up");
  EXPECT_EQ(
      fabric_settings(over("rdma"), machine_of(tree), two_nodes, {}).at("OMPI_MCA_mtl_ofi_provider_include"),
      "cxi");
}

TEST(Settings, RdmaThatIsNotThere) {
  expect_refused(over("rdma"), Machine{}, two_nodes, {}, {"comm.transport = \"rdma\"", "no RDMA device"});
  expect_refused(over("auto", true), Machine{}, one_node, {}, {"comm.require_rdma = true", "no RDMA device"});
}

TEST(Settings, NothingThatIsSetIsSetAgain) {
  Variables environment{{"UCX_TLS", "rc,sm,self"}, {"OMPI_MCA_pml", "ucx"}};
  Variables settings = fabric_settings(over("rdma"), with_infiniband(), two_nodes, environment);
  EXPECT_EQ(settings.count("UCX_TLS"), 0u);
  EXPECT_EQ(settings.count("OMPI_MCA_pml"), 0u);
  EXPECT_EQ(settings.at("OMPI_MCA_pml_ucx_tls"), "any");
}

TEST(Settings, ContradictionsNameBothSides) {
  Machine infiniband = with_infiniband();
  auto refuse_rdma = [&](const std::string& name, const std::string& value, const std::string& why) {
    expect_refused(over("rdma"), infiniband, two_nodes, {{name, value}},
                   {"comm.transport = \"rdma\"", name + "=" + value, why});
  };
  refuse_rdma("UCX_TLS", "tcp", "lets messages go over tcp");
  refuse_rdma("UCX_TLS", "rc,tcp", "lets messages go over tcp");
  refuse_rdma("UCX_TLS", "all", "lets messages go over tcp");
  refuse_rdma("UCX_TLS", "^rc", "lets messages go over tcp");
  refuse_rdma("UCX_TLS", "sm,self", "holds no RDMA transport");
  refuse_rdma("UCX_TLS", "ud:aux,self", "holds no RDMA transport");
  refuse_rdma("UCX_TLS", "^tcp,ib", "holds no RDMA transport");
  refuse_rdma("UCX_NET_DEVICES", "eth0", "leaves out mlx5_0");
  refuse_rdma("OMPI_MCA_pml", "ob1", "does not take ucx");
  refuse_rdma("OMPI_MCA_pml", "^ucx", "does not take ucx");
  for (const Variables& good : {Variables{{"UCX_TLS", "^tcp"}}, Variables{{"UCX_TLS", "rc_mlx5,self"}},
                                Variables{{"UCX_NET_DEVICES", "mlx5_0:1"}},
                                Variables{{"UCX_NET_DEVICES", "all"}}, Variables{{"OMPI_MCA_pml", "^ob1"}}}) {
    EXPECT_NO_THROW(fabric_settings(over("rdma"), infiniband, two_nodes, good)) << good.begin()->second;
  }
  expect_refused(over("rdma"), with_driver("efa"), two_nodes, {{"FI_PROVIDER", "tcp"}}, {"FI_PROVIDER=tcp"});
  expect_refused(over("rdma"), with_driver("hfi1"), two_nodes, {{"OMPI_MCA_mtl", "ofi"}},
                 {"OMPI_MCA_mtl=ofi"});
}

TEST(Settings, Tcp) {
  Variables ob1{
      {"OMPI_MCA_pml", "ob1"}, {"OMPI_MCA_btl", "self,vader,tcp"}, {"OMPI_MCA_coll_hcoll_enable", "0"}};
  EXPECT_EQ(fabric_settings(over("tcp"), with_infiniband(), two_nodes, {}), ob1);
  EXPECT_EQ(fabric_settings(over("tcp"), Machine{}, one_node, {}), ob1);
  // A user who asks for ucx gets tcp of UCX.
  Variables ucx = fabric_settings(over("tcp"), with_infiniband(), two_nodes, {{"OMPI_MCA_pml", "ucx"}});
  EXPECT_EQ(ucx.at("UCX_TLS"), "tcp,sm,self");
  EXPECT_EQ(ucx.count("OMPI_MCA_btl"), 0u);

  auto refuse = [&](const Variables& environment, const std::string& why) {
    expect_refused(over("tcp"), with_infiniband(), two_nodes, environment, {"comm.transport = \"tcp\"", why});
  };
  refuse({{"OMPI_MCA_btl", "self,vader"}}, "leaves out tcp");
  refuse({{"OMPI_MCA_btl", "^tcp"}}, "leaves out tcp");
  refuse({{"OMPI_MCA_btl", "^ofi"}}, "lets messages go over RDMA");
  refuse({{"OMPI_MCA_btl", "self,tcp,openib"}}, "lets messages go over RDMA");
  refuse({{"UCX_TLS", "rc"}}, "leaves out tcp");
  refuse({{"OMPI_MCA_pml", "ucx"}, {"UCX_TLS", "rc,tcp"}}, "lets messages go over RDMA");
  refuse({{"OMPI_MCA_pml", "cm"}}, "neither ob1 nor ucx");
  EXPECT_NO_THROW(fabric_settings(over("tcp"), Machine{}, two_nodes, {{"OMPI_MCA_btl", "^openib,uct"}}));
}

TEST(Settings, SharedMemory) {
  EXPECT_EQ(fabric_settings(over("shared_memory"), Machine{}, one_node, {}).at("OMPI_MCA_btl"), "self,vader");
  expect_refused(over("shared_memory"), Machine{}, two_nodes, {},
                 {"comm.transport = \"shared_memory\"", "only 2 of the 4 ranks"});
  expect_refused(over("shared_memory"), Machine{}, one_node, {{"OMPI_MCA_btl", "self,tcp"}},
                 {"OMPI_MCA_btl=self,tcp", "over tcp"});
  expect_refused(over("shared_memory"), Machine{}, one_node, {{"OMPI_MCA_pml", "ucx"}, {"UCX_TLS", "self"}},
                 {"UCX_TLS=self", "leaves out shared memory"});
}

TEST(Settings, AutomaticOnlyHelps) {
  Variables none{{"OMPI_MCA_mtl", "^ofi,psm,psm2"}};
  EXPECT_EQ(fabric_settings(over("auto"), Machine{}, two_nodes, {}), none);
  Machine unknown;
  unknown.other_fabric = true;
  EXPECT_EQ(fabric_settings(over("auto"), unknown, two_nodes, {}), Variables{});
  // Debian's Open MPI leaves ucx out, and others take it for mlx* alone.
  Variables ucx = fabric_settings(over("auto"), with_infiniband(), two_nodes, {});
  EXPECT_EQ(ucx.at("OMPI_MCA_pml"), "^v");
  EXPECT_EQ(ucx.at("OMPI_MCA_pml_ucx_devices"), "any");
  EXPECT_EQ(ucx.count("UCX_TLS"), 0u);
  EXPECT_EQ(fabric_settings(over("auto"), with_driver("hfi1"), two_nodes, {}), Variables{});
  EXPECT_EQ(fabric_settings(over("auto"), with_driver("efa"), two_nodes, {}).at("OMPI_MCA_mtl"), "ofi");
  for (const char* chosen : {"OMPI_MCA_pml", "OMPI_MCA_mtl"}) {
    EXPECT_EQ(fabric_settings(over("auto"), with_infiniband(), two_nodes, {{chosen, "x"}}), Variables{});
  }
}

TEST(Fabric, ALoneRankSetsNothingButMayDemandRdma) {
  Tree none;
  Launch alone;
  ::unsetenv("OMPI_MCA_btl");
  Fabric tcp(over("tcp"), alone, none.root());
  EXPECT_EQ(std::getenv("OMPI_MCA_btl"), nullptr);
  expect_error(ExitCode::bad_config, {"comm.require_rdma = true", "no RDMA device"},
               [&] { Fabric required(over("auto", true), alone, none.root()); });
  Tree infiniband;
  infiniband.device("mlx5_0", "mlx5_core", {"4: ACTIVE"});
  if (locked_memory_limit() == UINT64_MAX) {
    EXPECT_NO_THROW(Fabric(over("auto", true), alone, infiniband.root()));
  }
}

TEST(Selected, TransportsInUcxLog) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(transports_in("ep_cfg[1]: tag(sysv/memory cma/memory)"), (Names{"sysv", "cma"}));
  EXPECT_EQ(transports_in("ucp_context_0 inter-node cfg#2 tag(rc_mlx5/mlx5_0:1 rc_mlx5/mlx5_1:1)"),
            Names{"rc_mlx5"});
  EXPECT_EQ(transports_in("  ep_cfg[0]: tag(tcp/lo tcp/eth0) rma(x/y)"), Names{"tcp"});
  EXPECT_EQ(transports_in("ep_cfg[0]: tag(self/memory0 cma/memory)"), Names{});
  EXPECT_EQ(transports_in("Version 1.13.1 (loaded from /lib/libucp.so.0)"), Names{});
  EXPECT_EQ(transports_in("tag("), Names{});
}

TEST(Selected, Described) {
  EXPECT_EQ(describe({"ob1", {"vader", "tcp"}, {}}), "ob1 over vader, tcp");
  EXPECT_EQ(describe({"ucx", {"sysv", "rc_mlx5"}, {"uverbs0"}}), "ucx over sysv, rc_mlx5 (uverbs0)");
  EXPECT_EQ(describe({"ucx", {}, {}}), "ucx");
}

}  // namespace
}  // namespace trireme
