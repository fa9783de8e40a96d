// What a job under mpirun selects is what it says, by Open MPI's own and UCX's own words; and what it
// refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include "base/error.h"

namespace trireme {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

struct Result {
  int code = -1;
  std::string output;
  int times(const std::string& text) const {
    int found = 0;
    for (size_t at = output.find(text); at != std::string::npos; at = output.find(text, at + 1)) ++found;
    return found;
  }
};

// Settings of whoever runs the test must not count.
constexpr const char* clean =
    "env -u OMPI_MCA_pml -u OMPI_MCA_btl -u OMPI_MCA_mtl -u UCX_TLS -u UCX_LOG_LEVEL -u UCX_NET_DEVICES";

Result run(const std::string& environment, int ranks, const std::string& arguments) {
  std::string command = fmt::format("{} {} timeout -k 1 60 mpirun -n {} {} {} 2>&1", clean, environment,
                                    ranks, FABRIC_JOB, arguments);
  std::FILE* pipe = ::popen(command.c_str(), "r");
  Result result;
  std::array<char, 4096> buffer;
  while (size_t bytes = std::fread(buffer.data(), 1, buffer.size(), pipe))
    result.output.append(buffer.data(), bytes);
  int status = ::pclose(pipe);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

bool has_rdma() { return std::filesystem::exists("/sys/class/infiniband"); }

// What Open MPI says about its own choice. The text is that of Open MPI 4.
constexpr const char* verbose = "OMPI_MCA_pml_base_verbose=10";

TEST(FabricSelects, WhatOpenMpiSaysItSelected) {
  for (const char* transport : {"tcp", "shared_memory"}) {
    Result result = run(verbose, 2, transport);
    EXPECT_EQ(result.code, 0) << result.output;
    EXPECT_THAT(result.output, HasSubstr("selected ob1"));
    EXPECT_THAT(result.output, HasSubstr("network: ob1 over vader\n")) << "all ranks are on one host";
  }
  if (has_rdma()) return;
  Result result = run(verbose, 2, "auto");
  EXPECT_EQ(result.code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("selected ob1"));
  EXPECT_THAT(result.output, HasSubstr("network: ob1 over vader\n"));
}

TEST(FabricSelects, Ob1OverSocketsWhenTheUserLeavesNothingElse) {
  // tcp of Open MPI tells of its listening sockets.
  Result result = run("OMPI_MCA_btl=self,tcp OMPI_MCA_btl_base_verbose=30", 2, "tcp");
  EXPECT_EQ(result.code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("btl:tcp"));
  EXPECT_THAT(result.output, HasSubstr("network: ob1 over tcp\n"));
}

TEST(FabricSelects, WhatUcxSaysItUses) {
  Result tcp = run("OMPI_MCA_pml=ucx UCX_TLS=tcp UCX_LOG_LEVEL=info", 2, "tcp");
  EXPECT_EQ(tcp.code, 0) << tcp.output;
  EXPECT_THAT(tcp.output, HasSubstr("tag(tcp/"));
  EXPECT_THAT(tcp.output, HasSubstr("network: ucx over tcp\n"));

  Result memory = run("OMPI_MCA_pml=ucx UCX_TLS=sysv,self UCX_LOG_LEVEL=info", 2, "shared_memory");
  EXPECT_EQ(memory.code, 0) << memory.output;
  EXPECT_THAT(memory.output, HasSubstr("tag(sysv/memory"));
  EXPECT_THAT(memory.output, HasSubstr("network: ucx over sysv\n"));
}

TEST(FabricSelects, ListeningToUcxIsNotHeard) {
  Result result = run("OMPI_MCA_pml=ucx", 3, "shared_memory");
  EXPECT_EQ(result.code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("network: ucx over "));
  EXPECT_THAT(result.output, Not(HasSubstr("INFO")));
}

TEST(FabricSelects, RdmaThatIsNotThereIsRefusedOnce) {
  if (has_rdma()) GTEST_SKIP() << "this machine has an RDMA device";
  for (const char* arguments : {"rdma", "auto require_rdma", "rdma require_rdma"}) {
    Result result = run("", 3, arguments);
    EXPECT_EQ(result.code, 78) << result.output;
    EXPECT_EQ(result.times("trireme-fabric-test: error: rank 0 on "), 1) << result.output;
    EXPECT_EQ(result.times("trireme-fabric-test: error:"), 1) << result.output;
    EXPECT_THAT(result.output, HasSubstr("no RDMA device: /sys/class/infiniband names none"));
    EXPECT_THAT(result.output, HasSubstr(std::string(arguments) == "rdma" ? "comm.transport = \"rdma\""
                                                                          : "comm.require_rdma = true"));
  }
}

TEST(FabricSelects, AContradictionIsRefused) {
  Result result = run("OMPI_MCA_btl=self,vader", 2, "tcp");
  EXPECT_EQ(result.code, 78) << result.output;
  EXPECT_THAT(result.output, HasSubstr("comm.transport = \"tcp\", but the environment sets "
                                       "OMPI_MCA_btl=self,vader, which leaves out tcp"));
}

TEST(FabricSelects, OneRankThatIsSetOtherwiseIsNamed) {
  // Rank 1 alone has a setting that contradicts the config.
  std::string command =
      fmt::format("{} timeout -k 1 60 mpirun -n 1 {} tcp : -n 1 -x OMPI_MCA_btl=self,vader {} tcp 2>&1",
                  clean, FABRIC_JOB, FABRIC_JOB);
  std::FILE* pipe = ::popen(command.c_str(), "r");
  std::string output;
  std::array<char, 4096> buffer;
  while (size_t bytes = std::fread(buffer.data(), 1, buffer.size(), pipe))
    output.append(buffer.data(), bytes);
  int status = ::pclose(pipe);
  EXPECT_EQ(WEXITSTATUS(status), 78) << output;
  EXPECT_THAT(output, HasSubstr("error: rank 1 on "));
  EXPECT_THAT(output, HasSubstr("OMPI_MCA_btl=self,vader"));
}

}  // namespace
}  // namespace trireme
