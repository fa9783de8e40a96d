// gloo's all-reduces, as other contenders of bench/all_reduce.cpp see them.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace trireme::bench {

struct GlooAlgorithm {
  std::string name;
  std::function<void()> run;  // one all-reduce (sum) of the memory it was made for
};

class Gloo {
 public:
  virtual ~Gloo() = default;
  virtual std::vector<GlooAlgorithm> algorithms(float* data, size_t count) = 0;
};

// Null where gloo is not built in. `folder`: an empty one that all ranks see.
std::unique_ptr<Gloo> make_gloo(int rank, int size, const std::string& folder);

}  // namespace trireme::bench
