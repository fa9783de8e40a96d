// gloo over its tcp transport on the loopback device: the only one that Debian's build has for one node.
#include "perf/contenders/gloo.h"

#include <gloo/allreduce.h>
#include <gloo/allreduce_halving_doubling.h>
#include <gloo/allreduce_ring.h>
#include <gloo/allreduce_ring_chunked.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>

namespace trireme::bench {
namespace {

class RealGloo final : public Gloo {
 public:
  RealGloo(int rank, int size, const std::string& folder) {
    gloo::transport::tcp::attr where;
    where.iface = "lo";
    std::shared_ptr<gloo::transport::Device> device = gloo::transport::tcp::CreateDevice(where);
    gloo::rendezvous::FileStore store(folder);
    context_ = std::make_shared<gloo::rendezvous::Context>(rank, size);
    context_->connectFullMesh(store, device);
  }

  std::vector<GlooAlgorithm> algorithms(float* data, size_t count) override {
    std::vector<GlooAlgorithm> all;
    auto add = [&](const std::string& name, std::shared_ptr<gloo::Algorithm> one) {
      all.push_back({name, [one] { one->run(); }});
    };
    const std::vector<float*> pointers{data};
    const int n = static_cast<int>(count);
    add("ring chunked", std::make_shared<gloo::AllreduceRingChunked<float>>(context_, pointers, n));
    add("halving-doubling", std::make_shared<gloo::AllreduceHalvingDoubling<float>>(context_, pointers, n));
    for (auto [name, algorithm] : {std::pair{"new ring", gloo::AllreduceOptions::Algorithm::RING},
                                   std::pair{"new bcube", gloo::AllreduceOptions::Algorithm::BCUBE}}) {
      auto options = std::make_shared<gloo::AllreduceOptions>(context_);
      options->setOutput(data, count);
      options->setAlgorithm(algorithm);
      void (*sum)(void*, const void*, const void*, size_t) = &gloo::sum<float>;
      options->setReduceFunction(sum);
      all.push_back({name, [options] { gloo::allreduce(*options); }});
    }
    return all;
  }

 private:
  std::shared_ptr<gloo::rendezvous::Context> context_;
};

}  // namespace

std::unique_ptr<Gloo> make_gloo(int rank, int size, const std::string& folder) {
  return std::make_unique<RealGloo>(rank, size, folder);
}

}  // namespace trireme::bench
