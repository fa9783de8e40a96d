// The shared-memory collectives among processes; run by mpirun on 2, 3 and 4 ranks.
#include <gtest/gtest.h>

#include "base/error.h"
#include "comm/collectives.h"
#include "comm/mpi_communicator.h"
#include "comm/run_main.h"
#include "comm/shared_memory.h"
#include "comm/shared_segment.h"
#include "comm/world.h"

namespace trireme {
namespace {

Communicator* the_group = nullptr;

TEST(SharedMemoryMpi, CollectivesEqualPlainLoops) { test::check_collectives(*the_group); }

TEST(SharedMemoryMpi, SumsHaveTheTreesBits) {
  for (size_t count : {1u, 1001u, 300007u}) {
    test::check_tree<float>(*the_group, count);
    test::check_tree<BFloat16>(*the_group, count);
  }
  test::check_same_bits<float>(*the_group, 70001);
}

// Equal to MPI's own where there is nothing to round.
TEST(SharedMemoryMpi, EqualsPlainMpi) {
  constexpr size_t count = 100003;
  Buffer ours = the_group->allocate(count * sizeof(double));
  std::vector<double> theirs(count);
  for (size_t i = 0; i < count; ++i) {
    ours.as<double>()[i] = theirs[i] = test::contribution<double>(the_group->rank(), i);
  }
  the_group->all_reduce(ours.data(), count, DType::float64);
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, theirs.data(), static_cast<int>(count), MPI_DOUBLE, MPI_SUM,
                          MPI_COMM_WORLD),
            "MPI_Allreduce");
  EXPECT_EQ(std::memcmp(ours.data(), theirs.data(), count * sizeof(double)), 0);
}

TEST(SharedMemoryMpi, Split) { test::check_split(*the_group); }

TEST(SharedMemoryMpi, EveryKindOfSegmentWorks) {
  auto mpi = make_mpi_communicator(MPI_COMM_WORLD);
  for (SegmentKind kind : {SegmentKind::memfd, SegmentKind::posix}) {
    const SegmentKind kinds[] = {kind};
    SharedSegment segment(*mpi, size_t{3} << 20, kinds);
    EXPECT_EQ(segment.kind(), kind);
    segment.part(mpi->rank())[12345] = static_cast<std::byte>(mpi->rank() + 1);
    mpi->barrier();
    for (int r = 0; r < mpi->size(); ++r) EXPECT_EQ(segment.part(r)[12345], static_cast<std::byte>(r + 1));
    mpi->barrier();
  }
}

TEST(SharedMemoryMpi, NoRoomIsAnErrorOnAllRanks) {
  EXPECT_THROW(the_group->allocate(the_group->rank() == 1 ? size_t{1} << 45 : 64), CommError);
  the_group->barrier();
}

}  // namespace
}  // namespace trireme

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  return trireme::run_main("test_comm_shared_memory_mpi", argc, argv, [](int, char**) {
    trireme::World world;
    auto group = trireme::make_shared_memory_communicator(trireme::make_mpi_communicator(MPI_COMM_WORLD));
    trireme::the_group = group.get();
    auto worst = static_cast<float>(RUN_ALL_TESTS());
    group->all_reduce(&worst, 1, trireme::DType::float32, trireme::ReduceOp::max);
    return static_cast<int>(worst);
  });
}
