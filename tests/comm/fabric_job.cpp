// Prints which network a World selected: fabric_job TRANSPORT [require_rdma]. fabric_selects.cpp starts it
// under mpirun.
#include <cstdio>
#include <string>
#include <vector>

#include "base/error.h"
#include "comm/run_main.h"
#include "comm/world.h"

namespace {

using namespace trireme;

int body(int argc, char** argv) {
  CommOptions options;
  if (argc > 1) options.transport = argv[1];
  options.require_rdma = argc > 2;
  World world(options);
  std::vector<float> ones(1 << 16, 1);
  world.communicator().all_reduce(ones.data(), ones.size(), DType::float32);
  if (ones.back() != static_cast<float>(world.size())) throw CommError("wrong sum");
  if (world.rank() == 0) std::printf("network: %s\n", world.network().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return trireme::run_main("trireme-fabric-test", argc, argv, body); }
