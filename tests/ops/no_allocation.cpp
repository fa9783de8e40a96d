// A bound reference kernel allocates nothing when it runs: static means static.
#include <atomic>
#include <cstdlib>
#include <new>

#include "ops/op_runner.h"

namespace {
std::atomic<size_t> allocations{0};
}

void* operator new(size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace trireme::test {
namespace {

TEST(NoAllocation, ReferenceKernelsRunInTheMemoryTheyWereBoundTo) {
  auto backend = make_reference_backend();
  for (const Op& op : op_table()) {
    SampleGraph s = sample_graph(op, op.samples[0], DType::float32);
    GraphRun run(s.graph, *backend);
    run.draw_inputs(s, op.samples[0], s.graph.nodes[0].attributes, 1);
    StepScalars scalars = test_scalars();
    size_t before = allocations;
    run.run(scalars);
    EXPECT_EQ(allocations - before, 0u) << op.name;
  }
  EXPECT_GT(allocations.load(), 0u) << "the counting operator new is not in use";
}

}  // namespace
}  // namespace trireme::test
